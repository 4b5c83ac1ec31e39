"""What every job shares: a lease, an end for what keeps crashing, and a later try when a part is down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from nightlight import logs, metrics
from nightlight.catalogue.image_states import WORKER_CRASHED
from nightlight_core.errors import (
    Conflict,
    DecoderDied,
    DecoderTooSlow,
    LeaseLost,
    ManifestRefused,
    PolicyRefused,
    SettingsRefused,
    StoreDenied,
    Unavailable,
)
from nightlight_core.ids import JobId

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.catalogue.jobs import Lease
    from nightlight.jobs.kinds import JobKind
    from nightlight.settings.process import WorkerSettings
    from nightlight_core.clock import Clock

# However long an outage lasts, a job is looked at again at least this often.
MAX_BACKOFF_S = 300.0


# Says of what a job is on, in the transaction that gives the job up, that it failed, and why.
GiveUp = Callable[["Transaction", "Lease", str, datetime], None]


def note_given_up(tx: Transaction, lease: Lease, reason: str, now: datetime) -> None:
    """Write into the audit log that a job was given up."""
    image_id = lease.image_id if lease.column == "image_id" else None
    detail = {"kind": lease.kind, "reason": reason}
    tx.audit.append("job.given_up", now=now, actor="worker", image_id=image_id, detail=detail)


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Runs one attempt at a job."""

    catalogue: Catalogue
    limits: WorkerSettings
    clock: Clock

    def run(
        self,
        job_id: str,
        kind: JobKind,
        attempt: Callable[[Lease], str],
        *,
        redelivered: bool,
        give_up: GiveUp = note_given_up,
    ) -> str:
        """Lease the job, call ``attempt`` and return its word for how it ended.

        Returns ``nothing`` if the job is done or somebody else has it, ``failed`` if it is given up because it has
        crashed too often (as has one whose decoder did, or ran out of time once, or whose manifest cannot be signed;
        kinds that are kept up never are), ``later`` if something that it needs does not answer or is not set (it is
        queued again, without limit: what was acknowledged is not lost), ``lost`` if another attempt took over
        meanwhile. ``redelivered`` says that the broker delivered the message before and its receiver died.
        ``give_up`` says of the job's subject that it failed.
        """
        now = self.clock()
        with self.catalogue.transaction() as tx:
            lease = tx.jobs.lease(
                JobId(job_id), kind.name, kind.subject.column, now, self.limits.lease_s, take_over=redelivered
            )
        if lease is None:
            return "nothing"
        log = logs.get(kind.name)
        with structlog.contextvars.bound_contextvars(job_id=lease.job_id, attempt=lease.attempt, **lease.named):
            try:
                if lease.crashes >= self.limits.max_attempts and not kind.kept_up:
                    return self._give_up(lease, give_up, WORKER_CRASHED)
                return attempt(lease)
            except (DecoderDied, ManifestRefused) as error:
                return self._crashed(lease, error, give_up)
            except LeaseLost as error:
                log.warning("job.lease_lost", detail=str(error))
                return "lost"
            except (Conflict, Unavailable, StoreDenied, SettingsRefused, PolicyRefused) as error:
                delay = min(self.limits.backoff_s * 2 ** min(lease.attempt - 1, 16), MAX_BACKOFF_S)
                log.error("job.later", code=error.code, detail=str(error))
                with self.catalogue.transaction() as tx:
                    tx.jobs.put_back(lease, error.code, self.clock() + timedelta(seconds=delay))
                return "later"

    def _crashed(self, lease: Lease, error: DecoderDied | ManifestRefused, give_up: GiveUp) -> str:
        """Count an attempt that the picture brought down like a worker that died over it.

        A decoder that ran out of time is not asked again.
        """
        log = logs.get(lease.kind)
        too_slow = isinstance(error, DecoderTooSlow)
        if isinstance(error, DecoderDied):
            metrics.DECODERS_DIED.inc()
            reason = error.code if too_slow else f"decoder_{error.how.lower().replace(' ', '_')}"
            log.error("decoder.died", code=error.code, detail=str(error), reason=reason)
        else:
            metrics.MANIFESTS_REFUSED.inc()
            reason = error.code
            log.error("manifest.refused", code=error.code, detail=str(error))
        if too_slow or lease.crashes + 1 >= self.limits.max_attempts:
            return self._give_up(lease, give_up, reason)
        with self.catalogue.transaction() as tx:
            tx.jobs.crashed(lease, reason, self.clock() + timedelta(seconds=self.limits.backoff_s))
        return "later"

    def _give_up(self, lease: Lease, give_up: GiveUp, reason: str) -> str:
        now = self.clock()
        with self.catalogue.transaction() as tx:
            tx.jobs.fail(lease, reason, now)
            give_up(tx, lease, reason, now)
        logs.get(lease.kind).error("job.given_up", count=lease.crashes, reason=reason)
        return "failed"
