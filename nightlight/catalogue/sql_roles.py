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

from nightlight.catalogue.tables import metadata
from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Role(StrEnum):
    """A kind of process."""

    SERVICE = "service"  # python -m service
    WORKER = "worker"  # python -m workers work
    SCHEDULE = "schedule"  # python -m workers schedule
    INTAKE = "intake"  # python -m workers intake
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
GRANTS: Mapping[str, Mapping[Role, tuple[str, ...]]] = {
    "profiles": {
        Role.SERVICE: _WRITE,
        Role.WORKER: (_S, _I, f"{_U} (uploads, {', '.join(_MOVED)})"),
        Role.KEEPER: (_S, f"{_U} (generation, current_image_id)"),
        Role.SCHEDULE: (_S, f"{_U} (current_image_id)"),
        Role.OPERATOR: (_S, _I, f"{_U} ({', '.join(_MOVED)})"),
    },
    "images": {
        Role.SERVICE: _WRITE,
        Role.WORKER: _WRITE,
        Role.KEEPER: _CHANGE,
        Role.SCHEDULE: _CHANGE,
        Role.OPERATOR: _CHANGE,
    },
    "renditions": {
        Role.SERVICE: _READ,
        Role.WORKER: _QUEUE,
        Role.KEEPER: _TAKE_AWAY,
        Role.SCHEDULE: _READ,
        Role.OPERATOR: _READ,
    },
    "rendition_hashes": {
        Role.SERVICE: _READ,
        Role.WORKER: _QUEUE,
        Role.KEEPER: _TAKE_AWAY,
        Role.OPERATOR: _READ,
    },
    "revocations": {
        Role.SERVICE: _ADD,
        Role.WORKER: _PUT_AND_TAKE,
        Role.KEEPER: _ADD,
        Role.SCHEDULE: _ADD,
        Role.OPERATOR: _ADD,
    },
    "blocks": {Role.SERVICE: _PUT_AND_TAKE, Role.OPERATOR: _TAKE_AWAY},
    "proof_revocations": {Role.SERVICE: _QUEUE, Role.SCHEDULE: _TAKE_AWAY, Role.OPERATOR: _TAKE_AWAY},
    "canaries": {Role.SERVICE: _ADD},
    "suspects": {Role.SERVICE: _WRITE, Role.OPERATOR: _TAKE_AWAY},
    "events": {
        Role.SERVICE: _ADD,
        Role.WORKER: _ADD,
        Role.KEEPER: _ADD,
        Role.SCHEDULE: _QUEUE,
        Role.OPERATOR: _ADD,
    },
    "traces": {
        Role.SERVICE: _QUEUE,
        Role.WORKER: _CHANGE,
        Role.SCHEDULE: _CHANGE,
    },
    "trace_origins": {Role.SERVICE: _TAKE_AWAY, Role.WORKER: _PUT_AND_TAKE, Role.SCHEDULE: _TAKE_AWAY},
    # Rows are locked by who reads them for a decision, which asks for the right to write.
    "hash_lists": {Role.WORKER: _WRITE, Role.SCHEDULE: _WRITE, Role.OPERATOR: _WRITE},
    "screenings": {Role.WORKER: _QUEUE, Role.SCHEDULE: _READ, Role.OPERATOR: _READ},
    "list_matches": {Role.WORKER: _ADD, Role.OPERATOR: _CHANGE},
    "jobs": {
        Role.SERVICE: _ADD,
        Role.WORKER: _WRITE,
        Role.SCHEDULE: _WRITE,
        Role.INTAKE: _ADD,
        Role.KEEPER: _ADD,
        Role.OPERATOR: _ADD,
    },
    "outbox": {
        Role.SERVICE: _ADD,
        Role.WORKER: _ADD,
        Role.SCHEDULE: _QUEUE,
        Role.INTAKE: _ADD,
        Role.KEEPER: _ADD,
        Role.OPERATOR: _ADD,
    },
    "idempotency": {
        Role.SERVICE: _PUT_AND_TAKE,
        Role.WORKER: _PUT_AND_TAKE,
        Role.SCHEDULE: _TAKE_AWAY,
        Role.OPERATOR: _TAKE_AWAY,
    },
    "policy_bundles": {
        Role.SERVICE: _ADD,
        Role.WORKER: _READ,
        Role.SCHEDULE: _READ,
        Role.OPERATOR: _READ,
    },
    "policy_state": {
        Role.SERVICE: _WRITE,
        Role.WORKER: _READ,
        Role.SCHEDULE: _READ,
        Role.OPERATOR: _READ,
    },
    "policy_withdrawals": {Role.SERVICE: _ADD, Role.OPERATOR: _READ},
    "decision_counts": {Role.SERVICE: _WRITE, Role.OPERATOR: _READ},
    # Written by triggers, as whoever wrote what they watch.
    "changes": {
        Role.SERVICE: _ADD,
        Role.WORKER: _ADD,
        Role.SCHEDULE: _PUT_AND_TAKE,
        Role.KEEPER: _ADD,
        Role.OPERATOR: _ADD,
    },
    "audit": dict.fromkeys(Role, _ADD),
    "receipts": {
        Role.SERVICE: _READ,
        Role.WORKER: _ADD,
        Role.KEEPER: _ADD,
        Role.OPERATOR: _READ,
    },
    "receipt_head": {Role.WORKER: _CHANGE, Role.KEEPER: _CHANGE, Role.OPERATOR: _READ},
    "erasures": {Role.WORKER: _QUEUE},
    "holds": {
        Role.SERVICE: _WRITE,
        Role.WORKER: _CHANGE,
        Role.KEEPER: _CHANGE,
        Role.SCHEDULE: _READ,
        # Places holds, and does not end them.
        Role.OPERATOR: (_S, _I, f"{_U} (state)"),
    },
    "held": {
        Role.SERVICE: _ADD,
        Role.WORKER: _READ,
        Role.KEEPER: _READ,
        Role.OPERATOR: _ADD,
    },
    "vaulted": {Role.SERVICE: _READ, Role.WORKER: _ADD, Role.KEEPER: _TAKE_AWAY, Role.OPERATOR: _READ},
    "sweeps": {Role.WORKER: _CHANGE, Role.SCHEDULE: _ADD, Role.OPERATOR: _WRITE},
    "imports": {Role.SERVICE: _READ, Role.WORKER: _READ, Role.INTAKE: _READ, Role.OPERATOR: _WRITE},
    "arrivals": {
        Role.SERVICE: _WRITE,
        Role.WORKER: _CHANGE,
        Role.INTAKE: _WRITE,
        Role.OPERATOR: _WRITE,
    },
    "lifecycles": {Role.OPERATOR: _WRITE},
    "lifecycle_snapshots": {Role.OPERATOR: _PUT_AND_TAKE},
    # Alembic's own: every process looks whether the schema is its own.
    "alembic_version": dict.fromkeys(Role, _READ),
}
_PREFIX = re.compile(r"[a-z][a-z0-9_]{0,39}")


def name(role: Role, prefix: str) -> str:
    """Return the name of a role in the database."""
    return f"{prefix}_{role.value}"


def statements(prefix: str = "nightlight") -> list[str]:
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
    for role in Role:
        named = name(role, prefix)
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
    found = metadata.tables.get(table)
    column = found.autoincrement_column if found is not None else None
    return f"{table}_{column.name}_seq" if column is not None else None


def apply(engine: Engine, prefix: str = "nightlight") -> None:
    """Make the roles and their grants, in one transaction; raise SettingsRefused where the database has no roles."""
    if engine.dialect.name != "postgresql":
        message = "only PostgreSQL has roles; an SQLite file belongs to whoever may open it"
        raise SettingsRefused(message)
    with engine.begin() as connection:
        for statement in statements(prefix):
            connection.execute(text(statement))
