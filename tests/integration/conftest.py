import pytest

from tests.support.buckets import bucket_pair
from tests.support.databases import catalogue_at, postgres_database


@pytest.fixture(scope="session")
def postgres_url():
    with postgres_database() as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def catalogue(request, tmp_path_factory):
    """A catalogue of the module's own, on both databases in turn."""
    if request.param == "sqlite":
        with catalogue_at(f"sqlite:///{tmp_path_factory.mktemp('catalogue') / 'c.sqlite3'}") as made:
            yield made
        return
    with postgres_database() as url, catalogue_at(url) as made:
        yield made


@pytest.fixture(scope="session")
def buckets():
    with bucket_pair() as pair:
        yield pair


@pytest.fixture(params=["sqlite", "postgres"])
def fresh(request, tmp_path):
    """A catalogue of the test's own."""
    if request.param == "sqlite":
        with catalogue_at(f"sqlite:///{tmp_path / 'c.sqlite3'}") as made:
            yield made
        return
    with postgres_database() as url, catalogue_at(url) as made:
        yield made
