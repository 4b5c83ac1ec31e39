"""What ``/readyz`` says: each part that a process needs, by name, ``ok`` or the code of what is wrong with it.

Every check meets the real part, and none changes anything there. ::

    part                    codes besides those of errors that it raises
    catalogue               catalogue_unavailable
    schema                  schema_behind: a migration is missing, or one took away what this release needs
    role                    role_lacks_rights: the role is another's, or `nightlight catalogue grants` has not run
    clock                   clock_skewed: this machine's clock and the database's differ by more than tokens may
    originals, renditions   store_unavailable, store_credentials_refused, bucket_missing, clock_skewed
    position                catalogue_restored: the database is behind what was written, or is being mended
    disk                    disk_full, disk_unusable: the folder for temporary files
    feed                    feed_stale: what the service keeps of profiles cannot be brought up to date
    callers                 callers_keys_missing: no key by which a caller could be let in
    queue                   queue_unavailable
    process                 draining: the service was told to end, and serves on for a while (service.draining)
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nightlight import logs
from nightlight.catalogue import migrate, sql_roles
from nightlight_core.errors import CatalogueUnavailable, NightlightError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from nightlight.catalogue.engine import Catalogue
    from nightlight.catalogue.sql_roles import SqlRole
    from nightlight_core.clock import Clock

OK = "ok"
# A check returns a code, or raises the NightlightError that has it.
Check = Callable[[], str | None]
# What the system says where a file has no room.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PROBE_BYTES = 65_536


def run_checks(checks: Mapping[str, Check]) -> dict[str, str]:
    """Return what each check says. Whatever else a check raises is logged, and is ``internal``."""
    return {name: _run(name, check) for name, check in checks.items()}


def _run(name: str, check: Check) -> str:
    try:
        return check() or OK
    except NightlightError as error:
        return error.code
    except Exception as error:  # noqa: BLE001 - a part that fails in a new way is not ready, and is named all the same
        logs.get("readiness").error("readiness.check_failed", part=name, detail=type(error).__name__)
        return NightlightError.code


def catalogue_checks(catalogue: Catalogue, role: SqlRole, clock: Clock, most_skew_s: float) -> dict[str, Check]:
    """Return the checks of the database. ``most_skew_s``: seconds that its clock and ours may differ by."""

    def asked(question: Callable[[Connection], str | None]) -> Check:
        def check() -> str | None:
            try:
                with catalogue.reading(gated=False) as tx:
                    return question(tx.connection)
            except DBAPIError as error:  # refused rather than unanswered
                raise CatalogueUnavailable(type(error).__name__) from error

        return check

    def schema(connection: Connection) -> str | None:
        return None if migrate.works_with(connection) else "schema_behind"

    def rights(connection: Connection) -> str | None:
        return "role_lacks_rights" if sql_roles.missing_rights(connection, role) else None

    def time_of_day(connection: Connection) -> str | None:
        if connection.dialect.name != "postgresql":  # SQLite has this machine's clock
            return None
        database_s = float(connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())")) or 0)
        return "clock_skewed" if abs(database_s - clock().timestamp()) > most_skew_s else None

    questions = {"schema": schema, "role": rights, "clock": time_of_day}
    return {"catalogue": catalogue.ready, **{name: asked(question) for name, question in questions.items()}}


def disk_check(least_bytes: int) -> Check:
    """Return the check of the folder for temporary files, where an upload of ``least_bytes`` must have room."""

    def check() -> str | None:
        try:
            folder = tempfile.gettempdir()
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
            return "disk_full" if shutil.disk_usage(folder).free < least_bytes else None
        except OSError as error:
            return "disk_full" if error.errno in FULL else "disk_unusable"

    return check
