"""Traces that are asked for over HTTP: the service takes the copy, a worker finds where it comes from.

::

    ask        rate, header-only probe; the trace's row, then the copy into the originals' store, then 202
    find       in a worker, through the sandbox like every upload                                (flows.traces.search)
    delete     the copy is deleted as soon as the trace has ended, unless whoever asked said to keep it;
               the rest, and a copy that was kept, by DELETE or after ``trace_days``

Whoever asks, and whoever reads what came of it, is in the audit log.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import IO, TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue import trace_jobs
from nightlight.flows.traces.results import result_as_json
from nightlight.imaging.probe import probe, upload_caps
from nightlight.imaging.renderer import COPY_EDGE
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.store.interface import ORIGINAL_TYPE, SEAL_BYTES, Seal, require_stored, sealed, unsealed
from nightlight_core.errors import CorruptImage, ImageRefused, NotFound, ObjectMissing, PayloadTooLarge, TooManyRequests
from nightlight_core.ids import TraceId, new_copy_key, new_trace_id

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.catalogue.jobs import Lease
    from nightlight.flows.traces.search import TraceSearch
    from nightlight.jobs.runner import JobRunner
    from nightlight.settings.pictures import MatchingSettings, UploadSettings
    from nightlight.store.interface import ObjectStore, Open, PutOnly
    from nightlight_core.clock import Clock

# What a line of the audit log says besides.
AuditDetail = dict[str, str | int]

_HOUR = timedelta(hours=1)


def inspected(picture: IO[bytes], limits: UploadSettings, edge: int) -> str:
    """Return the SHA-256 of somebody's picture whose header says that it can be looked at, at ``edge`` pixels.

    Raises PayloadTooLarge, or ImageRefused and its kinds.
    """
    size = picture.seek(0, 2)
    if size == 0:
        raise CorruptImage("the picture is empty")
    if size > limits.max_bytes:
        raise PayloadTooLarge(f"the file has {size:,} bytes; at most {limits.max_bytes:,} are accepted")
    picture.seek(0)
    data = picture.read()
    probe(data, upload_caps(limits), edge=edge)
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class RequestTrace:
    """The service's half: takes copies, and says how their traces get on."""

    catalogue: Catalogue
    originals: PutOnly
    limits: UploadSettings
    matching: MatchingSettings
    clock: Clock
    seal: Seal | None = None

    def accept(self, copy: IO[bytes], *, keep: bool, actor: str) -> trace_jobs.TraceJob:
        """Take a copy; when this returns it is safely stored and will be traced.

        Raises TooManyRequests, ImageRefused and its kinds, PayloadTooLarge, and StoreUnavailable or
        CatalogueUnavailable, after which nothing has been acknowledged.
        """
        sha256 = inspected(copy, self.limits, COPY_EDGE)
        trace_id, key = new_trace_id(), new_copy_key()
        # Like every original: it is a picture that somebody must not get twice.
        body, stored_sha256, sealed_key = sealed(copy, sha256, self.seal)
        now = self.clock()
        with self.catalogue.transaction() as tx:
            self._check_rate(tx, actor, now)
            trace = trace_jobs.TraceJob(
                trace_id, trace_jobs.RECEIVING, None, 0, key, sha256, keep, actor, None, now, None, sealed_key
            )
            tx.trace_jobs.add(trace)
            detail: AuditDetail = {"trace_id": trace_id, "sha256": sha256, "keep": int(keep)}
            tx.audit.append("trace.asked", now=now, actor=actor, detail=detail)
        put = self.originals.put(key, body, sha256=stored_sha256, content_type=ORIGINAL_TYPE)
        require_stored(put, key)
        with self.catalogue.transaction() as tx:
            tx.trace_jobs.accepted(trace_id)
            enqueue(tx, kinds.TRACE_SEARCH, trace_id, now)
        metrics.TRACES.labels("accepted").inc()
        return replace(trace, state=trace_jobs.PENDING)

    def status(self, trace_id: TraceId, *, actor: str) -> trace_jobs.TraceJob:
        """Return the trace as it is now; raises NotFound. Reading what came of it is audited."""
        with self.catalogue.reading() as tx:
            row = tx.trace_jobs.get(trace_id)
        if row is None or row.state in {trace_jobs.RECEIVING, trace_jobs.DELETED}:
            raise NotFound
        if row.state == trace_jobs.DONE:
            with self.catalogue.transaction() as tx:
                tx.audit.append("trace.read", now=self.clock(), actor=actor, detail={"trace_id": trace_id})
        return row

    def delete(self, trace_id: TraceId, *, actor: str) -> None:
        """Forget what a trace led back to, and delete its copy; raises NotFound."""
        with self.catalogue.transaction() as tx:
            row = tx.trace_jobs.get(trace_id, lock=True)
            if row is None or row.state in {trace_jobs.RECEIVING, trace_jobs.DELETED}:
                raise NotFound
            delete_trace(tx, trace_id, now=self.clock(), actor=actor)

    def _check_rate(self, tx: Transaction, actor: str, now: datetime) -> None:
        most = self.matching.traces_per_hour
        times = tx.trace_jobs.asked_since(actor, now - _HOUR, limit=most)
        if len(times) >= most:
            metrics.TRACES.labels(TooManyRequests.code).inc()
            message = f"{most} traces in an hour"
            raise TooManyRequests(message, after_s=int((times[-1] + _HOUR - now).total_seconds()) + 1)


