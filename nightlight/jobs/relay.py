"""The outbox relay and the reconciler: what keeps a broker's failures from losing anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight import logs, metrics, telemetry
from nightlight.jobs.kinds import ERASE, KINDS
from nightlight.jobs.lanes import LANE_OF_RANK, RANKS
from nightlight_core.errors import QueueUnavailable
from nightlight_core.ids import JobId

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.settings.process import WorkerSettings
    from nightlight_core.clock import Clock

# Sends one task by name for a job in a lane; returns once the broker has confirmed it, or raises QueueUnavailable.
Send = Callable[[str, JobId, str], None]

# What is more urgent than a batch that is on its way waits for its end: some tenths of a second.
_BATCH = 100
# A relay that dies between claiming and settling holds its messages up for no longer than this.
_CLAIM_S = 15.0
# What is published again sooner than other jobs is so each time, not the first time alone.
_SOONER = {kind.name: kind.again.total_seconds() for kind in (ERASE,)}
# Nobody waits for these: they are asked for to be done much later.
_PUT_OFF = tuple(kind.name for kind in KINDS.values() if kind.delay is not None)


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
                with telemetry.continued(message.traceparent, "outbox.publish"):
                    self.send(message.task, message.job_id, LANE_OF_RANK[message.rank])
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
class Reconciler:
    """Finds jobs that were lost on the way, or are due, and publishes them again."""

    catalogue: Catalogue
    limits: WorkerSettings
    clock: Clock

    def run_once(self) -> int:
        """Publish jobs that are due or whose lease ran out; return how many."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            due = tx.jobs.claim_due(now, limit=_BATCH, again_after_s=self.limits.requeue_after_s, sooner=_SOONER)
            tx.outbox.add([(KINDS[kind].task, job_id, rank) for job_id, kind, rank in due], now)
            waiting = tx.jobs.waiting(now, but=_PUT_OFF)
        for lane, rank in RANKS.items():
            count, oldest_s = waiting.get(rank, (0, 0.0))
            metrics.WAITING.labels(lane).set(count)
            metrics.WAITING_SECONDS.labels(lane).set(oldest_s)
        if due:
            metrics.RECONCILED.inc(len(due))
            logs.get("reconcile").info("jobs.published_again", count=len(due))
        return len(due)
