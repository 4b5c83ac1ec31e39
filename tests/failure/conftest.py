import pytest

from tests.support.stacks import STACKS

# Short leases, so that what a dead worker held is found again in seconds on any broker.
SHORT = {"NIGHTLIGHT_WORKER_TIME_LIMIT_S": "9", "NIGHTLIGHT_WORKER_LEASE_S": "10"}


@pytest.fixture(scope="module", params=sorted(STACKS))
def any_stack(request, tmp_path_factory):
    with STACKS[request.param](tmp_path_factory.mktemp(request.param), **SHORT) as running:
        yield running


@pytest.fixture(scope="module")
def scale(tmp_path_factory):
    with STACKS["scale"](tmp_path_factory.mktemp("scale"), **SHORT) as running:
        yield running
