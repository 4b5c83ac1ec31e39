"""Enqueue a job: its row and the message that publishes it, in the transaction of what asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightlight.jobs.lanes import LANE_OF_RANK, RANKS
from nightlight_core.ids import ImageId, JobId, new_job_id

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.jobs.kinds import JobKind


def enqueue(  # noqa: PLR0913 - all but the first four are the kind's own unless given
    tx: Transaction,
    kind: JobKind,
    subject: str,
    now: datetime,
    *,
    lane: str | None = None,
    delay: timedelta | None = None,
    again: timedelta | None = None,
    planned: Sequence[str] = (),
) -> JobId:
    """Write a job on ``subject`` and the message that publishes it; return the job's id.

    ``lane``, ``delay`` and ``again`` are the kind's unless given. A job that is put off gets no message: the reconciler
    publishes it once it is due. ``planned`` are object keys that the job is about.
    """
    delay = kind.delay if delay is None else delay
    job_id = new_job_id()
    rank = RANKS[lane or kind.lane]
    due = now + ((again or kind.again) if delay is None else delay)
    on = [(job_id, subject)]
    tx.jobs.add(kind.name, kind.subject.column, on, now, due=due, rank=rank, planned=planned)
    if delay is None:
        tx.outbox.add([(kind.task, job_id, rank)], now)
    return job_id


def enqueue_many(
    tx: Transaction, kind: JobKind, subjects: Sequence[str], now: datetime, *, lane: str | None = None
) -> None:
    """Write a job on each of ``subjects``, and the messages that publish them now, whatever delay the kind has."""
    rank = RANKS[lane or kind.lane]
    on = [(new_job_id(), subject) for subject in subjects]
    tx.jobs.add(kind.name, kind.subject.column, on, now, due=now + (kind.delay or kind.again), rank=rank)
    tx.outbox.add([(kind.task, job_id, rank) for job_id, _ in on], now)


def lane_before(tx: Transaction, kind: JobKind, image_id: ImageId) -> str | None:
    """Return the lane that a picture's earlier jobs of this kind waited in; None if it had none."""
    rank = tx.jobs.rank_before(image_id, kind.name)
    return None if rank is None else LANE_OF_RANK[rank]
