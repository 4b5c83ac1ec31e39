"""Tells the buckets what has become of a picture, by tags: lifecycle rules go by them (retention.wanted_rules).

A rule counts days from when an object was written, so an object is written anew, in place, with its tag: of a picture
that was in use for years and was replaced today the days begin today. Tags name states, and nothing of whose it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from nightlight.catalogue import images, profiles
from nightlight.delivery.object_names import rendition_key
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue, enqueue_many
from nightlight_core.errors import ObjectMissing

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.jobs import Lease
    from nightlight.jobs.runner import JobRunner
    from nightlight.store.interface import ObjectStore

# What retention.yaml calls an image in each of its states here. What cannot be shown is kept like what was replaced.
STATES = {
    images.READY: "live",
    images.SUPERSEDED: "replaced",
    images.REJECTED: "replaced",
    images.FAILED: "replaced",
    images.QUARANTINED: "quarantined",
}
# What retention.yaml calls an image that is ready, and whose account is deactivated.
DEACTIVATED = "deactivated"
_BATCH = 500
# How long an erasure that came at the same time is given before it is verified.
_SOON = timedelta(minutes=1)
# A picture in use has no tag: the rule about everything is about it. Nor has that of a deactivated account: it must be
# able to come back, and its objects are renamed at the same moment. The sweep alone deletes it.
_TAGGED = STATES.keys() - {images.READY}


def count_objects(tx: Transaction) -> Counter[tuple[str, str, str]]:
    """Return how many objects the buckets have by what retention.yaml calls their state, by band and by region."""
    totals: Counter[tuple[str, str, str]] = Counter()
    for (state, account, band, region), count in tx.statistics.objects().items():
        if state in STATES:
            deactivated = state == images.READY and account == profiles.DEACTIVATED
            totals[DEACTIVATED if deactivated else STATES[state], band, region] += count
    return totals


@dataclass(frozen=True, slots=True)
class RetentionTags:
    """The worker's half, and the half of whoever wants every object tagged: those from before there were tags."""

    runner: JobRunner
    originals: ObjectStore
    renditions: ObjectStore

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended (see JobRunner.run), or ``tagged``."""
        return self.runner.run(job_id, kinds.RETENTION_TAGS, self._attempt, redelivered=redelivered)

    def ask_all(self, after: str = "") -> Iterator[int]:
        """Queue the tagging of every image whose state has a tag, a batch at a time; yield how many each time."""
        while True:
            now = self.runner.clock()
            with self.runner.catalogue.transaction() as tx:
                image_ids = tx.images.in_states(tuple(_TAGGED), after=after, limit=_BATCH)
                enqueue_many(tx, kinds.RETENTION_TAGS, image_ids, now)
            if not image_ids:
                return
            after = image_ids[-1]
            yield len(image_ids)

    def waiting(self) -> int:
        """Return how many taggings are still to be done."""
        with self.runner.catalogue.reading() as tx:
            return tx.jobs.open(kinds.RETENTION_TAGS.name)

    def _attempt(self, lease: Lease) -> str:
        with self.runner.catalogue.reading() as tx:
            image = tx.images.get(lease.image_id)
            names = tx.images.rendition_names(lease.image_id)
        if image is not None and image.state in _TAGGED:
            keys = [rendition_key(name, format_) for name, format_ in names]
            for store, key in ((self.originals, image.original_key), *((self.renditions, key) for key in keys)):
                try:
                    store.retag(key, STATES[image.state])
                except ObjectMissing:  # erased meanwhile
                    continue
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            # Erased while it was written anew: the erasure may have come too early to find it.
            current = tx.images.get(lease.image_id)
            if current is not None and current.state == images.DELETED:
                keys = tx.jobs.planned_keys(lease.image_id)
                enqueue(tx, kinds.VERIFY_ERASURE, lease.image_id, now, delay=_SOON, planned=keys)
        return "tagged"
