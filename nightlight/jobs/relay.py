"""The outbox relay and the search for lost jobs: what keeps a broker's failures from losing anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue.jobs import ERASE
from nightlight.flows.retention.erase import erase_later
from nightlight.flows.traces.requests import forget_later
from nightlight.jobs.enqueue import ask
from nightlight_core.decisions.relation_proofs import MAX_LEEWAY_S, MAX_LIFE_S
from nightlight_core.errors import QueueUnavailable
from nightlight_core.ids import JobId

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.settings import WorkerSettings
    from nightlight_core.clock import Clock

# Sends one task by name for a job in a lane; returns once the broker has confirmed it, or raises QueueUnavailable.
Send = Callable[[str, JobId, str], None]

# What is more urgent than a batch that is on its way waits for its end: some tenths of a second.
_BATCH = 100
# A relay that dies between claiming and settling holds its messages up for no longer than this.
_CLAIM_S = 15.0
# An upload takes seconds; one that was not acknowledged within an hour never will be.
_ABANDONED = timedelta(hours=1)
# A proof that was revoked may have been issued by a clock that ran ahead, and count by one that is behind.
_PROOFS_LIVE = timedelta(seconds=MAX_LIFE_S + 2 * MAX_LEEWAY_S)


@dataclass(frozen=True, slots=True)
class Relay:
    """Publishes what the outbox holds."""

    catalogue: Catalogue
    send: Send
    clock: Clock

    def run_once(self) -> int:
        """Publish one batch; return how many messages the broker confirmed."""
        with self.catalogue.transaction() as tx:
            messages = tx.outbox.claim(self.clock(), limit=_BATCH, claim_s=_CLAIM_S)
        sent: list[int] = []
        failed: QueueUnavailable | None = None
        for message in messages:
            try:
                self.send(message.task, message.job_id, message.lane)
            except QueueUnavailable as error:
                failed = error
                break
            sent.append(message.message_id)
        left = [message.message_id for message in messages if message.message_id not in sent]
        if messages:
            with self.catalogue.transaction() as tx:
                tx.outbox.mark_published(sent)
                tx.outbox.release(left)
        metrics.PUBLISHED.inc(len(sent))
        if failed is not None:
            metrics.PUBLISH_FAILURES.inc(len(left))
            raise failed
        return len(sent)


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Finds what was lost on the way and sends it again."""

    catalogue: Catalogue
    limits: WorkerSettings
    idempotency_hours: int
    trace_days: int
    clock: Clock
    erasure_days: Callable[[], int] = lambda: 1

    def run_once(self) -> int:
        """Publish jobs again that are due or whose lease ran out; erase what was never acknowledged; forget old traces.

        Returns how many jobs were put into the outbox.
        """
        now = self.clock()
        with self.catalogue.transaction() as tx:
            due = tx.jobs.claim_due(now, limit=_BATCH, again_after_s=self.limits.requeue_after_s)
            for job_id, kind in due:
                ask(tx, kind, job_id, now)
            for image_id in tx.images.abandoned(now - _ABANDONED, limit=_BATCH):
                erase_later(tx, image_id, now=now, actor="reconcile")
            expired = now - timedelta(days=self.trace_days)
            for trace_id in tx.traces.stale(abandoned=now - _ABANDONED, expired=expired, limit=_BATCH):
                forget_later(tx, trace_id, now=now, actor="reconcile")
            tx.idempotency.forget_before(now - timedelta(hours=self.idempotency_hours))
            tx.feed.forget()
            tx.proof_revocations.forget_before(now - _PROOFS_LIVE)
            overdue = tx.jobs.overdue(ERASE, now - timedelta(days=self.erasure_days()))
            waiting = tx.jobs.waiting(now)
        metrics.ERASURES_OVERDUE.set(overdue)
        for lane, (count, oldest_s) in waiting.items():
            metrics.WAITING.labels(lane).set(count)
            metrics.WAITING_SECONDS.labels(lane).set(oldest_s)
        if overdue:
            logs.get("reconcile").error("erasures.overdue", count=overdue)
        if due:
            metrics.RECONCILED.inc(len(due))
            logs.get("reconcile").info("jobs.published_again", count=len(due))
        return len(due)
