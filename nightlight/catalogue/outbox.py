"""The outbox: messages written in the same transaction as what they speak of, and published after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, or_, select, update

from nightlight import telemetry
from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import outbox
from nightlight_core.ids import JobId


@dataclass(frozen=True, slots=True)
class Message:
    """A task to be sent, by name, for a job, in the lane of a rank; ``traceparent`` is the span that asked for it."""

    message_id: int
    task: str
    job_id: JobId
    rank: int
    traceparent: str | None = None


class Outbox(Rows):
    """Outbox rows, inside one transaction."""

    def add(self, messages: Sequence[tuple[str, JobId, int]], now: datetime) -> None:
        """Write messages, given as (task, job, lane's rank), but for jobs for which one is waiting.

        They are published after the transaction is committed.
        """
        if not messages:
            return
        query = select(outbox.c.job_id).where(outbox.c.job_id.in_([job_id for _, job_id, _ in messages]))
        waiting = set(self._execute(query).scalars())
        rows = [
            {"task": task, "job_id": job_id, "lane": rank, "created_at": now, "traceparent": telemetry.traceparent()}
            for task, job_id, rank in messages
            if job_id not in waiting
        ]
        if rows:
            self._execute(insert(outbox), rows)

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
        ids = [row.message_id for row in self._execute(query)]
        if not ids:
            return []
        statement = (
            update(outbox)
            .where(outbox.c.message_id.in_(ids))
            .values(claimed_until=now + timedelta(seconds=claim_s))
            .returning(outbox.c.lane, outbox.c.message_id, outbox.c.task, outbox.c.job_id, outbox.c.traceparent)
        )
        rows = sorted((tuple(row) for row in self._execute(statement)), key=lambda row: row[:2])
        return [Message(message_id, task, job_id, rank, span) for rank, message_id, task, job_id, span in rows]

    def mark_published(self, message_ids: list[int]) -> None:
        """Drop messages that the broker has confirmed."""
        if message_ids:
            self._execute(delete(outbox).where(outbox.c.message_id.in_(message_ids)))

    def release(self, message_ids: list[int]) -> None:
        """Give up claims on messages that could not be published, so that they are tried again at once."""
        if message_ids:
            self._execute(update(outbox).where(outbox.c.message_id.in_(message_ids)).values(claimed_until=None))
