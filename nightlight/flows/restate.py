"""Tells the buckets what has become of a picture, by tags: lifecycle rules go by them (retention.desired).

A rule counts days from when an object was written, so an object is written anew, in place, with its tag: of a picture
that was in use for years and was replaced today the days begin today. Tags name states, and nothing of whose it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightlight.catalogue import images, jobs
from nightlight.delivery.names import EXTENSIONS, object_key
from nightlight.errors import ObjectMissing
from nightlight.flows.sweep import STATES
from nightlight.flows.work import Work
from nightlight.ids import ImageId, new_job_id

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.store.port import ObjectStore

# No hurry: rules count in days, and the picture may be deleted meanwhile.
_LATER = timedelta(minutes=1)


def restate_later(tx: Transaction, image_id: ImageId, now: datetime) -> None:
    """Queue a job that tags an image's objects by its state, in the caller's transaction."""
    tx.jobs.add(new_job_id(), jobs.RESTATE, image_id, now, due=now + _LATER)


@dataclass(frozen=True, slots=True)
class Restate:
    """The worker's half."""

    work: Work
    originals: ObjectStore
    renditions: ObjectStore

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended (see Work.run), or ``restated``."""
        return self.work.run(job_id, jobs.RESTATE, self._attempt, redelivered=redelivered)

    def _attempt(self, lease: jobs.Lease) -> str:
        with self.work.catalogue.reading() as tx:
            image = tx.images.get(lease.image_id)
            names = tx.images.rendition_names(lease.image_id)
        if image is not None and image.state == images.SUPERSEDED:
            keys = [object_key(name, EXTENSIONS[format_]) for name, format_ in names]
            for store, key in ((self.originals, image.original_key), *((self.renditions, key) for key in keys)):
                try:
                    store.restate(key, STATES[image.state])
                except ObjectMissing:  # erased meanwhile
                    continue
        with self.work.catalogue.transaction() as tx:
            tx.jobs.finish(lease, self.work.clock())
            # Erased while it was written anew: the erasure may have come too early to find it.
            found = tx.images.get(lease.image_id)
            if found is not None and found.state == images.DELETED:
                keys = tx.jobs.planned_keys(lease.image_id)
                due = self.work.clock() + _LATER
                tx.jobs.add(new_job_id(), jobs.PROVE, lease.image_id, self.work.clock(), due=due, planned=keys)
        return "restated"
