"""Figures of a period, for reports: how often and how long, never who."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, func, select

from nightlight.catalogue.jobs import DONE, FAILED, LEASED, QUEUED
from nightlight.catalogue.policy_schema import decision_counts
from nightlight.catalogue.retention_schema import holds, receipts, sweeps
from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import audit, images, jobs, profiles, renditions
from nightlight.catalogue.takedown_schema import takedowns
from nightlight.catalogue.takedowns import FAILED as NOTICE_FAILED
from nightlight.catalogue.takedowns import IN_FORCE, PENDING, RECEIVING, REJECTED, UNDOING, UNDONE

Period = tuple[datetime, datetime]
# Of more jobs than these the newest are looked at.
_MOST = 200_000
_NOTICE_STATES = (PENDING, IN_FORCE, UNDOING, UNDONE, REJECTED, NOTICE_FAILED)


class Statistics(Rows):
    """Counts and times, inside one transaction. A period is from a moment on and until before another."""

    def decisions(self, kind: str, period: Period) -> dict[tuple[date, str], int]:
        """Return counts of decisions by day and combination."""
        when = _within(decision_counts.c.day, (period[0].date(), period[1].date()))
        query = select(decision_counts.c.day, decision_counts.c.cell, decision_counts.c.count)
        rows = self._execute(query.where(decision_counts.c.kind == kind, when))
        return {(row[0], row[1]): int(row[2]) for row in rows}

    def seconds(self, kind: str, period: Period) -> list[float]:
        """Return how long each job of a kind took that was asked for in the period and is done, in seconds."""
        done = jobs.c.kind == kind, jobs.c.state == DONE, _within(jobs.c.created_at, period)
        query = select(jobs.c.created_at, jobs.c.finished_at).where(*done)
        rows = self._execute(query.order_by(jobs.c.created_at.desc()).limit(_MOST))
        return [(row.finished_at - row.created_at).total_seconds() for row in rows if row.finished_at is not None]

    def open(self, kind: str, period: Period) -> int:
        """Return how many jobs of a kind that were asked for in the period are not done."""
        open_ = jobs.c.kind == kind, jobs.c.state.in_((QUEUED, LEASED, FAILED)), _within(jobs.c.created_at, period)
        return self._count(select(func.count()).where(*open_))

    def failures(self, period: Period) -> dict[tuple[str, str], int]:
        """Return how many jobs failed for good, by kind and reason."""
        failed = jobs.c.state == FAILED, _within(jobs.c.finished_at, period)
        query = select(jobs.c.kind, jobs.c.reason, func.count()).where(*failed)
        rows = self._execute(query.group_by(jobs.c.kind, jobs.c.reason))
        return {(row[0], row[1] or ""): row[2] for row in rows}

    def uploads(self, period: Period) -> dict[str, int]:
        """Return how many uploads of the period are in each state now."""
        query = select(images.c.state, func.count()).where(_within(images.c.created_at, period))
        return {row[0]: row[1] for row in self._execute(query.group_by(images.c.state))}

    def objects(self) -> dict[tuple[str, str, str, str], int]:
        """Return how many objects the buckets have, originals and renditions.

        They are by the image's state, its profile's state, the image's band, and its profile's region.
        """
        if self._connection.dialect.name == "postgresql":  # it reads every row, and nobody waits for it but an operator
            self._connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        totals: Counter[tuple[str, str, str, str]] = Counter()
        kinds = images.c.state, profiles.c.state, images.c.band, profiles.c.region
        owned = images.join(profiles, profiles.c.profile_id == images.c.profile_id)
        for joined in (owned, owned.join(renditions, renditions.c.image_id == images.c.image_id)):
            for *words, count in self._execute(select(*kinds, func.count()).select_from(joined).group_by(*kinds)):
                state, account, band, region = words
                totals[state, account, band, region] += count
        return dict(totals)

    def details(self, event: str, period: Period) -> list[tuple[datetime, str, dict[str, Any]]]:
        """Return (when, by whom, what) of each entry of an event, the oldest first."""
        when = audit.c.event == event, _within(audit.c.at, period)
        query = select(audit.c.at, audit.c.actor, audit.c.detail).where(*when).order_by(audit.c.entry_id).limit(1000)
        return [(row.at, row.actor, row.detail) for row in self._execute(query)]

    def receipts(self, period: Period) -> int:
        """Return how many receipts of erasures were written."""
        return self._count(select(func.count()).where(_within(receipts.c.created_at, period)))

    def swept(self, period: Period) -> dict[str, int]:
        """Return what the sweeps of the period did together."""
        query = select(sweeps.c.counts).where(_within(sweeps.c.created_at, period))
        total: Counter[str] = Counter()
        for row in self._execute(query):
            total.update(row.counts)
        return dict(total)

    def notices(self, period: Period, now: datetime) -> dict[str, int]:
        """Return how many takedown notices were placed in the period, how many are in each state, late, and hide what.

        ``placed`` is the sum of the states. Late is one that was carried out after it was due, or is due and is not.
        """
        placed = _within(takedowns.c.created_at, period), takedowns.c.state != RECEIVING
        query = select(takedowns.c.state, func.count(), func.sum(takedowns.c.hidden)).where(*placed)
        counts, hidden = dict.fromkeys(_NOTICE_STATES, 0), 0
        for state, count, images_hidden in self._execute(query.group_by(takedowns.c.state)):
            counts[state] = count
            hidden += int(images_hidden or 0)
        waits = takedowns.c.state == PENDING
        late = (takedowns.c.dark_at > takedowns.c.due_at) | (waits & (takedowns.c.due_at <= now))
        late_count = self._count(select(func.count()).where(*placed, late))
        return {"placed": sum(counts.values()), **counts, "late": late_count, "images_hidden": hidden}

    def holds(self, period: Period) -> dict[str, int]:
        """Return how many holds were placed and ended in the period, and how many there are."""
        placed = select(func.count()).where(_within(holds.c.created_at, period))
        ended = select(func.count()).where(_within(holds.c.ended_at, period))
        open_ = select(func.count()).select_from(holds).where(holds.c.ended_at.is_(None))
        named = {"placed": placed, "ended": ended, "open": open_}
        return {name: self._execute(query).scalar_one() for name, query in named.items()}


def _within(column: Column[Any], period: tuple[date, date]) -> ColumnElement[bool]:
    return (column >= period[0]) & (column < period[1])
