"""Making softened pictures for reviewers, and deleting them: the worker's half. It alone can read originals."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from nightlight import logs
from nightlight.catalogue import takedown_reviews
from nightlight.flows.pictures.review_removal import remove_review_pictures
from nightlight.flows.takedowns.review import SHOWN
from nightlight.jobs import kinds
from nightlight.store.interface import SEAL_BYTES, Open
from nightlight_core.errors import ImageRefused, ObjectMissing, StoreUnavailable, Unavailable
from nightlight_core.ids import COPIES

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.jobs import Lease
    from nightlight.catalogue.takedown_reviews import ReviewPicture
    from nightlight.flows.takedowns.notice_copies import NoticeCopies
    from nightlight.jobs.runner import JobRunner
    from nightlight.settings.pictures import MatchingSettings
    from nightlight.store.interface import ObjectStore

# An image file to its softened picture; raises ImageRefused and its kinds, or DecoderDied.
Soften = Callable[[bytes], bytes]
MEDIA_TYPE = "image/webp"
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class MakeReviewPicture:
    """Makes softened pictures and deletes them. ``max_bytes`` is what an original may have, ``copies`` notices' own.

    The settings are the worker's own: a service that somebody has taken over cannot loosen them.
    """

    runner: JobRunner
    originals: ObjectStore
    reviews: ObjectStore
    soften: Soften
    limits: MatchingSettings
    open_: Open
    max_bytes: int
    copies: NoticeCopies

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Make one picture; return how it ended: as JobRunner.run, ``ready``, ``failed`` or ``nothing``."""
        return self.runner.run(job_id, kinds.REVIEW, self._attempt, redelivered=redelivered, give_up=_give_up)

    def delete(self, job_id: str, *, redelivered: bool) -> str:
        """Delete the objects of one job; return how it ended: as JobRunner.run, or ``removed``."""
        return self.runner.run(job_id, kinds.DELETE_REVIEW, self._delete, redelivered=redelivered)

    def _attempt(self, lease: Lease) -> str:
        with self.runner.catalogue.reading() as tx:
            row = tx.takedown_reviews.get(lease.other_id)
            recent = tx.takedown_reviews.made_since(self.runner.clock() - _HOUR)
        if row is None or row.state != takedown_reviews.PENDING:
            return self._end(lease, "nothing")
        if recent >= self.limits.reviews_per_hour:
            raise Unavailable(f"{recent} softened pictures in an hour (NIGHTLIGHT_MATCHING_REVIEWS_PER_HOUR)")
        try:
            softened = self._softened(row)
        except (ImageRefused, ObjectMissing) as error:
            logs.get("takedown").warning("takedown.not_softened", code=error.code, detail=str(error))
            return self._end(lease, takedown_reviews.FAILED, error.code)
        sha256 = hashlib.sha256(softened).hexdigest()
        self.reviews.replace(row.object_key, io.BytesIO(softened), sha256=sha256, content_type=MEDIA_TYPE)
        return self._publish(lease, row)

    def _softened(self, row: ReviewPicture) -> bytes:
        """Return the softened picture of a row; raises ObjectMissing, ImageRefused and its kinds, or DecoderDied."""
        with self.runner.catalogue.reading() as tx:
            takedown = tx.takedowns.get(row.takedown_id)
            image = tx.images.get(row.image_id) if row.image_id is not None else None
        if row.image_id is not None:
            if image is None or image.state not in SHOWN:
                raise ObjectMissing(f"{row.image_id} is not to be looked at")
            stored = self.originals.get(image.original_key, max_bytes=self.max_bytes + SEAL_BYTES)
            return self.soften(self.open_(stored.data, image.sealed_key))
        if takedown is None:
            raise ObjectMissing("there is no such notice any more")
        return self.copies.softened(takedown)

    def _publish(self, lease: Lease, row: ReviewPicture) -> str:
        """Say that a picture is ready, or have it deleted where it was removed meanwhile."""
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            current = tx.takedown_reviews.get(row.review_id, lock=True)
            tx.jobs.finish(lease, now)
            if current is None or current.state != takedown_reviews.PENDING:
                remove_review_pictures(tx, [row], now)
                return "nothing"
            expires_at = now + timedelta(hours=self.limits.review_hours)
            tx.takedown_reviews.set(row.review_id, state=takedown_reviews.READY, made_at=now, expires_at=expires_at)
        return takedown_reviews.READY

    def _end(self, lease: Lease, ending: str, reason: str | None = None) -> str:
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, self.runner.clock())
            if reason is not None:
                tx.takedown_reviews.set(lease.other_id, state=ending, reason=reason)
        return ending

    def _delete(self, lease: Lease) -> str:
        with self.runner.catalogue.reading() as tx:
            keys = tx.jobs.planned(lease)
        for key in sorted(keys):
            store = self.originals if key.startswith(COPIES) else self.reviews
            store.erase(key)
            left = len(store.remains(key))
            if left:
                raise StoreUnavailable(f"{left} versions of a softened picture are still there after they were deleted")
        with self.runner.catalogue.transaction() as tx:
            now = self.runner.clock()
            tx.jobs.finish(lease, now)
            if any(key.startswith(COPIES) for key in keys):
                detail: dict[str, str | int] = {"takedown_id": lease.other_id}
                tx.audit.append("takedown.copy_deleted", now=now, actor="worker", detail=detail)
            row = tx.takedown_reviews.get(lease.other_id)
            if row is not None and row.state == takedown_reviews.DELETED:
                tx.takedown_reviews.drop(row.review_id)
        return "removed"


def _give_up(tx: Transaction, lease: Lease, reason: str, _now: datetime) -> None:
    row = tx.takedown_reviews.get(lease.other_id, lock=True)
    if row is not None and row.state == takedown_reviews.PENDING:
        tx.takedown_reviews.set(row.review_id, state=takedown_reviews.FAILED, reason=reason)
