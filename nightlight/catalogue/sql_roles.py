"""What each kind of process may do in PostgreSQL: a role a kind, and for each table the verbs that its work needs.

Nobody but who migrates may change a table, and nobody at all what was audited or receipted. Everything that is not
named here is refused by the database. A test runs each kind's whole work under its role, and another holds this list to
the tables that there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import text

from nightlight.catalogue.schema import metadata
from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from sqlalchemy import Engine


class SqlRole(StrEnum):
    """A kind of process."""

    SERVICE = "service"  # python -m service
    WORKER = "worker"  # python -m workers work
    SCHEDULE = "schedule"  # python -m workers schedule
    IMPORTS = "imports"  # python -m workers imports
    KEEPER = "keeper"  # nightlight hold end
    OPERATOR = "operator"  # the other commands of nightlight


_S, _I, _U, _D = "SELECT", "INSERT", "UPDATE", "DELETE"
_READ = (_S,)
_ADD = (_S, _I)
_WRITE = (_S, _I, _U)
_CHANGE = (_S, _U)
_QUEUE = (_S, _I, _U, _D)
_TAKE_AWAY = (_S, _D)
_PUT_AND_TAKE = (_S, _I, _D)
# What a profile's row says of its owner is the platform's to say, by way of the service; others move on what follows.
_MOVED = ("band", "generation", "current_image_id", "state")

# For each table, who may do what. Columns after UPDATE are those that may be written.
GRANTS: Mapping[str, Mapping[SqlRole, tuple[str, ...]]] = {
    "profiles": {
        SqlRole.SERVICE: _WRITE,
        SqlRole.WORKER: (_S, _I, f"{_U} (uploads, {', '.join(_MOVED)})"),
        SqlRole.KEEPER: (_S, f"{_U} (generation, current_image_id)"),
        SqlRole.SCHEDULE: (_S, f"{_U} (current_image_id)"),
        SqlRole.OPERATOR: (_S, _I, f"{_U} ({', '.join(_MOVED)})"),
    },
    "images": {
        SqlRole.SERVICE: _WRITE,
        SqlRole.WORKER: _WRITE,
        SqlRole.KEEPER: _CHANGE,
        SqlRole.SCHEDULE: _CHANGE,
        SqlRole.OPERATOR: _CHANGE,
    },
    "renditions": {
        SqlRole.SERVICE: _READ,
        SqlRole.WORKER: _QUEUE,
        SqlRole.KEEPER: _TAKE_AWAY,
        SqlRole.SCHEDULE: _READ,
        SqlRole.OPERATOR: _READ,
    },
    "rendition_hashes": {
        SqlRole.SERVICE: _READ,
        SqlRole.WORKER: _QUEUE,
        SqlRole.KEEPER: _TAKE_AWAY,
        SqlRole.OPERATOR: _READ,
    },
    "revocations": {
        SqlRole.SERVICE: _ADD,
        SqlRole.WORKER: _PUT_AND_TAKE,
        SqlRole.KEEPER: _ADD,
        SqlRole.SCHEDULE: _ADD,
        SqlRole.OPERATOR: _ADD,
    },
    "blocks": {SqlRole.SERVICE: _PUT_AND_TAKE, SqlRole.OPERATOR: _TAKE_AWAY},
    "proof_revocations": {SqlRole.SERVICE: _QUEUE, SqlRole.SCHEDULE: _TAKE_AWAY, SqlRole.OPERATOR: _TAKE_AWAY},
    "canaries": {SqlRole.SERVICE: _ADD},
    "abuse_signals": {SqlRole.SERVICE: _WRITE, SqlRole.OPERATOR: _TAKE_AWAY},
    "events": {
        SqlRole.SERVICE: _ADD,
        SqlRole.WORKER: _ADD,
        SqlRole.KEEPER: _ADD,
        SqlRole.SCHEDULE: _QUEUE,
        SqlRole.OPERATOR: _ADD,
    },
    "trace_jobs": {
        SqlRole.SERVICE: _QUEUE,
        SqlRole.WORKER: _CHANGE,
        SqlRole.SCHEDULE: _CHANGE,
    },
    "trace_origins": {SqlRole.SERVICE: _TAKE_AWAY, SqlRole.WORKER: _PUT_AND_TAKE, SqlRole.SCHEDULE: _TAKE_AWAY},
    # Rows are locked by who reads them for a decision, which asks for the right to write.
    "hash_lists": {SqlRole.WORKER: _WRITE, SqlRole.SCHEDULE: _WRITE, SqlRole.OPERATOR: _WRITE},
    "screenings": {SqlRole.WORKER: _QUEUE, SqlRole.SCHEDULE: _READ, SqlRole.OPERATOR: _READ},
    "hash_list_matches": {SqlRole.WORKER: _ADD, SqlRole.OPERATOR: _CHANGE},
    "jobs": {
        SqlRole.SERVICE: _ADD,
        SqlRole.WORKER: _WRITE,
        SqlRole.SCHEDULE: _WRITE,
        SqlRole.IMPORTS: _ADD,
        SqlRole.KEEPER: _ADD,
        SqlRole.OPERATOR: _ADD,
    },
    "outbox": {
        SqlRole.SERVICE: _ADD,
        SqlRole.WORKER: _ADD,
        SqlRole.SCHEDULE: _QUEUE,
        SqlRole.IMPORTS: _ADD,
        SqlRole.KEEPER: _ADD,
        SqlRole.OPERATOR: _ADD,
    },
    "idempotency": {
        SqlRole.SERVICE: _PUT_AND_TAKE,
        SqlRole.WORKER: _PUT_AND_TAKE,
        SqlRole.SCHEDULE: _TAKE_AWAY,
        SqlRole.OPERATOR: _TAKE_AWAY,
    },
    "policy_bundles": {
        SqlRole.SERVICE: _ADD,
        SqlRole.WORKER: _READ,
        SqlRole.SCHEDULE: _READ,
        SqlRole.OPERATOR: _READ,
    },
    "policy_state": {
        SqlRole.SERVICE: _WRITE,
        SqlRole.WORKER: _READ,
        SqlRole.SCHEDULE: _READ,
        SqlRole.OPERATOR: _READ,
    },
    "policy_withdrawals": {SqlRole.SERVICE: _ADD, SqlRole.OPERATOR: _READ},
    "decision_counts": {SqlRole.SERVICE: _WRITE, SqlRole.OPERATOR: _READ},
    # Written by triggers, as whoever wrote what they watch.
    "changes": {
        SqlRole.SERVICE: _ADD,
        SqlRole.WORKER: _ADD,
        SqlRole.SCHEDULE: _PUT_AND_TAKE,
        SqlRole.KEEPER: _ADD,
        SqlRole.OPERATOR: _ADD,
    },
    "audit": dict.fromkeys(SqlRole, _ADD),
    "receipts": {
        SqlRole.SERVICE: _READ,
        SqlRole.WORKER: _ADD,
        SqlRole.KEEPER: _ADD,
        SqlRole.OPERATOR: _READ,
    },
    "receipt_head": {SqlRole.WORKER: _CHANGE, SqlRole.KEEPER: _CHANGE, SqlRole.OPERATOR: _READ},
    "erasures": {SqlRole.WORKER: _QUEUE},
    "holds": {
        SqlRole.SERVICE: _WRITE,
        SqlRole.WORKER: _CHANGE,
        SqlRole.KEEPER: _CHANGE,
        SqlRole.SCHEDULE: _READ,
        # Places holds, and does not end them.
        SqlRole.OPERATOR: (_S, _I, f"{_U} (state)"),
    },
    "held": {
        SqlRole.SERVICE: _ADD,
        SqlRole.WORKER: _READ,
        SqlRole.KEEPER: _READ,
        SqlRole.OPERATOR: _ADD,
    },
    "vaulted": {SqlRole.SERVICE: _READ, SqlRole.WORKER: _ADD, SqlRole.KEEPER: _TAKE_AWAY, SqlRole.OPERATOR: _READ},
    "sweeps": {SqlRole.WORKER: _CHANGE, SqlRole.SCHEDULE: _ADD, SqlRole.OPERATOR: _WRITE},
    "imports": {SqlRole.SERVICE: _READ, SqlRole.WORKER: _READ, SqlRole.IMPORTS: _READ, SqlRole.OPERATOR: _WRITE},
    "import_items": {
        SqlRole.SERVICE: _WRITE,
        SqlRole.WORKER: _CHANGE,
        SqlRole.IMPORTS: _WRITE,
        SqlRole.OPERATOR: _WRITE,
    },
    "lifecycles": {SqlRole.OPERATOR: _WRITE},
    "lifecycle_snapshots": {SqlRole.OPERATOR: _PUT_AND_TAKE},
    # Alembic's own: every process looks whether the schema is its own.
    "alembic_version": dict.fromkeys(SqlRole, _READ),
}
_PREFIX = re.compile(r"[a-z][a-z0-9_]{0,39}")


def role_name(role: SqlRole, prefix: str) -> str:
    """Return the name of a role in the database."""
    return f"{prefix}_{role.value}"


def grant_statements(prefix: str = "nightlight") -> list[str]:
    """Return the SQL that gives each role what is its own and takes away all else; run it as who migrates.

    Roles that are not there are made, without a password and unable to log in. Raises SettingsRefused for a prefix that
    is no plain word.
    """
    if not _PREFIX.fullmatch(prefix):
        message = "the prefix of roles is 1 to 40 lower-case letters, digits or underscores, and begins with a letter"
        raise SettingsRefused(message)
    return list(_statements(prefix))


def _statements(prefix: str) -> Iterator[str]:
    yield "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    yield "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC"
    for role in SqlRole:
        named = role_name(role, prefix)
        yield (
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{named}') "
            f"THEN CREATE ROLE {named} NOLOGIN; END IF; END $$"
        )
        yield f"GRANT USAGE ON SCHEMA public TO {named}"
        yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {named}"
        yield f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {named}"
        for table, grants in GRANTS.items():
            if role in grants:
                yield f"GRANT {', '.join(grants[role])} ON {table} TO {named}"
                numbered = sequence_of(table)
                if numbered is not None and _I in grants[role]:
                    yield f"GRANT USAGE ON SEQUENCE {numbered} TO {named}"


def sequence_of(table: str) -> str | None:
    """Return the sequence that numbers a table's rows; None where they are numbered otherwise."""
    known_table = metadata.tables.get(table)
    column = known_table.autoincrement_column if known_table is not None else None
    return f"{table}_{column.name}_seq" if column is not None else None


def apply_grants(engine: Engine, prefix: str = "nightlight") -> None:
    """Make the roles and their grants, in one transaction; raise SettingsRefused where the database has no roles."""
    if engine.dialect.name != "postgresql":
        message = "only PostgreSQL has roles; an SQLite file belongs to whoever may open it"
        raise SettingsRefused(message)
    with engine.begin() as connection:
        for statement in grant_statements(prefix):
            connection.execute(text(statement))
