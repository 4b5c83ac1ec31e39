"""Tells the buckets what has become of a picture, by tags: lifecycle rules go by them (retention.wanted_rules).

A rule counts days from when an object was written, so an object is written anew, in place, with its tag: of a picture
that was in use for years and was replaced today the days begin today. Tags name states, and nothing of whose it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightlight.catalogue import images, jobs
from nightlight.delivery.object_names import EXTENSIONS, object_key
from nightlight.jobs.enqueue import TASKS
from nightlight.jobs.lanes import BACKGROUND
from nightlight.jobs.runner import Work
from nightlight_core.errors import ObjectMissing
from nightlight_core.ids import ImageId, new_job_id

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.store.interface import ObjectStore

# What retention.yaml calls an image in each of its states here. What cannot be shown is kept like what was replaced.
STATES = {
    images.READY: "live",
    images.SUPERSEDED: "replaced",
    images.REJECTED: "replaced",
    images.FAILED: "replaced",
    images.QUARANTINED: "quarantined",
}
# No hurry: rules count in days, and the picture may be deleted meanwhile.
_LATER = timedelta(minutes=1)
_BATCH = 500
# A picture in use has no tag: the rule about everything is about it.
_TAGGED = STATES.keys() - {images.READY}


def retag_later(tx: Transaction, image_id: ImageId, now: datetime) -> None:
    """Queue a job that tags an image's objects by its state, in the caller's transaction."""
    tx.jobs.add(new_job_id(), jobs.RESTATE, image_id, now, due=now + _LATER)


@dataclass(frozen=True, slots=True)
class RetentionTags:
    """The worker's half, and the half of whoever wants every object tagged: those from before there were tags."""

    work: Work
    originals: ObjectStore
    renditions: ObjectStore

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended (see Work.run), or ``restated``."""
        return self.work.run(job_id, jobs.RESTATE, self._attempt, redelivered=redelivered)

    def ask_all(self, after: str = "") -> Iterator[int]:
        """Queue the tagging of every image whose state has a tag, a batch at a time; yield how many each time."""
        while True:
            now = self.work.clock()
            with self.work.catalogue.transaction() as tx:
                found = tx.images.in_states(tuple(_TAGGED), after=after, limit=_BATCH)
                on = [(new_job_id(), image_id) for image_id in found]
                tx.jobs.add_many(jobs.RESTATE, on, now, due=now + _LATER)
                tx.outbox.add_many(TASKS[jobs.RESTATE], [job_id for job_id, _ in on], now, lane=BACKGROUND)
            if not found:
                return
            after = found[-1]
            yield len(found)

    def waiting(self) -> int:
        """Return how many taggings are still to be done."""
        with self.work.catalogue.reading() as tx:
            return tx.jobs.open(jobs.RESTATE)

    def _attempt(self, lease: jobs.Lease) -> str:
        with self.work.catalogue.reading() as tx:
            image = tx.images.get(lease.image_id)
            names = tx.images.rendition_names(lease.image_id)
        if image is not None and image.state in _TAGGED:
            keys = [object_key(name, EXTENSIONS[format_]) for name, format_ in names]
            for store, key in ((self.originals, image.original_key), *((self.renditions, key) for key in keys)):
                try:
                    store.retag(key, STATES[image.state])
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
