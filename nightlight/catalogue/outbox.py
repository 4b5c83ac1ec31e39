"""The outbox: messages written in the same transaction as what they speak of, and published after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, or_, select, update

from nightlight.catalogue.tables import outbox
from nightlight.jobs.lanes import LANES, RANKS, UPLOAD
from nightlight_core.ids import JobId

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Message:
    """A task to be sent, by name, for a job, in a lane."""

    message_id: int
    task: str
    job_id: JobId
    lane: str


class Outbox:
    """Outbox rows, inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def add(self, task: str, job_id: JobId, now: datetime, *, lane: str = UPLOAD) -> None:
        """Write a message, unless one for the job is waiting; it is published after the transaction is committed."""
        waiting = select(outbox.c.message_id).where(outbox.c.job_id == job_id).limit(1)
        if self._connection.execute(waiting).one_or_none() is None:
            self._connection.execute(insert(outbox).values(task=task, job_id=job_id, lane=RANKS[lane], created_at=now))

    def add_many(self, task: str, job_ids: Sequence[JobId], now: datetime, *, lane: str = UPLOAD) -> None:
        """Write messages for new jobs, for which none can be waiting."""
        if job_ids:
            rows = [{"task": task, "job_id": job_id, "lane": RANKS[lane], "created_at": now} for job_id in job_ids]
            self._connection.execute(insert(outbox), rows)

    def claim(self, now: datetime, *, limit: int, claim_s: float) -> list[Message]:
        """Take up to ``limit`` messages for ``claim_s`` seconds: of the first lane first, and of one the oldest.

        Rows that another relay is claiming are skipped. A claim that is never settled runs out, and the
        message is published again: at least once, never none.
        """
        query = (
            select(outbox.c.message_id)
            .where(or_(outbox.c.claimed_until.is_(None), outbox.c.claimed_until <= now))
            .order_by(outbox.c.lane, outbox.c.message_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        ids = [row.message_id for row in self._connection.execute(query)]
        if not ids:
            return []
        statement = (
            update(outbox)
            .where(outbox.c.message_id.in_(ids))
            .values(claimed_until=now + timedelta(seconds=claim_s))
            .returning(outbox.c.lane, outbox.c.message_id, outbox.c.task, outbox.c.job_id)
        )
        rows = sorted((tuple(row) for row in self._connection.execute(statement)), key=lambda row: row[:2])
        return [Message(message_id, task, job_id, LANES[rank]) for rank, message_id, task, job_id in rows]

    def mark_published(self, message_ids: list[int]) -> None:
        """Drop messages that the broker has confirmed."""
        if message_ids:
            self._connection.execute(delete(outbox).where(outbox.c.message_id.in_(message_ids)))

    def release(self, message_ids: list[int]) -> None:
        """Give up claims on messages that could not be published, so that they are tried again at once."""
        if message_ids:
            self._connection.execute(
                update(outbox).where(outbox.c.message_id.in_(message_ids)).values(claimed_until=None)
            )
