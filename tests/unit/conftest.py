import pytest


@pytest.fixture(autouse=True)
def no_network(socket_disabled):
    """Unit tests need nothing: any socket is an error."""
