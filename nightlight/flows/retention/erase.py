"""Deleting: at once for every new decision, then the objects themselves, by a job that is retried until done."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight import logs
from nightlight.catalogue import images, jobs
from nightlight.delivery.object_names import EXTENSIONS, object_key
from nightlight.jobs.enqueue import ask
from nightlight.jobs.runner import Work
from nightlight.retention.receipt import ERASED, PROVED, DeletedObject, issue_receipt, subject_digest
from nightlight_core.errors import HoldPending, NotFound, StoreUnavailable
from nightlight_core.ids import ImageId, ProfileId, new_job_id

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.delivery.purge import EdgePurge
    from nightlight.policy.signing import SigningKey
    from nightlight.store.interface import ObjectStore
    from nightlight_core.clock import Clock

# The first publication goes through the outbox at once; this is when it is tried again if that was lost.
_AGAIN_S = 60
# What receipts call the two buckets.
ORIGINALS, RENDITIONS = "originals", "renditions"


@dataclass(frozen=True, slots=True)
class DeletePictures:
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

    def receipts(self, image_id: ImageId) -> list[dict[str, str]]:
        """Return the receipts of an image's erasure, the oldest first; raises NotFound where there is no such image."""
        with self.catalogue.reading() as tx:
            if tx.images.get(image_id) is None:
                raise NotFound
            return tx.receipts.of_image(image_id)

    def erased(self, image_id: ImageId) -> bool:
        """Say whether a deleted image's objects are gone."""
        with self.catalogue.reading() as tx:
            return tx.jobs.ended(image_id, jobs.ERASE)

    def profile(self, profile_id: ProfileId, *, actor: str) -> list[ImageId]:
        """Delete a profile and all its images, and return those; raises NotFound if there is none."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            if not tx.profiles.delete(profile_id):
                raise NotFound
            tx.revocations.add(profile_id, now)
            tx.events.add(profile_id, now)
            tx.blocks.forget(profile_id)
            tx.proof_revocations.forget(profile_id)
            tx.arrivals.forget_profile(profile_id)
            found = [image.image_id for image in tx.images.of_profile(profile_id)]
            for image_id in found:
                erase_later(tx, image_id, now=now, actor=actor)
            tx.audit.append("profile.deleted", now=now, actor=actor)
        return found


def erase_later(tx: Transaction, image_id: ImageId, *, now: datetime, actor: str) -> None:
    """Mark an image deleted and queue the erasure of its objects, in the caller's transaction."""
    job_id = new_job_id()
    tx.images.set_state(image_id, images.DELETED)
    tx.idempotency.forget_image(image_id)
    tx.jobs.add(job_id, jobs.ERASE, image_id, now, due=now + timedelta(seconds=_AGAIN_S))
    ask(tx, jobs.ERASE, job_id, now)
    tx.audit.append("image.deleted", now=now, actor=actor, image_id=image_id)


@dataclass(frozen=True, slots=True)
class ReceiptIssuer:
    """Makes receipts. ``residuals`` says where copies stay for how many days: backups, say."""

    key: SigningKey
    residuals: tuple[tuple[str, int], ...]

    def write(  # noqa: PLR0913 - what a receipt tells
        self,
        tx: Transaction,
        image_id: ImageId,
        kind: str,
        gone: Sequence[DeletedObject],
        *,
        asked_at: datetime,
        now: datetime,
        key_destroyed: bool = False,
        ended: str = "",
    ) -> None:
        """Add the receipt of an erasure to the chain, in the caller's transaction; ``ended`` is a hold that ends."""
        held_until = tx.holds.until(image_id, but=ended)
        held = [] if held_until is None else [{"what": "hold", "until": held_until or "it is ended"}]
        receipt_id = secrets.token_hex(16)
        told = {
            "receipt_id": receipt_id,
            "kind": kind,
            "subject_sha256": subject_digest(image_id),
            "asked_at": asked_at.isoformat(),
            "erased_at": now.isoformat(),
            "residuals": [
                {"what": what, "until": (now + timedelta(days=days)).date().isoformat()}
                for what, days in self.residuals
            ]
            + held,
            "key_destroyed": key_destroyed,
        }
        mine, envelope = issue_receipt(self.key, told, gone, tx.receipts.head())
        tx.receipts.add(receipt_id, image_id, mine, envelope, now)


