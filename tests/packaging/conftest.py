"""The wheels of this tree, and an environment with the server."""

import pytest

from tests.conftest import ROOT
from tests.support.environments import Clean, build

CLIENT = ROOT / "clients/python"
LOCKS = ROOT / "infra/requirements"
# What the photographs of the demonstration come with, and what it takes to import that.
DEMO = {"scikit-image", "lazy-loader"}


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    return build(CLIENT, folder), build(ROOT, folder)


@pytest.fixture(scope="session")
def server(wheels, tmp_path_factory):
    """The server with the photographs of its demonstration."""
    clean = Clean(tmp_path_factory.mktemp("server") / "venv")
    clean.link(LOCKS / "server.txt")
    clean.link(LOCKS / "dev.txt", only=DEMO)
    clean.install("--no-index", *map(str, wheels))
    return clean
