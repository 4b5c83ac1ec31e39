import pytest

from tests.support.stacks import STACKS


@pytest.fixture(scope="session", params=sorted(STACKS))
def any_stack(request, tmp_path_factory):
    """A whole Nightlight whose renders a test can hold in their middle (tests.support.held)."""
    with STACKS[request.param](tmp_path_factory.mktemp(request.param), held=True) as started:
        yield started