class ReplicaBucket(NamedTuple):
    """Another bucket with the same keys: ``replica_of`` originals or renditions, by its own name."""

    replica_of: str
    name: str
    store: ObjectStore


@dataclass(frozen=True, slots=True)
class EraseObjects:
    """The worker's half: deletes the original and every rendition that was or may have been written, and proves it.

    Every version, delete marker and unfinished upload goes; then what is there is listed, and again by a job of its own
    after ``again_s``, since servers finish deleting later and a late writer may have come. Each time a receipt is made.
    """

    work: Work
    originals: ObjectStore
    renditions: ObjectStore
    purge: EdgePurge
    receipts: ReceiptIssuer | None = None
    again_s: float = 3600.0
    replicas: Sequence[ReplicaBucket] = ()

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended: ``erase_location``, ``nothing`` or ``later``."""
        return self.work.run(job_id, jobs.ERASE, self._erase, redelivered=redelivered)

    def verify(self, job_id: str, *, redelivered: bool) -> str:
        """Look again, and delete what has come back; return how it ended: ``proved``, ``nothing`` or ``later``."""
        return self.work.run(job_id, jobs.PROVE, self._prove, redelivered=redelivered)

    def _erase(self, lease: jobs.Lease) -> str:
        with self.work.catalogue.transaction() as tx:
            image = tx.images.get(lease.image_id)
            keys = set(tx.jobs.planned_keys(lease.image_id))
            keys |= {
                object_key(name, EXTENSIONS[format_]) for name, format_ in tx.images.rendition_names(lease.image_id)
            }
            asked_at = tx.jobs.asked_at(lease)
            pending = tx.holds.pending(lease.image_id)
        if image is None or image.state != images.DELETED:
            return self._finish(lease, "nothing")
        if pending:
            raise HoldPending
        places = self._places(image.original_key, sorted(keys))
        self._note(lease.image_id, places)
        gone = self._gone(places)
        self.purge.forget(sorted(keys))
        logs.get("erase").info("image.erased", count=len(gone))
        return self._finish(lease, "erased", gone, asked_at, sorted(keys))

    def _prove(self, lease: jobs.Lease) -> str:
        with self.work.catalogue.transaction() as tx:
            image = tx.images.get(lease.image_id)
            keys = tx.jobs.planned_keys(lease.image_id)
            asked_at = tx.jobs.asked_at(lease)
            vaulted = tx.holds.vault(lease.image_id) is not None
        gone_for_good = image is not None and (
            image.state == images.DELETED or (image.state == images.HELD and vaulted)
        )
        if image is None or not gone_for_good:
            return self._finish(lease, "nothing")
        places = self._places(image.original_key, keys)
        if image.state == images.HELD:  # its original may be on its way back; renditions get other names then
            places = [one for one in places if one.key != image.original_key]
        gone = self._gone(places)
        came_back = sum(len(one.versions) for one in gone)
        if came_back:
            logs.get("erase").error("image.came_back", count=came_back)
            self.purge.forget(keys)
        if image.state == images.HELD:
            return self._finish(lease, "nothing")
        return self._finish(lease, "proved", gone, asked_at)

    def clear(self, original_key: str, keys: Sequence[str]) -> None:
        """Delete what there is of an image from every bucket but the vault; raises StoreUnavailable."""
        self._gone(self._places(original_key, keys))
        self.purge.forget(list(keys))

    def _places(self, original_key: str, keys: Sequence[str]) -> list[ObjectLocation]:
        """Return every place that an image's objects may be in."""
        stores = [
            ReplicaBucket(ORIGINALS, ORIGINALS, self.originals),
            ReplicaBucket(RENDITIONS, RENDITIONS, self.renditions),
        ]
        mine = {ORIGINALS: [original_key], RENDITIONS: list(keys)}
        return [
            ObjectLocation(one.name, one.store, key)
            for one in (*stores, *self.replicas)
            for key in mine[one.replica_of]
        ]

    def _note(self, image_id: ImageId, places: Sequence[ObjectLocation]) -> None:
        """Write down what is there before any of it is deleted, so that a receipt names it whatever happens.

        The key of a sealed original is destroyed with it: from then on nobody can read any copy.
        """
        there = {
            _named(place): [(one.version_id, one.marker) for one in place.store.remains(place.key)] for place in places
        }
        with self.work.catalogue.transaction() as tx:
            before = tx.receipts.noted(image_id)
            known = before.get("versions", {})
            versions = {
                name: sorted({(version, marker) for version, marker in known.get(name, ())} | set(found))
                for name, found in there.items()
            }
            destroyed = tx.images.destroy_key(image_id) or bool(before.get("key_destroyed"))
            tx.receipts.note(image_id, {"versions": versions, "key_destroyed": destroyed})

    def _gone(self, places: Sequence[ObjectLocation]) -> list[DeletedObject]:
        """Delete all that there is in these places, and list them; raise StoreUnavailable if anything is left."""
        return [erase_location(place) for place in places]

    def _finish(
        self,
        lease: jobs.Lease,
        ending: str,
        gone: Sequence[DeletedObject] = (),
        asked_at: datetime | None = None,
        keys: Sequence[str] = (),
    ) -> str:
        now, image_id = self.work.clock(), lease.image_id
        noted: dict[str, Any] = {}
        with self.work.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            if ending == "erased":
                tx.hashes.drop(image_id)
                tx.screenings.drop(image_id)
                tx.traces.drop_image(image_id)
                tx.images.drop_renditions(image_id)
                tx.arrivals.forget(image_id)
                tx.revocations.drop(image_id, [name for name, _ in tx.revocations.of_image(image_id)])
                again = now + timedelta(seconds=self.again_s)
                tx.jobs.add(new_job_id(), jobs.PROVE, image_id, now, due=again, planned=keys)
                noted = tx.receipts.noted(image_id)
                gone = [_with(one, noted.get("versions", {}).get(f"{one.bucket}\n{one.key}", ())) for one in gone]
                tx.receipts.drop_note(image_id)
            if ending != "nothing":
                if self.receipts is not None:
                    kind = ERASED if ending == "erased" else PROVED
                    destroyed = ending == "erased" and bool(noted.get("key_destroyed"))
                    asked = asked_at or now
                    self.receipts.write(tx, image_id, kind, gone, asked_at=asked, now=now, key_destroyed=destroyed)
                tx.audit.append(f"image.{ending}", now=now, actor="worker", image_id=image_id)
        return ending


class ObjectLocation(NamedTuple):
    """A key of one bucket, by the name that receipts give the bucket."""

    name: str
    store: ObjectStore
    key: str


def erase_location(place: ObjectLocation) -> DeletedObject:
    """Delete all that there is in a place, and list it; raise StoreUnavailable if anything is left."""
    removed = place.store.erase(place.key)
    left = len(place.store.remains(place.key))
    if left:
        message = f"{left} versions are still there after they were deleted"
        raise StoreUnavailable(message)
    return DeletedObject(place.name, place.key, [(one.version_id, one.marker, one.request_id) for one in removed], left)


def _named(place: ObjectLocation) -> str:
    return f"{place.name}\n{place.key}"


def _with(gone: DeletedObject, noted: Sequence[Sequence[Any]]) -> DeletedObject:
    """Add what an earlier attempt deleted: its request ids are lost, what it found is not."""
    now = {version for version, _, _ in gone.versions}
    before = [(str(version), bool(marker), "") for version, marker in noted if version not in now]
    return replace(gone, versions=[*gone.versions, *before])
