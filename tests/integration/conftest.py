import pytest

from tests.support.buckets import bucket_pair
from tests.support.databases import catalogue_on, postgres_database


@pytest.fixture(scope="session")
def postgres_url():
    with postgres_database() as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def catalogue(request, tmp_path_factory):
    """A catalogue of the module's own, on both databases in turn."""
    with catalogue_on(request.param, tmp_path_factory.mktemp("catalogue")) as made:
        yield made


@pytest.fixture(scope="session")
def buckets():
    with bucket_pair() as pair:
        yield pair


@pytest.fixture(params=["sqlite", "postgres"])
def fresh(request, tmp_path):
    """A catalogue of the test's own."""
    with catalogue_on(request.param, tmp_path) as made:
        yield made
