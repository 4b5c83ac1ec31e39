"""The last step of an erasure: once a second listing has found nothing, the catalogue's rows go too.

::

    image      with the proof that nothing has come back, in its transaction: every row that names it
    profile    with its last image, or by a job of its own where it has none: its row, and what is kept under its id. A
               tombstone takes its place, and a receipt with the same hash
    leftovers  what an earlier release erased, or a hold kept: the sweep finds it, and does the same

What is under a hold, or worked on at that moment, keeps its rows until then. Each step is one transaction, in a job
that is run again until it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightlight.catalogue import images, profiles
from nightlight.catalogue.feed import KEPT_S
from nightlight.flows.retention.receipt_issuer import Erasure, Residual, until_date
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.retention.erasure_receipt import ROWS_REMOVED

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.jobs import Lease
    from nightlight.catalogue.tombstones import ErasureSubject
    from nightlight.flows.retention.receipt_issuer import ReceiptIssuer
    from nightlight.jobs.runner import JobRunner
    from nightlight.retention.erasure_subjects import SubjectHasher
    from nightlight_core.ids import ImageId, ProfileId

_BATCH = 100
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class RemoveErasedRows:
    """The worker's half. ``audit_days`` gives how long lines about what was erased are kept in the audit log."""

    runner: JobRunner
    hasher: SubjectHasher
    receipts: ReceiptIssuer | None
    tombstone_days: int
    audit_days: Callable[[], int]

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Remove deleted profiles that have no images; return how it ended (see JobRunner.run), or ``removed``."""
        ending = self.runner.run(job_id, kinds.REMOVE_ROWS, self._attempt, redelivered=redelivered)
        self.runner.catalogue.drop_removed()
        return ending

    def _attempt(self, lease: Lease) -> str:
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            if self._profiles(tx, now) == _BATCH:
                enqueue(tx, kinds.REMOVE_ROWS, lease.other_id, now)
        return "removed"

    def subject(self, tx: Transaction, image_id: ImageId) -> ErasureSubject | None:
        """Return whose erasure the deletion of an image belongs to; None where its profile is kept."""
        image = tx.images.get(image_id)
        profile = tx.profiles.get(image.profile_id) if image is not None else None
        if profile is None or profile.state != profiles.DELETED:
            return None
        return self.hasher.subject(profile.profile_id)

    def owner(self, tx: Transaction, image_id: ImageId) -> ErasureSubject | None:
        """Return whose picture an image is, kept or not; None without its row."""
        image = tx.images.get(image_id)
        return self.hasher.subject(image.profile_id) if image is not None else None

    def image(self, tx: Transaction, lease: Lease, asked_at: datetime, now: datetime) -> Callable[[], None] | None:
        """Remove a deleted image's rows; None if they stay for now: see the top of this file.

        Returns what ends the erasure of its profile if this was its last image, for after the image's own receipt.
        """
        image = tx.images.get(lease.image_id)
        if image is None:
            return None
        profile = tx.profiles.get(image.profile_id, lock=True)
        image = tx.images.get(lease.image_id, lock=True)
        rows = tx.erased_rows
        if image is None or profile is None or image.state != images.DELETED:
            return None
        if rows.kept_by_hold(image.image_id) or rows.worked_on(image.image_id, lease.job_id, now):
            return None
        rows.remove_image(image.image_id)

        def end() -> None:
            if profile.state == profiles.DELETED and not rows.has_images(profile.profile_id):
                self._profile(tx, profile.profile_id, asked_at, now)

        return end

    def leftovers(self) -> int:
        """Have a batch of what is left over removed, and old lines of the audit log; return how much that was."""
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            tx.tombstones.forget_before(now - timedelta(days=self.tombstone_days))
            lines = tx.erased_rows.forget_audit(now - timedelta(days=self.audit_days()), limit=_BATCH)
            owned = tx.erased_rows.images_left_over(limit=_BATCH)
            for image_id in owned:
                enqueue(tx, kinds.VERIFY_ERASURE, image_id, now, delay=timedelta())
            return len(owned) + self._profiles(tx, now) + lines

    def stays(self, now: datetime, *, profile: bool) -> list[Residual]:
        """Return what is kept when rows are removed, and until when."""
        kept = [
            ("audit log by image id", until_date(now, self.audit_days())),
            ("change feed", until_date(now, KEPT_S / _DAY_S)),
        ]
        return kept + ([("tombstone", until_date(now, self.tombstone_days))] if profile else [])

    def _profiles(self, tx: Transaction, now: datetime) -> int:
        erased = tx.erased_rows.profiles_without_images(limit=_BATCH)
        for profile_id in erased:
            self._profile(tx, profile_id, now, now)
        return len(erased)

    def _profile(self, tx: Transaction, profile_id: ProfileId, asked_at: datetime, now: datetime) -> None:
        subject = self.hasher.subject(profile_id)
        tx.erased_rows.remove_profile(profile_id)
        tx.tombstones.add(subject, now)
        tx.audit.append("profile.removed", now=now, actor="worker")
        if self.receipts is not None:
            stays = self.stays(now, profile=True)
            erasure = Erasure(ROWS_REMOVED, None, asked_at, subject=subject, rows_removed=True, stays=stays)
            self.receipts.write(tx, erasure, now)
