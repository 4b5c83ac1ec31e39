"""A filled database of every release so far comes to today's schema with all of its rows."""

import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from nightlight.catalogue import migrate
from nightlight.catalogue.schema import metadata
from tests.support.databases import postgres_database
from tests.support.releases import FOLDER, fill, load, rows_of

pytestmark = pytest.mark.integration
RELEASES = sorted(
    {path.name.removesuffix(f".{kind}.sql") for kind in ("sqlite", "postgres") for path in FOLDER.glob(f"*.{kind}.sql")}
)


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request, tmp_path):
    if request.param == "sqlite":
        yield request.param, f"sqlite:///{tmp_path / 'c.sqlite3'}"
        return
    with postgres_database() as url:
        yield request.param, url


def test_there_is_a_release_to_upgrade_from():
    assert RELEASES


@pytest.mark.parametrize("release", RELEASES)
def test_a_filled_database_of_a_release_is_upgraded_with_all_its_rows(empty, release, tmp_path):
    kind, url = empty
    dump = (FOLDER / f"{release}.{kind}.sql").read_text()
    load(url, dump)
    engine = create_engine(url)
    migrate.upgrade(engine)
    migrate.check_current(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    table_rows = rows_of(engine)
    # Tables that are newer than the release are empty.
    of_release = set(re.findall(r"CREATE TABLE (?:public\.)?\"?(\w+)", dump)) - {
        "receipt_head",
        "takedown_revision",
        "schema_state",
        "catalogue_position",
    }
    assert of_release >= {"profiles", "images", "renditions"}
    short = {table: rows for table, rows in table_rows.items() if table in of_release and len(rows) < 2}
    assert not short
    with engine.begin() as connection, pytest.raises(Exception, match="append-only"):
        connection.execute(text("DELETE FROM audit"))
    engine.dispose()


def test_the_newest_revision_is_alembics_head():
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.newest_revision()]


def test_todays_schema_can_be_filled(empty):
    """So that the next release can be kept as this one is."""
    _, url = empty
    engine = create_engine(url)
    migrate.upgrade(engine)
    fill(engine)
    assert all(rows_of(engine).values())
    engine.dispose()
