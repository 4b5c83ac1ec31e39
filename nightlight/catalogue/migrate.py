"""Bring a database to the newest schema, or say how far behind it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from nightlight_core.errors import CatalogueUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine

_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Run every migration that the database lacks."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # a migration may take longer than a request may
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check_current(engine: Engine) -> None:
    """Raise CatalogueUnavailable unless the database has exactly the schema that this release expects."""
    with engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if revision != head:
        message = f"the catalogue's schema is {revision}, {head} is needed; run `nightlight catalogue upgrade`"
        raise CatalogueUnavailable(message)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    return config
