"""Traces: copies that somebody found, and what they led back to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, null, select, update

from nightlight.catalogue.matching_schema import trace_jobs, trace_origins
from nightlight.catalogue.rows import Rows
from nightlight_core.ids import ImageId, TraceId

# The life of a trace: receiving -> pending -> done | rejected | failed; any -> deleted. It is `receiving` until the
# copy is safely stored and the request acknowledged.
RECEIVING = "receiving"
PENDING = "pending"
DONE = "done"
REJECTED = "rejected"
FAILED = "failed"
DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class TraceJob:
    """One trace; ``progress`` is in hundredths, ``copy_key`` None once the copy is gone from the store.

    ``result`` is what ``flows.traces.search.plain`` gives; None until it is done, and once it is deleted.
    """

    trace_id: TraceId
    state: str
    reason: str | None
    progress: int
    copy_key: str | None
    sha256: str | None
    keep: bool
    actor: str
    result: dict[str, Any] | None
    created_at: datetime
    finished_at: datetime | None
    sealed_key: str | None = field(default=None, repr=False)


class TraceJobs(Rows):
    """Trace rows, inside one transaction."""

    def add(self, trace: TraceJob) -> None:
        """Write a new trace, whose copy is about to be stored; it has no result."""
        values = {name: getattr(trace, name) for name in trace.__slots__ if name != "result"}
        self._execute(insert(trace_jobs).values(values))

    def get(self, trace_id: TraceId, *, lock: bool = False) -> TraceJob | None:
        """Return the trace or None; ``lock`` holds its row until the transaction ends."""
        query = select(trace_jobs).where(trace_jobs.c.trace_id == trace_id)
        row = self._execute(query.with_for_update() if lock else query).one_or_none()
        return TraceJob(*row) if row else None

    def accepted(self, trace_id: TraceId) -> None:
        """Say that the copy is stored."""
        self._set(trace_id, state=PENDING)

    def progress(self, trace_id: TraceId, hundredths: int) -> None:
        """Say how far a pending trace is."""
        pending = trace_jobs.c.trace_id == trace_id, trace_jobs.c.state == PENDING
        self._execute(update(trace_jobs).where(*pending).values(progress=hundredths))

    def end(
        self,
        trace_id: TraceId,
        state: str,
        now: datetime,
        *,
        reason: str | None = None,
        result: dict[str, Any] | None = None,
        origins: Sequence[ImageId] = (),
    ) -> bool:
        """Say how a pending trace ended; return whether it still was pending."""
        values: dict[str, Any] = {"state": state, "reason": reason, "progress": 100, "finished_at": now}
        if result is not None:
            values["result"] = result
        pending = trace_jobs.c.trace_id == trace_id, trace_jobs.c.state == PENDING
        if self._execute(update(trace_jobs).where(*pending).values(**values)).rowcount != 1:
            return False
        if origins:
            rows = [{"trace_id": trace_id, "image_id": image_id} for image_id in dict.fromkeys(origins)]
            self._execute(insert(trace_origins), rows)
        return True

    def delete(self, trace_id: TraceId) -> None:
        """Forget what a trace led back to; its copy goes by a job."""
        self._execute(delete(trace_origins).where(trace_origins.c.trace_id == trace_id))
        # A JSON column would take None for the value null.
        self._set(trace_id, state=DELETED, result=null(), sha256=None, sealed_key=None)

    def copy_gone(self, trace_id: TraceId) -> None:
        """Say that the copy is not in the store any more."""
        self._set(trace_id, copy_key=None, sealed_key=None)

    def drop_image(self, image_id: ImageId) -> None:
        """Take an erased image out of every result that names it."""
        named = select(trace_origins.c.trace_id).where(trace_origins.c.image_id == image_id)
        query = (
            select(trace_jobs.c.trace_id, trace_jobs.c.result).where(trace_jobs.c.trace_id.in_(named)).with_for_update()
        )
        for row in self._execute(query).all():
            left = [origin for origin in row.result["origins"] if origin["image_id"] != image_id]
            self._set(TraceId(row.trace_id), result={**row.result, "origins": left})
        self._execute(delete(trace_origins).where(trace_origins.c.image_id == image_id))

    def asked_since(self, actor: str, since: datetime, *, limit: int) -> list[datetime]:
        """Return when ``actor`` asked for traces after ``since``, the newest first."""
        query = (
            select(trace_jobs.c.created_at)
            .where(trace_jobs.c.actor == actor, trace_jobs.c.created_at > since)
            .order_by(trace_jobs.c.created_at.desc())
            .limit(limit)
        )
        return [row.created_at for row in self._execute(query)]

    def stale(self, *, abandoned: datetime, expired: datetime, limit: int) -> list[TraceId]:
        """Return traces never acknowledged since ``abandoned``, and those asked for before ``expired``."""
        old = (trace_jobs.c.state == RECEIVING) & (trace_jobs.c.created_at < abandoned)
        old |= trace_jobs.c.state.not_in((RECEIVING, DELETED)) & (trace_jobs.c.created_at < expired)
        query = select(trace_jobs.c.trace_id).where(old).limit(limit).with_for_update(skip_locked=True)
        return [TraceId(row.trace_id) for row in self._execute(query)]

    def _set(self, trace_id: TraceId, **values: Any) -> None:
        self._execute(update(trace_jobs).where(trace_jobs.c.trace_id == trace_id).values(**values))
