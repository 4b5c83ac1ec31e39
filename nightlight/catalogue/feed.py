"""What has changed since the last poll, of all that decisions are made by.

Rows are written by triggers, so that no change is missed, whoever makes it. On PostgreSQL numbers are given when a row
is written and seen when its transaction ends, so a later poll may meet a lower one: a poll therefore begins at the
oldest transaction that was still running at the poll before. What is told twice does no harm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import changes
from nightlight_core.errors import InvalidInput

if TYPE_CHECKING:
    from sqlalchemy import Connection

PROFILE, NAME = "profile", "name"
# Rows are kept for so long; who polled last before half of it begins anew.
KEPT_S = 7200
# Who missed more than so many begins anew too.
MOST = 20_000
CURSOR_PATTERN = r"^[0-9]{1,18}\.[0-9]{1,12}$"


@dataclass(frozen=True, slots=True)
class FeedPage:
    """What has changed, as (kind, key), and where the next poll begins; ``reset`` says to forget all that was known."""

    cursor: str
    changed: list[tuple[str, str]]
    reset: bool


class Feed(Rows):
    """Change rows, inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Work on ``connection``."""
        super().__init__(connection)
        self._postgresql = connection.dialect.name == "postgresql"

    def since(self, cursor: str | None) -> FeedPage:
        """Return what has changed since a look that ended at ``cursor``; raise InvalidInput if that is none of ours.

        Whoever reads after this, in this transaction or a later one, sees everything up to the new cursor.
        """
        begin, polled_at = _parsed(cursor)
        upto, now = self._position()
        if cursor is None or begin > upto or now - polled_at > KEPT_S // 2:
            return FeedPage(f"{upto}.{now}", [], reset=True)
        fresh = changes.c.txid >= begin if self._postgresql else changes.c.change_id > begin
        query = select(changes.c.kind, changes.c.key).where(fresh).limit(MOST + 1)
        rows = self._execute(query).all()
        if len(rows) > MOST:
            return FeedPage(f"{upto}.{now}", [], reset=True)
        return FeedPage(f"{upto}.{now}", list(dict.fromkeys((row[0], row[1]) for row in rows)), reset=False)

    def forget(self) -> None:
        """Forget what everybody has seen or will not ask for."""
        self._execute(delete(changes).where(changes.c.at < self._now() - KEPT_S))

    def _position(self) -> tuple[int, int]:
        if self._postgresql:
            oldest = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
            upto: int = self._connection.exec_driver_sql(oldest).scalar_one()
            return upto, self._now()
        last = self._connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").scalar()
        return int(last or 0), self._now()

    def _now(self) -> int:
        clock = "SELECT extract(epoch from clock_timestamp())::bigint"
        text = clock if self._postgresql else "SELECT CAST(strftime('%s', 'now') AS INTEGER)"
        now: int = self._connection.exec_driver_sql(text).scalar_one()
        return now


def _parsed(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    if not re.fullmatch(CURSOR_PATTERN, cursor):
        raise InvalidInput("this is no cursor of the feed", pointer="/after")
    begin, _, polled_at = cursor.partition(".")
    return int(begin), int(polled_at)
