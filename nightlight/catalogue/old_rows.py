"""Rows that tell of work which is done, and would otherwise grow for ever.

::

    jobs          ended jobs. Object keys that they may have written move to ``written_keys``, which an erasure reads
    imports       imported keys that led to no picture that is still here
    traces        trace searches whose result and copy are gone
    sweeps        finished runs of the sweep
    audit         lines of the audit log, old by the database's own clock too; a line says what was dropped

Each call drops one batch and returns how many rows that was. Whoever calls decides on the ages.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, delete, exists, func, insert, or_, select, text, update

from nightlight.catalogue.images import DELETED
from nightlight.catalogue.jobs import DONE, FAILED
from nightlight.catalogue.matching_schema import trace_jobs
from nightlight.catalogue.retention_schema import ENDED_IMPORT, import_items, sweeps
from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import audit, images, jobs, written_keys

# What the line about dropped lines is called. The trigger lets nobody drop lines that are younger than this.
AUDIT_DROPPED = "audit.dropped"
AUDIT_LEAST = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class RecordAges:
    """The moments before which rows are old, by what they tell of."""

    jobs: datetime
    imports: datetime
    audit: datetime
    figures: datetime


class OldRows(Rows):
    """Old rows, inside one transaction."""

    def drop(self, old: RecordAges, now: datetime, *, limit: int) -> dict[str, int]:
        """Drop a batch of each kind; return how many rows of each that was."""
        steps: dict[str, Callable[[], int]] = {
            "jobs": lambda: self.jobs(old.jobs, limit=limit),
            "imports": lambda: self.imports(old.imports, limit=limit),
            "traces": lambda: self.traces(old.jobs, limit=limit),
            "sweeps": lambda: self.sweeps(old.figures, limit=limit),
            "audit": lambda: self.audit(old.audit, now, limit=limit),
        }
        return {name: step() for name, step in steps.items()}

    def jobs(self, before: datetime, *, limit: int) -> int:
        """Drop jobs that ended before a moment, but for those of an image that is being erased: they go with it."""
        ended = jobs.c.state.in_((DONE, FAILED)), jobs.c.finished_at < before
        kept = or_(jobs.c.image_id.is_(None), images.c.state != DELETED)
        query = (
            select(jobs.c.job_id, jobs.c.image_id, jobs.c.planned)
            .select_from(jobs.outerjoin(images, images.c.image_id == jobs.c.image_id))
            .where(*ended, kept)
            .order_by(jobs.c.finished_at)
            .limit(limit)
            .with_for_update(of=jobs, skip_locked=True)
        )
        rows = self._execute(query).all()
        self._keep_keys(rows)
        return self._drop(jobs.c.job_id, [row.job_id for row in rows])

    def imports(self, before: datetime, *, limit: int) -> int:
        """Drop imported keys that ended before a moment and whose image is gone, or that led to none."""
        led_to = exists().where(images.c.image_id == import_items.c.image_id)
        # Written as the index is, so that what led to a picture is not looked at.
        old = text(ENDED_IMPORT), import_items.c.finished_at < before, ~led_to
        query = select(import_items.c.item_id).where(*old).order_by(import_items.c.finished_at).limit(limit)
        return self._drop(import_items.c.item_id, self._execute(query).scalars().all())

    def traces(self, before: datetime, *, limit: int) -> int:
        """Drop trace searches of before a moment that are deleted, copy and all, and have no job any more."""
        worked_on = exists().where(jobs.c.trace_id == trace_jobs.c.trace_id)
        gone = trace_jobs.c.state == DELETED, trace_jobs.c.copy_key.is_(None), trace_jobs.c.created_at < before
        query = select(trace_jobs.c.trace_id).where(*gone, ~worked_on).order_by(trace_jobs.c.created_at).limit(limit)
        return self._drop(trace_jobs.c.trace_id, self._execute(query).scalars().all())

    def sweeps(self, before: datetime, *, limit: int) -> int:
        """Drop runs of the sweep that were begun before a moment and are finished."""
        over = sweeps.c.created_at < before, sweeps.c.finished_at.is_not(None)
        query = select(sweeps.c.sweep_id).where(*over).order_by(sweeps.c.created_at).limit(limit)
        return self._drop(sweeps.c.sweep_id, self._execute(query).scalars().all())

    def audit(self, before: datetime, now: datetime, *, limit: int) -> int:
        """Drop the oldest lines of the audit log of before a moment; add a line with their number and their SHA-256.

        Whoever archives the log can show by it that an archived batch is the one that was dropped: see ``digest``.
        """
        before = min(before, self._database_now() - AUDIT_LEAST)
        query = select(audit).where(audit.c.at < before).order_by(audit.c.at, audit.c.entry_id).limit(limit)
        lines = self._execute(query).all()
        if not lines:
            return 0
        detail: dict[str, str | int] = {
            "lines": len(lines),
            "first": min(line.entry_id for line in lines),
            "last": max(line.entry_id for line in lines),
            "sha256": digest(lines),
        }
        self._drop(audit.c.entry_id, [line.entry_id for line in lines])
        values = {"at": now, "event": AUDIT_DROPPED, "image_id": None, "actor": "retention", "detail": detail}
        self._execute(insert(audit).values(values))
        return len(lines)

    def _keep_keys(self, rows: Iterable[Any]) -> None:
        """Note of each image which object keys the jobs may have written."""
        keys: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            if row.image_id is not None and row.planned:
                keys[row.image_id] |= set(row.planned)
        noted = select(written_keys).where(written_keys.c.image_id.in_(keys)).with_for_update()
        before = {row.image_id: set(row.planned) for row in self._execute(noted)} if keys else {}
        for image_id in keys.keys() & before.keys():
            merged = sorted(keys[image_id] | before[image_id])
            self._execute(update(written_keys).where(written_keys.c.image_id == image_id).values(planned=merged))
        fresh = [{"image_id": image_id, "planned": sorted(keys[image_id])} for image_id in keys.keys() - before.keys()]
        if fresh:
            self._execute(insert(written_keys), fresh)

    def _drop(self, column: Column[Any], ids: Iterable[Any]) -> int:
        chosen = list(ids)
        if chosen:
            self._execute(delete(column.table).where(column.in_(chosen)))
        return len(chosen)

    def _database_now(self) -> datetime:
        if self._connection.dialect.name == "postgresql":
            moment: datetime = self._execute(select(func.now())).scalar_one()
            return moment
        seconds = self._connection.exec_driver_sql("SELECT strftime('%s', 'now')").scalar_one()
        return datetime.fromtimestamp(int(seconds), UTC)


def digest(lines: Iterable[Any]) -> str:
    """Return the SHA-256 of lines of the audit log, in hexadecimal: each as a line of JSON, the smallest number first.

    ``{"actor": ..., "at": RFC 3339 in UTC, "detail": ..., "entry_id": ..., "event": ..., "image_id": ...}``, in this
    order, without spaces.
    """
    hashed = hashlib.sha256()
    for line in sorted(lines, key=lambda entry: entry.entry_id):
        values = {column.name: getattr(line, column.name) for column in audit.columns}
        values["at"] = line.at.astimezone(UTC).isoformat()
        hashed.update(json.dumps(values, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    return hashed.hexdigest()
