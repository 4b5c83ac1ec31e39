"""Filled databases of earlier releases, as SQL: what an upgrade must carry on.

    python -m tests.support.releases 0.1      write the two files of a release that is about to be made (needs services)

Every table has two rows, whose values follow from the columns' names and types alone. A file is never written again once
its release is made: each schema change brings a migration, and ``test_upgrade.py`` runs it on every file.
"""

import json
import sqlite3
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Boolean, Date, Integer, LargeBinary, String, create_engine, insert, text
from sqlalchemy.engine import make_url

from nightlight.catalogue import migrate
from nightlight.catalogue.schema import UtcDateTime, metadata
from tests.support.databases import postgres_database

FOLDER = Path(__file__).parents[1] / "integration/catalogue/releases"
_SINCE = datetime(2026, 1, 1, tzinfo=UTC)


# The first kind that a column's type is of counts.
_VALUES = (
    (UtcDateTime, lambda _, number: _SINCE + timedelta(days=number)),
    (Date, lambda _, number: date(2026, 1, 1 + number)),
    (Boolean, lambda _, number: bool(number)),
    (LargeBinary, lambda _, number: bytes([number]) * 32),
    (Integer, lambda _, number: number + 1),
    (String, lambda column, number: f"{column.name[:12]}-{number}"[: column.type.length]),
)


# The migration wrote the only row of each.
_ONE_ROW = {"receipt_head", "takedown_revision", "schema_state", "catalogue_position"}


def _value(column, number):
    """A value of a column for the row of a number, 0 or 1; rows that refer to others refer to that of their number."""
    makers = (make for kind, make in _VALUES if isinstance(column.type, kind))
    return next(makers, lambda _, number: {"number": number})(column, number)


def fill(engine):
    """Write two rows into every table."""
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            if table.name in _ONE_ROW:
                continue
            for number in (0, 1):
                row = {
                    column.name: _value(column, number)
                    for column in table.columns
                    if not (column.primary_key and column.autoincrement is True)
                }
                connection.execute(insert(table).values(row))


def rows_of(engine):
    """Every row of a database, as text: {table: sorted list of JSON objects}."""
    with engine.connect() as connection:
        return {
            table.name: sorted(
                json.dumps(dict(row), sort_keys=True, default=repr)
                for row in connection.execute(table.select()).mappings()
            )
            for table in metadata.sorted_tables
        }


def dump(url):
    """The schema and rows of a database as SQL."""
    parsed = make_url(url)
    if parsed.drivername.startswith("sqlite"):
        with sqlite3.connect(parsed.database) as connection:
            return "\n".join(connection.iterdump()) + "\n"
    command = max(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"))
    plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    text_ = subprocess.run(
        [command, "--inserts", "--no-owner", "--no-privileges", "--no-comments", plain],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    kept = [line for line in text_.splitlines() if line and not line.startswith(("--", "\\", "SET "))]
    return "\n".join(line for line in kept if "set_config('search_path'" not in line) + "\n"


def load(url, sql):
    """Bring an empty database to what ``dump`` wrote."""
    parsed = make_url(url)
    if parsed.drivername.startswith("sqlite"):
        with sqlite3.connect(parsed.database) as connection:
            connection.executescript(sql)
        return
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.connection.driver_connection.execute(sql)
        connection.execute(text("SELECT 1"))
    engine.dispose()


def main(release):
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, postgres_database() as postgres:
        for kind, url in (("sqlite", f"sqlite:///{folder}/c.sqlite3"), ("postgres", postgres)):
            engine = create_engine(url)
            migrate.upgrade(engine)
            fill(engine)
            engine.dispose()
            (FOLDER / f"{release}.{kind}.sql").write_text(dump(url))


if __name__ == "__main__":
    main(sys.argv[1])
