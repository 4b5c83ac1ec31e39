"""Bring a database to the newest schema, take one step back, or say whether this release works with it.

A schema may be newer than a process: an expand step only adds, and ``schema_state`` says since which revision processes
work with it. So the release before serves on while the database is upgraded and the next one is rolled out.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, select, text, update
from sqlalchemy.exc import DBAPIError

from nightlight.catalogue.release_schema import schema_state
from nightlight_core.errors import CatalogueUnavailable, Conflict

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_SCRIPTS = Path(__file__).parent / "migrations"
_VERSIONS = "alembic_version"
# The first release whose connections overwrite what they delete from SQLite (catalogue.engine).
_OVERWRITES = "0006"
# The first revision that says which releases work with it, and that can be taken back.
FIRST_WITH_STATE = "0012"
# A migration waits so long for a lock, since everybody who comes after it waits behind it; then it lets all pass and
# tries again, so often. PostgreSQL looks for deadlocks after a second: by then it is the migration that has given way.
LOCK_S, TRIES, _PAUSE_S = 0.8, 40, 1.0
# No lock was to be had, or this transaction was chosen to end a deadlock.
_LOCK_NOT_AVAILABLE = frozenset({"55P03", "40P01"})
# Whoever migrates holds this advisory lock: two upgrades at once follow each other.
_ONE_AT_A_TIME = 5_731_204


def upgrade(engine: Engine) -> None:
    """Run every migration that the database lacks, each in a transaction of its own on PostgreSQL.

    Nothing is done to a newer schema that this release works with: a release can be taken back, and the next one's
    schema stays. Raises Conflict for one that it does not work with, and where a lock was not to be had for all of its
    tries: what was done until then stays, and it can be run again.
    """
    with engine.connect() as connection:
        before = revision_of(connection)
        if before is not None and before > newest_revision():
            if works_with(connection):
                return
            raise Conflict(f"the schema is {before}, of a newer release that this one does not work with")
    _run(engine, "upgrade", "head")
    with engine.begin() as connection:
        connection.execute(update(schema_state).values(works_for=oldest_that_works()))
    if engine.dialect.name == "sqlite" and before is not None and before < _OVERWRITES:
        # What was deleted before pages were overwritten is in free ones yet.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM"))


def downgrade(engine: Engine) -> str:
    """Take the newest migration back, with what it added; return the revision that is left.

    Raises Conflict where there is none that can be taken back: no process may need it any more.
    """
    with engine.connect() as connection:
        revision = revision_of(connection)
    if revision is None or revision <= FIRST_WITH_STATE or revision > newest_revision():
        raise Conflict(f"the schema is {revision}: this release can take back those after {FIRST_WITH_STATE} alone")
    _run(engine, "downgrade", "-1")
    with engine.begin() as connection:
        left = str(revision_of(connection))
        connection.execute(update(schema_state).values(works_for=oldest_that_works(left)))
    return left


def check_current(engine: Engine) -> None:
    """Raise CatalogueUnavailable unless the database answers, with a schema that this release works with."""
    try:
        with engine.connect() as connection:
            revision, works = revision_of(connection), works_with(connection)
    except DBAPIError as error:
        cause = str(error.orig).strip().splitlines()[:1]  # the address and the reason; no statement and no value
        raise CatalogueUnavailable(
            f"the database cannot be used: {cause[0] if cause else type(error).__name__}"
        ) from error
    if not works:
        message = f"the catalogue's schema is {revision}, {newest_revision()} is needed; run `nightlight catalogue "
        raise CatalogueUnavailable(f"{message}upgrade`")


def works_with(connection: Connection) -> bool:
    """Say whether this release works with the schema: it is its own, or a newer one that only adds to it."""
    revision, own = revision_of(connection), newest_revision()
    if revision == own:
        return True
    if revision is None or revision < own:
        return False
    works_for = connection.scalar(select(schema_state.c.works_for))
    return isinstance(works_for, str) and works_for <= own


def revision_of(connection: Connection) -> str | None:
    """Return the revision of the schema; None in a database without one."""
    if not inspect(connection).has_table(_VERSIONS):
        return None
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {_VERSIONS}"))  # noqa: S608
    return revision


def newest_revision() -> str:
    """Return the revision of the newest migration: files are named ``REVISION_what.py``, and revisions rise."""
    return max(path.name.partition("_")[0] for path in versions())


def oldest_that_works(newest: str | None = None) -> str:
    """Return the oldest revision whose processes work with a schema: that of its last contract step says which.

    Before FIRST_WITH_STATE no process asked, and each worked with its own schema alone.
    """
    oldest = FIRST_WITH_STATE
    for path in sorted(versions()):
        revision = path.name.partition("_")[0]
        if revision > FIRST_WITH_STATE and (newest is None or revision <= newest):
            oldest = max(oldest, getattr(_loaded(path), "works_for", oldest))
    return oldest


def versions() -> list[Path]:
    """Return the files of all migrations."""
    return list((_SCRIPTS / "versions").glob("[0-9]*_*.py"))


def _loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"nightlight_migration_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(engine: Engine, verb: str, to: str) -> None:
    # Every process looks whether the schema is its own, and only this command needs what changes it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    move: Callable[[Config, str], None] = getattr(command, verb)
    if engine.dialect.name == "sqlite":  # nobody else writes meanwhile
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            move(config, to)
        return
    with engine.connect() as connection:
        # They outlast the transactions of this connection, which is closed below and used by nobody else.
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text(f"SET lock_timeout = '{1000 * LOCK_S:.0f}ms'"))
        # Asked for again and again: a statement that waits for it would be waited for by an index that is being made.
        while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _ONE_AT_A_TIME}):
            connection.commit()
            time.sleep(_PAUSE_S)
        connection.commit()
        config.attributes["connection"] = connection
        try:
            _patiently(connection, lambda: move(config, to))
        finally:
            connection.invalidate()


def _patiently(connection: Connection, move: Callable[[], None]) -> None:
    """Move, and again where a lock was not to be had."""
    for _ in range(TRIES):
        try:
            move()
        except DBAPIError as error:
            connection.rollback()
            if getattr(error.orig, "sqlstate", None) not in _LOCK_NOT_AVAILABLE:
                raise
            time.sleep(_PAUSE_S)
        else:
            connection.commit()
            return
    raise Conflict(
        f"somebody holds a table for longer than {TRIES * (LOCK_S + _PAUSE_S):.0f} s: look for open transactions"
    )
