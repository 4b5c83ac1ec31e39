"""Images that are published, held against the hash lists again whenever one has changed.

By the hashes that are kept of them, a batch at a time; images from before there were lists are decoded for it once, a
few in a batch. What is found is quarantined at once, as it is at intake, and revoked wherever it may be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightlight import logs
from nightlight.flows.pictures.hash_list_matches import SCREENED, quarantine
from nightlight.flows.pictures.hash_lists import Screened, Screening, begin_rescreen
from nightlight.jobs import kinds
from nightlight.store.interface import SEAL_BYTES, Open
from nightlight_core.errors import DecoderDied, ImageRefused, ListsUnavailable, ObjectMissing

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.jobs import Lease
    from nightlight.jobs.runner import JobRunner
    from nightlight.store.interface import ObjectStore
    from nightlight_core.ids import ImageId

# By their hashes a hundred take a second against ten million entries; an original takes as long as a render. What else
# is urgent waits for a batch at most.
BATCH, DECODED = 100, 1
# An original and its owner's crop to the lumas that are hashed, uint8 (512, 512) each.
Views = Callable[[bytes, str | None], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Rescreen:
    """The worker's half."""

    runner: JobRunner
    screening: Screening
    originals: ObjectStore
    open_: Open
    views: Views
    max_bytes: int

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do one batch; return how it ended (see JobRunner.run), or ``rescreened`` (there is more) and ``done``."""
        return self.runner.run(job_id, kinds.RESCREEN, self._attempt, redelivered=redelivered, give_up=_give_up)

    def _attempt(self, lease: Lease) -> str:
        revision = self.screening.revision()
        if not revision:
            message = "the lists here are older than those that are known: another worker does it, or newer files"
            raise ListsUnavailable(message)
        with self.runner.catalogue.reading() as tx:
            due = tx.screenings.behind(revision, SCREENED, limit=BATCH)
            unhashed = tx.screenings.unhashed(SCREENED, limit=DECODED)
        found = 0
        for image_id, hashes in due:
            found += self._screened(image_id, self.screening.screen(hashes))
        for image_id in unhashed:
            found += self._screened(image_id, self.screening.screen(self._hashed(image_id)))
        more = bool(due or unhashed)
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            if more:
                begin_rescreen(tx, revision, now)
        logs.get("screen").info("images.rescreened", count=len(due) + len(unhashed), detail=f"{found} found")
        return "rescreened" if more else "done"

    def _screened(self, image_id: ImageId, screened: Screened) -> bool:
        """Note that an image was held against the lists; return whether it is quarantined for it."""
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            image = tx.images.get(image_id)
            if image is None:
                return False
            tx.profiles.get(image.profile_id, lock=True)
            image = tx.images.get(image_id, lock=True)
            if image is None or image.state not in SCREENED:
                return False
            tx.screenings.set(image_id, screened.hashes, screened.revision)
            return bool(screened.found) and quarantine(tx, image, screened.found, now)

    def _hashed(self, image_id: ImageId) -> bytes:
        """Return the hashes of an image's original; none where it cannot be read any more, which is logged."""
        with self.runner.catalogue.reading() as tx:
            image = tx.images.get(image_id)
        if image is None:
            return b""
        from nightlight.matching.list_index import hashes_of

        for last in (False, True):
            try:
                stored = self.originals.get(image.original_key, max_bytes=self.max_bytes + SEAL_BYTES)
                return hashes_of(self.views(self.open_(stored.data, image.sealed_key), image.crop))
            except (ImageRefused, DecoderDied, ObjectMissing) as error:
                if last or not error.retryable:  # a decoder may have died of the machine's trouble: once more
                    told = {"image_id": image_id, "code": error.code, "detail": str(error)}
                    logs.get("screen").error("image.not_screened", **told)
                    return b""
        raise AssertionError  # pragma: no cover - the last time returns or raises


def _give_up(_tx: Transaction, lease: Lease, reason: str, _now: datetime) -> None:
    """Say that a batch was given up; a worker begins the next when it looks at the lists again."""
    logs.get("screen").error("rescreen.given_up", job_id=lease.job_id, reason=reason)
