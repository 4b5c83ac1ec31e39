"""Forgets what was kept for a time only: uploads never acknowledged, traces, exports, idempotency keys, proofs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue.takedowns import FAILED
from nightlight.flows.exports.removal import remove_export
from nightlight.flows.pictures.delete import delete_image
from nightlight.flows.pictures.profiles import PROOFS_LIVE
from nightlight.flows.pictures.review_removal import remove_review_pictures
from nightlight.flows.takedowns.notice_copies import replace_copy
from nightlight.flows.takedowns.review import REVIEWS_WAIT
from nightlight.flows.traces.requests import delete_trace
from nightlight.jobs import kinds
from nightlight.settings.records import RecordSettings

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.retention.erasure_subjects import SubjectHasher
    from nightlight_core.clock import Clock

_ACTOR = "schedule"
_BATCH = 100
_EVENTS_BATCH = 1000
# An upload takes seconds; one that was not acknowledged within an hour never will be.
_ABANDONED = timedelta(hours=1)
# An export that is not ready a day after it was asked for is not made any more. Rows count for the rate until then.
_EXPORTS_LIVE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Expiry:
    """Runs beside the reconciler. ``erasure_days`` gives the days that the policy allows an erasure to take.

    Of figures, abuse signals and events, ``records`` has the days.
    """

    catalogue: Catalogue
    idempotency_hours: int
    trace_days: int
    clock: Clock
    hasher: SubjectHasher
    erasure_days: Callable[[], int] = lambda: 1
    records: RecordSettings = field(default_factory=RecordSettings)

    def run_once(self) -> None:
        """Delete a batch of what has expired, and count the erasures and takedown notices that are overdue."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            for image_id in tx.images.abandoned(now - _ABANDONED, limit=_BATCH):
                delete_image(tx, image_id, now=now, actor=_ACTOR)
            expired = now - timedelta(days=self.trace_days)
            for trace_id in tx.trace_jobs.stale(abandoned=now - _ABANDONED, expired=expired, limit=_BATCH):
                delete_trace(tx, trace_id, now=now, actor=_ACTOR)
            for export in tx.exports.due(now, asked_before=now - _EXPORTS_LIVE, limit=_BATCH):
                remove_export(tx, export, now=now, actor=_ACTOR)
            tx.exports.drop(asked_before=now - _EXPORTS_LIVE)
            due = tx.takedown_reviews.due(now, asked_before=now - REVIEWS_WAIT, limit=_BATCH)
            remove_review_pictures(tx, due, now)
            for notice in tx.takedowns.copies_kept(expired, limit=_BATCH):
                replace_copy(tx, notice, None, now)
            tx.idempotency.forget_before(now - timedelta(hours=self.idempotency_hours))
            tx.feed.forget()
            tx.abuse_signals.forget_before(now - timedelta(days=self.records.signals_days))
            tx.policies.forget_counts((now - timedelta(days=self.records.figures_days)).date())
            tx.proof_revocations.forget_before(now - PROOFS_LIVE)
            old = now - timedelta(days=self.records.events_days)
            _, never_taken = tx.events.forget_before(old, limit=_EVENTS_BATCH)
            for takedown_id in tx.takedowns.stale(now - _ABANDONED, limit=_BATCH):
                tx.takedowns.set(takedown_id, state=FAILED, reason="never_acknowledged")
            takedowns_overdue = tx.takedowns.overdue(now)
            lost = tx.tombstones.unreadable(self.hasher.key_ids)
            overdue = tx.jobs.overdue(kinds.ERASE.name, now - timedelta(days=self.erasure_days()))
        self.catalogue.drop_removed()
        if never_taken:
            logs.get("expiry").error("events.expired", count=never_taken)
        metrics.ERASURE_KEYS_LOST.set(len(lost))
        if lost:
            logs.get("expiry").error("erasure.keys_lost", keys=", ".join(sorted(lost)), count=sum(lost.values()))
        metrics.TAKEDOWNS_OVERDUE.set(takedowns_overdue)
        if takedowns_overdue:
            logs.get("expiry").error("takedowns.overdue", count=takedowns_overdue)
        metrics.ERASURES_OVERDUE.set(overdue)
        if overdue:
            logs.get("expiry").error("erasures.overdue", count=overdue)
