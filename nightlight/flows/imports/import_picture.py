"""Taking a picture in from another bucket: looks at what is under a key now, and makes the profile's image of it.

::

    fetch      what is there, by credentials that may read the other bucket
    gone       if a notification said so: what was taken from there is deleted, as by DELETE
    known      the same bytes were taken from there before
    older      the profile has a newer picture, uploaded or from another key
    take       as an upload (flows.pictures.upload); the job ends in the transaction that acknowledges it, so it is
    done once
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue import jobs
from nightlight.catalogue.imports import QUEUED, REFUSED, REMOVED, SKIPPED, TAKEN, ImportItem
from nightlight.jobs.runner import Work
from nightlight_core.errors import ImageRefused, NotFound, ObjectMissing, PayloadTooLarge, ProfileNotDeclared

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.flows.pictures.upload import Upload
    from nightlight.flows.retention.erase import DeletePictures
    from nightlight.store.source_buckets import SourceBuckets
    from nightlight_core.ids import ImageId

KNOWN, OLDER, DELETED, GONE = "known", "older", "profile_deleted", "gone"
_ACTOR = "arrival"


class _Skipped(Exception):  # noqa: N818 - it is no error
    """There is no reason to take this one."""


@dataclass(slots=True)
class _Taking:
    """What intake asks and is told while it accepts an arrival."""

    lease: jobs.Lease
    arrival: ImportItem
    etag: str
    written_at: datetime
    now: datetime

    @property
    def waits(self) -> bool:
        return self.arrival.listed

    def ready(self, tx: Transaction) -> None:
        if tx.imports.known(self.arrival, self.etag):
            raise _Skipped(KNOWN)
        if tx.imports.newer(self.arrival, self.written_at):
            raise _Skipped(OLDER)

    def begun(self, tx: Transaction, image_id: ImageId) -> None:
        tx.imports.seen(self.arrival.item_id, image_id, self.etag, self.written_at)

    def taken(self, tx: Transaction) -> None:
        tx.jobs.finish(self.lease, self.now)
        tx.imports.set_outcome(self.arrival.item_id, TAKEN, self.now)


@dataclass(frozen=True, slots=True)
class ImportPicture:
    """The worker's half. ``follow_removals``: what notifications say was deleted there is deleted here."""

    work: Work
    foreign: SourceBuckets
    intake: Upload
    delete: DeletePictures
    max_bytes: int
    follow_removals: bool

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended (see Work.run), or the arrival's state."""
        return self.work.run(job_id, jobs.TAKE, self._attempt, redelivered=redelivered, quarantine=_give_up)

    def _attempt(self, lease: jobs.Lease) -> str:
        with self.work.catalogue.reading() as tx:
            arrival = tx.imports.get(lease.other_id)
        if arrival is None or arrival.state != QUEUED:
            return self._settle(lease, arrival, SKIPPED, KNOWN)
        try:
            fetched = self.foreign.fetch(arrival.bucket, arrival.key, max_bytes=self.max_bytes)
            taking = _Taking(lease, arrival, fetched.etag, fetched.written_at, self.work.clock())
            with tempfile.TemporaryFile() as file:
                file.write(fetched.data)
                file.flush()
                self.intake.accept(arrival.profile_id, file, idempotency_key=None, actor=_ACTOR, taking=taking)
        except ObjectMissing:
            return self._removed(lease, arrival)
        except _Skipped as reason:
            return self._settle(lease, arrival, SKIPPED, str(reason))
        except ProfileNotDeclared:  # it was deleted: an old bucket does not bring it back
            return self._settle(lease, arrival, SKIPPED, DELETED)
        except (ImageRefused, PayloadTooLarge) as error:
            return self._settle(lease, arrival, REFUSED, error.code)
        metrics.IMPORTS.labels(TAKEN).inc()
        return TAKEN

    def _removed(self, lease: jobs.Lease, arrival: ImportItem) -> str:
        """Delete what was taken from a key that is empty now."""
        with self.work.catalogue.reading() as tx:
            images = tx.imports.images_of(arrival)
        for image_id in images if self.follow_removals and not arrival.listed else ():
            try:
                self.delete.image(image_id, actor=_ACTOR)
            except NotFound:
                continue
        return self._settle(lease, arrival, REMOVED, GONE)

    def _settle(self, lease: jobs.Lease, arrival: ImportItem | None, state: str, reason: str) -> str:
        now = self.work.clock()
        with self.work.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            if arrival is not None and arrival.state == QUEUED:
                tx.imports.set_outcome(arrival.item_id, state, now, reason=reason, forget=reason == DELETED)
        metrics.IMPORTS.labels(state).inc()
        logs.get("take").info("arrival.settled", state=state, reason=reason)
        return state


def _give_up(tx: Transaction, lease: jobs.Lease, reason: str, now: datetime) -> None:
    """Say that an arrival was given up."""
    tx.imports.set_outcome(lease.other_id, REFUSED, now, reason=reason)
