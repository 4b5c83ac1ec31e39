"""What has changed since the last poll, of all that decisions are made by.

Rows are written by triggers, so that no change is missed, whoever makes it. On PostgreSQL numbers are given when a row
is written and seen when its transaction ends, so a later poll may meet a lower one. The cursor is therefore a snapshot:
the first transaction that had not begun, and those that were still running. A poll reads what these wrote, and nothing
else: its cost does not grow with the time that the oldest of them stays open. What is told twice does no harm.

::

    cursor of PostgreSQL    first not begun . Unix seconds [. running, each as its distance from the first not begun]
    cursor of SQLite        last change . Unix seconds
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select

from nightlight.catalogue.retention_schema import catalogue_position
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
# Old rows that are forgotten at once: every ten seconds, so 2,000 a second.
MOST_FORGOTTEN = 20_000
# With more transactions than so many, a cursor begins at the oldest one, and what came after is told again.
MOST_OPEN = 100
CURSOR_PATTERN = r"^[0-9]{1,18}\.[0-9]{1,12}(\.[0-9]{1,18}(-[0-9]{1,18}){0,99})?$"


@dataclass(frozen=True, slots=True)
class FeedPage:
    """What has changed, as (kind, key), and where the next poll begins; ``reset`` says to forget all that was known."""

    cursor: str
    changed: list[tuple[str, str]]
    reset: bool


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a poll begins: at a number, and at the transactions below it that were running then."""

    begin: int = 0
    polled_at: int = 0
    running: tuple[int, ...] = ()

    def __str__(self) -> str:
        running = "-".join(str(self.begin - txid) for txid in self.running)
        return f"{self.begin}.{self.polled_at}" + (f".{running}" if running else "")


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
        before, (upto, last) = _parsed(cursor), self._position()
        if cursor is None or before.begin > last or upto.polled_at - before.polled_at > KEPT_S // 2:
            return FeedPage(str(upto), [], reset=True)
        if before.polled_at <= self._restored_at():  # of another life of this catalogue
            return FeedPage(str(upto), [], reset=True)
        fresh = changes.c.change_id > before.begin
        if self._postgresql:
            fresh = or_(changes.c.txid >= before.begin, changes.c.txid.in_(before.running))
        query = select(changes.c.kind, changes.c.key).where(fresh).limit(MOST + 1)
        rows = self._execute(query).all()
        if len(rows) > MOST:
            return FeedPage(str(upto), [], reset=True)
        return FeedPage(str(upto), list(dict.fromkeys((row[0], row[1]) for row in rows)), reset=False)

    def forget(self, *, limit: int = MOST_FORGOTTEN) -> int:
        """Forget a batch of what everybody has seen or will not ask for, the oldest first; return how many rows.

        In batches, since the rows of a day without a schedule are more than a statement has time for.
        """
        old = select(changes.c.change_id).where(changes.c.at < self.now() - KEPT_S).order_by(changes.c.at).limit(limit)
        return self._execute(delete(changes).where(changes.c.change_id.in_(old.scalar_subquery()))).rowcount

    def _position(self) -> tuple[_Cursor, int]:
        """Return where the next poll begins, and the highest number at which one could."""
        if self._postgresql:
            # Lowest running : first not begun : running, by commas. Later statements see at least what this one does.
            snapshot = self._connection.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar_one()
            lowest, begin, running = snapshot.split(":")
            ids = tuple(map(int, filter(None, running.split(","))))
            bounded = (int(begin), ids) if len(ids) <= MOST_OPEN else (int(lowest), ())
            return _Cursor(bounded[0], self.now(), bounded[1]), int(begin)
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'changes'"
        last = int(self._connection.exec_driver_sql(query).scalar() or 0)
        return _Cursor(last, self.now()), last

    def _restored_at(self) -> int:
        """Return when the catalogue was restored from a backup, in Unix seconds; 0 if never."""
        return self._execute(select(catalogue_position.c.restored_at)).scalar() or 0

    def now(self) -> int:
        """Return the database's time, in Unix seconds."""
        clock = "SELECT extract(epoch from clock_timestamp())::bigint"
        text = clock if self._postgresql else "SELECT CAST(strftime('%s', 'now') AS INTEGER)"
        now: int = self._connection.exec_driver_sql(text).scalar_one()
        return now


def _parsed(cursor: str | None) -> _Cursor:
    if cursor is None:
        return _Cursor()
    wrong = InvalidInput("this is no cursor of the feed", pointer="/after")
    if not re.fullmatch(CURSOR_PATTERN, cursor):
        raise wrong
    begin, polled_at, *running = cursor.split(".")
    distances = [int(part) for part in running[0].split("-")] if running else []
    if not all(0 < distance < int(begin) for distance in distances):
        raise wrong
    return _Cursor(int(begin), int(polled_at), tuple(int(begin) - distance for distance in distances))