@dataclass(frozen=True, slots=True)
class RunTrace:
    """The worker's half."""

    runner: JobRunner
    originals: ObjectStore
    trace: TraceSearch
    limits: UploadSettings
    open_: Open = unsealed

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Trace one copy; return how it ended: as JobRunner.run, ``done``, ``rejected``, ``failed``, ``deleted``."""
        ending = self.runner.run(job_id, kinds.TRACE_SEARCH, self._attempt, redelivered=redelivered, give_up=_give_up)
        metrics.TRACES.labels(ending).inc()
        return ending

    def delete_copy(self, job_id: str, *, redelivered: bool) -> str:
        """Delete one copy; return how it ended: ``copy_deleted``, or see JobRunner.run."""
        return self.runner.run(
            job_id, kinds.DELETE_COPY, self._delete_copy, redelivered=redelivered, give_up=_copy_left
        )

    def _attempt(self, lease: Lease) -> str:
        with self.runner.catalogue.reading() as tx:
            row = tx.trace_jobs.get(lease.trace_id)
        if row is None or row.state != trace_jobs.PENDING or row.copy_key is None:
            return self._end(lease, trace_jobs.DELETED)
        log = logs.get("trace")
        try:
            stored = self.originals.get(row.copy_key, max_bytes=self.limits.max_bytes + SEAL_BYTES)
            copy = self.open_(stored.data, row.sealed_key)
            # A rebuilt index may take minutes: what was indexed until half of the time limit stays.
            within_s = self.runner.limits.time_limit_s / 2
            traced = self.trace.find(copy, within_s=within_s, progress=lambda done: self._progress(lease, done))
        except ImageRefused as error:
            log.warning("trace.rejected", code=error.code, detail=str(error))
            return self._end(lease, trace_jobs.REJECTED, reason=error.code)
        except ObjectMissing as error:
            log.error("copy.missing", detail=str(error))
            return self._end(lease, trace_jobs.FAILED, reason="copy_missing")
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            origins = [origin.image_id for origin in traced.origins]
            pending = tx.trace_jobs.end(
                lease.trace_id, trace_jobs.DONE, now, result=result_as_json(traced), origins=origins
            )
            tx.jobs.finish(lease, now)
            if pending:
                detail: AuditDetail = {"trace_id": lease.trace_id, "count": len(traced.origins)}
                tx.audit.append("trace.done", now=now, actor="worker", detail=detail)
                _delete_unless_kept(tx, lease.trace_id, now)
        log.info("trace.done", state=trace_jobs.DONE, count=len(traced.origins))
        return trace_jobs.DONE if pending else trace_jobs.DELETED

    def _progress(self, lease: Lease, hundredths: int) -> None:
        with self.runner.catalogue.transaction() as tx:
            tx.trace_jobs.progress(lease.trace_id, hundredths)

    def _end(self, lease: Lease, state: str, *, reason: str | None = None) -> str:
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            if state != trace_jobs.DELETED and tx.trace_jobs.end(lease.trace_id, state, now, reason=reason):
                detail = {"trace_id": lease.trace_id, "reason": reason or state}
                tx.audit.append(f"trace.{state}", now=now, actor="worker", detail=detail)
                _delete_unless_kept(tx, lease.trace_id, now)
        return state

    def _delete_copy(self, lease: Lease) -> str:
        with self.runner.catalogue.reading() as tx:
            row = tx.trace_jobs.get(lease.trace_id)
        if row is not None and row.copy_key is not None:
            self.originals.delete(row.copy_key)
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            tx.trace_jobs.copy_gone(lease.trace_id)
            tx.audit.append("trace.copy_deleted", now=now, actor="worker", detail={"trace_id": lease.trace_id})
        return "copy_deleted"


def delete_trace(tx: Transaction, trace_id: TraceId, *, now: datetime, actor: str) -> None:
    """Forget a trace's result and enqueue the deletion of its copy, in the caller's transaction."""
    tx.trace_jobs.delete(trace_id)
    enqueue(tx, kinds.DELETE_COPY, trace_id, now)
    tx.audit.append("trace.deleted", now=now, actor=actor, detail={"trace_id": trace_id})


def _give_up(tx: Transaction, lease: Lease, reason: str, now: datetime) -> None:
    if tx.trace_jobs.end(lease.trace_id, trace_jobs.FAILED, now, reason=reason):
        detail = {"trace_id": lease.trace_id, "reason": reason}
        tx.audit.append("trace.failed", now=now, actor="worker", detail=detail)
        _delete_unless_kept(tx, lease.trace_id, now)


def _copy_left(tx: Transaction, lease: Lease, reason: str, now: datetime) -> None:
    """Say that a copy is still there: whoever reads the log has to delete it."""
    row = tx.trace_jobs.get(lease.trace_id)
    logs.get("trace").error("copy.not_deleted", trace_id=lease.trace_id, reason=reason)
    detail: AuditDetail = {"trace_id": lease.trace_id, "reason": reason, "key": row.copy_key or "" if row else ""}
    tx.audit.append("trace.copy_not_deleted", now=now, actor="worker", detail=detail)


def _delete_unless_kept(tx: Transaction, trace_id: TraceId, now: datetime) -> None:
    row = tx.trace_jobs.get(trace_id)
    if row is not None and not row.keep:
        enqueue(tx, kinds.DELETE_COPY, trace_id, now)
