"""Images that are published, held against the hash lists again whenever one has changed.

By the hashes that are kept of them, a batch at a time; images of which none are kept are hashed for it once
(flows.pictures.image_hashes), as many as a batch has time for. What is found is quarantined at once, as it is at
upload, and revoked wherever it may be kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.flows.pictures.hash_list_matches import SCREENED, quarantine
from nightlight.flows.pictures.hash_lists import Screened, Screening, begin_rescreen, newest
from nightlight.flows.pictures.image_hashes import NOTHING, ORIGINAL, ImageHasher, ImageHashes
from nightlight.jobs import kinds

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.jobs import Lease
    from nightlight.jobs.runner import JobRunner
    from nightlight_core.ids import ImageId

# By their hashes a hundred take a second against ten million entries. Originals are decoded until a batch has taken
# BATCH_S: one at least, and no more than DECODED. An original takes up to a render's time, and what else is urgent
# waits for a batch at most: a second and one original.
BATCH, DECODED, BATCH_S = 100, 50, 1.0


@dataclass(frozen=True, slots=True)
class Rescreen:
    """The worker's half. ``monotonic`` returns seconds that only go up."""

    runner: JobRunner
    screening: Screening
    hasher: ImageHasher
    monotonic: Callable[[], float] = time.monotonic

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do one batch; return how it ended (see JobRunner.run), or ``rescreened`` (there is more) and ``done``."""
        return self.runner.run(job_id, kinds.RESCREEN, self._attempt, redelivered=redelivered, give_up=_give_up)

    def _attempt(self, lease: Lease) -> str:
        ends = self.monotonic() + BATCH_S
        revision = newest(self.screening.revision())
        with self.runner.catalogue.reading() as tx:
            due = tx.screenings.behind(revision, SCREENED, limit=BATCH)
            unhashed = tx.screenings.unhashed(SCREENED, limit=DECODED)
        quarantined = 0
        for image_id, hashes in due:
            quarantined += bool(self._screened(image_id, self.screening.screen(hashes)))
        hashed = 0
        for image_id in unhashed:
            if hashed and self.monotonic() >= ends:
                break
            quarantined += self._hashed(image_id, decode_original=bool(hashed) or not self._last_attempt(lease))
            hashed += 1
        more = bool(due or unhashed)
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            if more:
                begin_rescreen(tx, revision, now)
        logs.get("screen").info("images.rescreened", count=len(due) + hashed, detail=f"{quarantined} found")
        return "rescreened" if more else "done"

    def _last_attempt(self, lease: Lease) -> bool:
        """Return whether this is the last attempt of a batch over whose first unhashed image workers died.

        Each image is noted as soon as it is done, so the first is the image that they died over.
        """
        return lease.crashes >= max(1, self.runner.limits.max_attempts - 1)

    def _hashed(self, image_id: ImageId, *, decode_original: bool) -> bool:
        """Hash an image and hold it against the lists; return whether it is quarantined for it."""
        hashed = self.hasher.hashes(image_id, decode_original=decode_original)
        quarantined = self._screened(image_id, self.screening.screen(hashed.hashes))
        if quarantined is not None and hashed.source != ORIGINAL:
            _tell(image_id, hashed)
        return bool(quarantined)

    def _screened(self, image_id: ImageId, screened: Screened) -> bool | None:
        """Note that an image was held against the lists; return whether it is quarantined for it.

        Returns None, and notes nothing, where the image is not published any more.
        """
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            image = tx.images.get(image_id)
            if image is None:
                return None
            tx.profiles.get(image.profile_id, lock=True)
            image = tx.images.get(image_id, lock=True)
            if image is None or image.state not in SCREENED:
                return None
            tx.screenings.set(image_id, screened.hashes, screened.revision)
            return bool(screened.matches) and quarantine(tx, image, screened.matches, now)


def _tell(image_id: ImageId, hashed: ImageHashes) -> None:
    """Write in the log that an image's original could not be hashed, and what was held against the lists instead."""
    fields = {"image_id": image_id, "code": hashed.code, "detail": hashed.detail, "state": hashed.source}
    if hashed.source == NOTHING:
        metrics.NOT_SCREENED.inc()
        logs.get("screen").error("image.not_screened", **fields)
    else:
        logs.get("screen").warning("image.screened_without_original", **fields)


def _give_up(_tx: Transaction, lease: Lease, reason: str, _now: datetime) -> None:
    """Say that a batch was given up; a worker begins the next when it looks at the lists again."""
    logs.get("screen").error("rescreen.given_up", job_id=lease.job_id, reason=reason)
