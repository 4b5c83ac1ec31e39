import pytest

from tests.support.stacks import STACKS


@pytest.fixture(scope="session", params=sorted(STACKS))
def any_stack(request, tmp_path_factory):
    """A whole Nightlight whose renders a test can pause in their middle (tests.support.paused)."""
    with STACKS[request.param](tmp_path_factory.mktemp(request.param), paused=True) as started:
        yield started
