"""Bring a database to the newest schema, or say how far behind it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from nightlight_core.errors import CatalogueUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine

_SCRIPTS = Path(__file__).parent / "migrations"
_VERSIONS = "alembic_version"
# The first release whose connections overwrite what they delete from SQLite (catalogue.engine).
_OVERWRITES = "0006"


def upgrade(engine: Engine) -> None:
    """Run every migration that the database lacks."""
    # Every process looks whether the schema is its own, and only this command needs what changes it.
    from alembic import command
    from alembic.config import Config

    before = _revision(engine)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # a migration may take longer than a request may
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        config = Config()
        config.set_main_option("script_location", str(_SCRIPTS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    if engine.dialect.name == "sqlite" and before is not None and before < _OVERWRITES:
        # What was deleted before pages were overwritten is in free ones yet.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM"))


def check_current(engine: Engine) -> None:
    """Raise CatalogueUnavailable unless the database has exactly the schema that this release expects."""
    revision = _revision(engine)
    head = newest_revision()
    if revision != head:
        message = f"the catalogue's schema is {revision}, {head} is needed; run `nightlight catalogue upgrade`"
        raise CatalogueUnavailable(message)


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        known = inspect(connection).has_table(_VERSIONS)
        revision: str | None = (
            connection.scalar(text(f"SELECT version_num FROM {_VERSIONS}")) if known else None  # noqa: S608
        )
    return revision


def newest_revision() -> str:
    """Return the revision of the newest migration: files are named ``REVISION_what.py``, and revisions rise."""
    return max(path.name.partition("_")[0] for path in (_SCRIPTS / "versions").glob("[0-9]*_*.py"))
