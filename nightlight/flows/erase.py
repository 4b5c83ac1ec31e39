"""Deleting: at once for every new decision, then the objects themselves, by a job that is retried until done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightlight import logs
from nightlight.catalogue import images, jobs
from nightlight.delivery.names import EXTENSIONS, object_key
from nightlight.errors import NotFound
from nightlight.flows.messages import ask
from nightlight.flows.work import Work
from nightlight.ids import ImageId, ProfileId, new_job_id

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.clock import Clock
    from nightlight.delivery.purge import Purge
    from nightlight.store.port import ObjectStore

# The first publication goes through the outbox at once; this is when it is tried again if that was lost.
_AGAIN_S = 60


@dataclass(frozen=True, slots=True)
class Delete:
    """The service's half: takes a picture out of every decision, and asks for its objects to be erased."""

    catalogue: Catalogue
    clock: Clock

    def image(self, image_id: ImageId, *, actor: str) -> None:
        """Delete one image; raises NotFound if there is none or it is deleted already."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            image = tx.images.get(image_id)
            if image is None:
                raise NotFound
            profile = tx.profiles.get(image.profile_id, lock=True)
            image = tx.images.get(image_id, lock=True)
            if image is None or image.state == images.DELETED:
                raise NotFound
            if profile is not None and profile.current_image_id == image_id:
                tx.profiles.set_current(image.profile_id, None)
            tx.revocations.add(image.profile_id, now, image_id=image_id)
            tx.events.add(image.profile_id, now)
            erase_later(tx, image_id, now=now, actor=actor)

    def profile(self, profile_id: ProfileId, *, actor: str) -> None:
        """Delete a profile and all its images; raises NotFound if there is none."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            if not tx.profiles.delete(profile_id):
                raise NotFound
            tx.revocations.add(profile_id, now)
            tx.events.add(profile_id, now)
            tx.blocks.forget(profile_id)
            for image in tx.images.of_profile(profile_id):
                erase_later(tx, image.image_id, now=now, actor=actor)
            tx.audit.append("profile.deleted", now=now, actor=actor)


def erase_later(tx: Transaction, image_id: ImageId, *, now: datetime, actor: str) -> None:
    """Mark an image deleted and queue the erasure of its objects, in the caller's transaction."""
    job_id = new_job_id()
    tx.images.set_state(image_id, images.DELETED)
    tx.idempotency.forget_image(image_id)
    tx.jobs.add(job_id, jobs.ERASE, image_id, now, due=now + timedelta(seconds=_AGAIN_S))
    ask(tx, jobs.ERASE, job_id, now)
    tx.audit.append("image.deleted", now=now, actor=actor, image_id=image_id)


@dataclass(frozen=True, slots=True)
class Erase:
    """The worker's half: deletes the original and every rendition that was or may have been written."""

    work: Work
    originals: ObjectStore
    renditions: ObjectStore
    purge: Purge

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended: ``erased``, ``nothing`` or ``later``."""
        return self.work.run(job_id, jobs.ERASE, self._erase, redelivered=redelivered)

    def _erase(self, lease: jobs.Lease) -> str:
        with self.work.catalogue.transaction() as tx:
            image = tx.images.get(lease.image_id)
            keys = set(tx.jobs.planned_keys(lease.image_id))
            keys |= {
                object_key(name, EXTENSIONS[format_]) for name, format_ in tx.images.rendition_names(lease.image_id)
            }
        if image is None or image.state != images.DELETED:
            return self._finish(lease, "nothing")
        self.originals.delete(image.original_key)
        for key in sorted(keys):
            self.renditions.delete(key)
        self.purge.forget(sorted(keys))
        logs.get("erase").info("image.erased", count=len(keys) + 1)
        return self._finish(lease, "erased")

    def _finish(self, lease: jobs.Lease, ending: str) -> str:
        now = self.work.clock()
        with self.work.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            if ending == "erased":
                tx.hashes.drop(lease.image_id)
                tx.traces.drop_image(lease.image_id)
                tx.images.drop_renditions(lease.image_id)
                tx.revocations.drop(lease.image_id, [name for name, _ in tx.revocations.of_image(lease.image_id)])
                tx.audit.append("image.erased", now=now, actor="worker", image_id=lease.image_id)
        return ending
