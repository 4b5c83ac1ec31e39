"""Steps of migrations that run beside processes: indexes made concurrently, rows changed in batches.

Each may be stopped anywhere and run again. On SQLite, where nobody else writes meanwhile, they are plain statements.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

# Rows in one transaction: each is locked for as long as that takes, some ten milliseconds.
BATCH_ROWS = 1_000
# As long again is left to everybody else.
_PAUSE_S = 0.05


def create_index(name: str, table: str, columns: Sequence[str], **options: Any) -> None:
    """Make an index without keeping anybody from writing; one that was left half made is made again."""
    if op.get_bind().dialect.name == "sqlite":
        op.create_index(name, table, list(columns), if_not_exists=True, **options)
        return
    with op.get_context().autocommit_block():
        # PostgreSQL leaves an invalid one behind where it is interrupted.
        invalid = sa.text(
            "SELECT 1 FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
            "WHERE relname = :name AND NOT indisvalid AND pg_table_is_visible(indexrelid)"
        )
        if op.get_bind().scalar(invalid, {"name": name}):
            op.drop_index(name, postgresql_concurrently=True)
        op.create_index(name, table, list(columns), postgresql_concurrently=True, if_not_exists=True, **options)


def drop_index(name: str, table: str) -> None:
    """Drop an index likewise."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index(name, table, if_exists=True)
        return
    with op.get_context().autocommit_block():
        op.drop_index(name, table, postgresql_concurrently=True, if_exists=True)


def replace_trigger(name: str, definition: str) -> None:
    """Make a trigger of SQLite anew; on PostgreSQL its function is replaced, which takes no lock of the table."""
    op.execute(f"DROP TRIGGER IF EXISTS {name}")
    op.execute(f"CREATE TRIGGER {name} {definition}")


def backfill(table: str, key: str, values: str, where: str, *, rows: int = BATCH_ROWS) -> int:
    """Run ``UPDATE table SET values WHERE where``, ``rows`` at a time by their key; return how many rows there were.

    ``where`` must be false for a row that was changed: so it goes on where it was stopped.
    """
    batch = sa.text(
        f"UPDATE {table} SET {values} WHERE {key} IN "
        f"(SELECT {key} FROM {table} WHERE {where} ORDER BY {key} LIMIT {int(rows)})"
    )
    if op.get_bind().dialect.name == "sqlite":
        done = 0
        while changed := op.get_bind().execute(batch).rowcount:
            done += changed
        return done
    done = 0
    with op.get_context().autocommit_block():
        while changed := op.get_bind().execute(batch).rowcount:
            done += changed
            time.sleep(_PAUSE_S)
    return done
