"""What every subject of the catalogue has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection, Executable, Table


class Rows:
    """The rows of one subject, read and written inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Work on ``connection``."""
        self._connection, self._execute = connection, connection.execute

    def _count(self, statement: Executable) -> int:
        """Return the number that a statement gives, in its one row."""
        number: int = self._execute(statement).scalar_one()
        return number


def add_if_absent(connection: Connection, into: Table) -> Executable:
    """Return the statement that inserts rows, and leaves alone those whose key is there already."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(into).on_conflict_do_nothing()
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(into).on_conflict_do_nothing()
