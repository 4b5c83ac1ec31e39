"""What each kind of process may do in PostgreSQL: a role a kind, and for each table the verbs that its work needs.

Nobody but who migrates may change a table, and nobody at all what was audited or receipted. Everything that is not
named here is refused by the database. A test runs each kind's whole work under its role, and another holds this list to
the tables that there are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import text

from nightlight.catalogue import migrate
from nightlight.catalogue.schema import metadata
from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


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
_MOVED = ("band", "generation", "current_image_id", "state", "deactivated_at")


def _to(**verbs: tuple[str, ...]) -> dict[SqlRole, tuple[str, ...]]:
    """Return what each role may do with a table; nothing for a role that is not named."""
    return {SqlRole(role): allowed for role, allowed in verbs.items()}


# For each table, who may do what. Columns after UPDATE are those that may be written.
GRANTS: Mapping[str, Mapping[SqlRole, tuple[str, ...]]] = {
    "profiles": _to(
        service=_WRITE,
        worker=(_S, _I, f"{_U} (uploads, {', '.join(_MOVED)})", _D),
        keeper=(_S, f"{_U} (generation, current_image_id)"),
        schedule=(_S, f"{_U} (current_image_id)"),
        operator=(_S, _I, f"{_U} ({', '.join(_MOVED)})"),
    ),
    # A trigger lets nobody remove rows but those of what was deleted.
    "images": _to(service=_WRITE, worker=_QUEUE, keeper=_CHANGE, schedule=_CHANGE, operator=_CHANGE),
    "renditions": _to(service=_READ, worker=_QUEUE, keeper=_TAKE_AWAY, schedule=_READ, operator=_READ),
    "rendition_hashes": _to(service=_READ, worker=_QUEUE, keeper=_TAKE_AWAY, operator=_READ),
    "revocations": _to(service=_ADD, worker=_PUT_AND_TAKE, keeper=_ADD, schedule=_ADD, operator=_ADD),
    "blocks": _to(service=_PUT_AND_TAKE, operator=_TAKE_AWAY),
    "proof_revocations": _to(service=_QUEUE, schedule=_TAKE_AWAY, operator=_TAKE_AWAY),
    "canaries": _to(service=_ADD),
    "abuse_signals": _to(service=_WRITE, schedule=(f"{_S} (last_at)", _D), operator=_TAKE_AWAY),
    # An operator has events sent again; a trigger takes those of whoever was erased.
    "events": _to(
        service=_ADD,
        worker=_ADD,
        keeper=_ADD,
        schedule=_QUEUE,
        operator=(_S, _I, f"{_U} (attempts, next_at, taken_at)"),
    ),
    "webhook_endpoints": _to(schedule=_QUEUE, operator=_CHANGE),
    "webhook_public_keys": _to(service=_READ, schedule=_PUT_AND_TAKE, operator=_READ),
    "trace_jobs": _to(service=_QUEUE, worker=(_S, _U, _D), schedule=_CHANGE),
    "trace_origins": _to(service=_TAKE_AWAY, worker=_PUT_AND_TAKE, schedule=_TAKE_AWAY),
    # Rows are locked by who reads them for a decision, which asks for the right to write.
    "hash_lists": _to(worker=_WRITE, schedule=_WRITE, operator=_WRITE),
    "screenings": _to(worker=_QUEUE, schedule=_READ, operator=_READ),
    "hash_list_matches": _to(worker=_PUT_AND_TAKE, operator=_CHANGE),
    # The service takes verdicts on these, and nothing else of them; workers do what follows.
    "takedown_matches": _to(service=(_S, f"{_U} (verdict, decided_by, decided_at)"), worker=_QUEUE, operator=_CHANGE),
    "takedowns": _to(service=_WRITE, worker=_CHANGE, schedule=_CHANGE, operator=_WRITE),
    # What a worker wrote of these bounds how many are made: the service may not write it anew.
    "takedown_reviews": _to(
        service=(_S, _I, f"{_U} (state)"), worker=_QUEUE, schedule=(_S, f"{_U} (state)"), operator=(_S, f"{_U} (state)")
    ),
    "takedown_revision": _to(service=_CHANGE, worker=_CHANGE, operator=_READ),
    "view_hashes": _to(worker=_QUEUE),
    "jobs": _to(service=_ADD, worker=_QUEUE, schedule=_WRITE, imports=_ADD, keeper=_ADD, operator=_ADD),
    "written_keys": _to(worker=_QUEUE),
    "outbox": _to(service=_ADD, worker=_ADD, schedule=_QUEUE, imports=_ADD, keeper=_ADD, operator=_ADD),
    "idempotency": _to(service=_PUT_AND_TAKE, worker=_PUT_AND_TAKE, schedule=_TAKE_AWAY, operator=_TAKE_AWAY),
    "policy_bundles": _to(service=_ADD, worker=_READ, schedule=_READ, operator=_READ),
    "policy_state": _to(service=_WRITE, worker=_READ, schedule=_READ, operator=_READ),
    "policy_withdrawals": _to(service=_ADD, operator=_READ),
    "policy_scheduled": _to(service=_PUT_AND_TAKE, operator=_READ),
    "recipes": _to(service=_READ, worker=_ADD, operator=_READ),
    "rerenders": _to(service=_READ, worker=_WRITE, operator=_WRITE),
    "rerender_demand": _to(service=_QUEUE, worker=_TAKE_AWAY, operator=_READ),
    "decision_counts": _to(service=_WRITE, schedule=(f"{_S} (day)", _D), operator=_READ),
    # Written by triggers, as whoever wrote what they watch.
    "changes": _to(service=_ADD, worker=_ADD, schedule=_PUT_AND_TAKE, keeper=_ADD, operator=_ADD),
    # Another trigger lets it drop lines about images that are gone, and lines of more than a year ago.
    "audit": {**dict.fromkeys(SqlRole, _ADD), SqlRole.WORKER: _PUT_AND_TAKE},
    "receipts": _to(service=_READ, worker=_ADD, keeper=_ADD, operator=_READ),
    "receipt_head": _to(worker=_CHANGE, keeper=_CHANGE, schedule=_READ, operator=_READ),
    "erasures": _to(worker=_QUEUE),
    "tombstones": _to(service=_READ, worker=_QUEUE, schedule=_READ, operator=_READ),
    # An operator places holds, and does not end them.
    "holds": _to(service=_WRITE, worker=_CHANGE, keeper=_CHANGE, schedule=_READ, operator=(_S, _I, f"{_U} (state)")),
    "held": _to(service=_ADD, worker=_TAKE_AWAY, keeper=_READ, operator=_ADD),
    "vaulted": _to(service=_READ, worker=_ADD, keeper=_TAKE_AWAY, operator=_READ),
    "sweeps": _to(worker=(_S, _U, _D), schedule=_ADD, operator=_WRITE),
    # A profile that is deleted is forgotten in what imports told of keys that they left out.
    "imports": _to(service=(_S, f"{_U} (left_out)"), worker=(_S, f"{_U} (left_out)"), imports=_READ, operator=_WRITE),
    "import_items": _to(service=_WRITE, worker=(_S, _U, _D), imports=_WRITE, operator=_WRITE),
    # What a worker wrote of an export bounds how many are made: the service may not write it anew.
    "exports": _to(
        service=(_S, _I, f"{_U} (state, profile_id)"),
        worker=_CHANGE,
        schedule=(_S, f"{_U} (state)", _D),
        operator=(_S, f"{_U} (state, profile_id)"),
    ),
    "catalogue_position": _to(service=_READ, worker=_READ, schedule=_CHANGE, imports=_READ, operator=_READ),
    "lifecycles": _to(operator=_WRITE),
    "lifecycle_snapshots": _to(operator=_PUT_AND_TAKE),
    # Alembic's own, and ours: every process looks whether it works with the schema.
    "alembic_version": dict.fromkeys(SqlRole, _READ),
    "schema_state": dict.fromkeys(SqlRole, _READ),
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


def missing_rights(connection: Connection, role: SqlRole) -> list[str]:
    """Return the tables for which whoever is connected lacks a right that ``role`` has; none where there are no roles.

    Of an UPDATE of some columns, the right to one of them is looked for.
    """
    if connection.dialect.name != "postgresql":
        return []
    rights = [
        {"named": table, "verb": verb.partition(" ")[0]}
        for table, grants in GRANTS.items()
        for verb in grants.get(role, ())
    ]
    lacks = text(
        "SELECT named FROM json_to_recordset(:rights) AS needed (named text, verb text) "
        "WHERE to_regclass(named) IS NOT NULL AND NOT CASE verb WHEN 'DELETE' THEN has_table_privilege(named, verb) "
        "ELSE has_any_column_privilege(named, verb) END"
    )
    return sorted(set(connection.scalars(lacks, {"rights": json.dumps(rights)})))


def apply_grants(engine: Engine, prefix: str = "nightlight") -> bool:
    """Make the roles and their grants, in one transaction; say whether it was done.

    A newer schema keeps its own: they cover what this release needs, and its processes may run beside. Raises
    SettingsRefused where the database has no roles.
    """
    if engine.dialect.name != "postgresql":
        raise SettingsRefused("only PostgreSQL has roles; an SQLite file belongs to whoever may open it")
    with engine.begin() as connection:
        revision = migrate.revision_of(connection)
        if revision is not None and revision > migrate.newest_revision():
            return False
        for statement in grant_statements(prefix):
            connection.execute(text(statement))
    return True
