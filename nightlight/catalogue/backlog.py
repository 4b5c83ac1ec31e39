"""What waits: jobs by kind, messages for the broker, events for the platform. For operators, in exact numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Table, func, select

from nightlight.catalogue.jobs import LEASED, QUEUED
from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import events, jobs, outbox


@dataclass(frozen=True, slots=True)
class OpenJobs:
    """Jobs of one kind that are to be done: how many wait, how many are worked on, and when the first was asked for."""

    kind: str
    waiting: int
    leased: int
    first_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many rows wait, and since when the first does."""

    count: int
    first_at: datetime | None


class Backlog(Rows):
    """What waits, inside one transaction."""

    def open_jobs(self) -> list[OpenJobs]:
        """Return the open jobs by kind, in the order of the kinds' names."""
        query = (
            select(jobs.c.kind, jobs.c.state, func.count().label("jobs"), func.min(jobs.c.created_at).label("first"))
            .where(jobs.c.state.in_((QUEUED, LEASED)))
            .group_by(jobs.c.kind, jobs.c.state)
        )
        rows = {(row.kind, row.state): (row.jobs, row.first) for row in self._execute(query)}
        return [
            OpenJobs(
                kind,
                rows.get((kind, QUEUED), (0, None))[0],
                rows.get((kind, LEASED), (0, None))[0],
                min(first for (other, _), (_, first) in rows.items() if other == kind),
            )
            for kind in sorted({kind for kind, _ in rows})
        ]

    def outbox(self) -> Waiting:
        """Return how many messages the broker has not confirmed."""
        return self._waiting(outbox)

    def events(self) -> Waiting:
        """Return how many events the platform has not taken."""
        return self._waiting(events, events.c.taken_at.is_(None))

    def _waiting(self, rows: Table, *which: ColumnElement[bool]) -> Waiting:
        row = self._execute(select(func.count(), func.min(rows.c.created_at)).where(*which)).one()
        return Waiting(row[0], row[1])
