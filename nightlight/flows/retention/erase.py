"""Erasing the objects of deleted pictures, by a job that is retried until done, with a receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight import logs
from nightlight.catalogue import images
from nightlight.delivery.object_names import rendition_key
from nightlight.flows.retention.receipt_issuer import Erasure
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.retention.erasure_receipt import ERASED, PROVED, DeletedObject
from nightlight_core.errors import HoldPending, StoreDenied, StoreUnavailable

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.jobs import Lease
    from nightlight.delivery.purge import EdgePurge
    from nightlight.flows.retention.receipt_issuer import Residual
    from nightlight.flows.retention.remove_rows import RemoveErasedRows
    from nightlight.jobs.runner import JobRunner
    from nightlight.store.interface import ObjectStore
    from nightlight_core.ids import ImageId

# What a lock keeps is asked for again once a day.
_LOCKED_AGAIN_S = 86_400.0
# What receipts call the two buckets.
ORIGINALS, RENDITIONS = "originals", "renditions"


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
    With the second proof the catalogue's rows go too: ``rows`` removes them.
    """

    runner: JobRunner
    originals: ObjectStore
    renditions: ObjectStore
    purge: EdgePurge
    rows: RemoveErasedRows
    again_s: float = 3600.0
    replicas: Sequence[ReplicaBucket] = ()

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended: ``erase_location``, ``nothing`` or ``later``."""
        return self.runner.run(job_id, kinds.ERASE, self._erase, redelivered=redelivered)

    def verify(self, job_id: str, *, redelivered: bool) -> str:
        """Look again, and delete what has come back; return how it ended: ``verified``, ``nothing`` or ``later``."""
        ending = self.runner.run(job_id, kinds.VERIFY_ERASURE, self._verify, redelivered=redelivered)
        self.runner.catalogue.drop_removed()
        return ending

    def _erase(self, lease: Lease) -> str:
        with self.runner.catalogue.transaction() as tx:
            image = tx.images.get(lease.image_id)
            keys = set(tx.jobs.planned_keys(lease.image_id))
            keys |= {rendition_key(name, format_) for name, format_ in tx.images.rendition_names(lease.image_id)}
            asked_at = tx.jobs.asked_at(lease)
            pending = tx.legal_holds.pending(lease.image_id)
        if image is None or image.state != images.DELETED:
            return self._finish(lease, "nothing")
        if pending:
            raise HoldPending
        places = self._places(image.original_key, sorted(keys))
        self._note(lease.image_id, places)
        gone = [erase_location(place) for place in places]
        self.purge.forget(sorted(keys))
        logs.get("erase").info("image.erased", count=len(gone))
        return self._finish(lease, "erased", gone, asked_at, sorted(keys))

    def _verify(self, lease: Lease) -> str:
        with self.runner.catalogue.transaction() as tx:
            image = tx.images.get(lease.image_id)
            keys = tx.jobs.planned_keys(lease.image_id)
            asked_at = tx.jobs.asked_at(lease)
            vaulted = tx.legal_holds.vault(lease.image_id) is not None
        gone_for_good = image is not None and (
            image.state == images.DELETED or (image.state == images.HELD and vaulted)
        )
        if image is None or not gone_for_good:
            return self._finish(lease, "nothing")
        places = self._places(image.original_key, keys)
        if image.state == images.HELD:  # its original may be on its way back; renditions get other names then
            places = [place for place in places if place.key != image.original_key]
        gone = [erase_location(place) for place in places]
        came_back = sum(len(place.versions) for place in gone if place.locked_until is None)
        if came_back:
            logs.get("erase").error("image.came_back", count=came_back)
            self.purge.forget(keys)
        if image.state == images.HELD:
            return self._finish(lease, "nothing")
        return self._finish(lease, "verified", gone, asked_at, keys)

    def clear(self, original_key: str, keys: Sequence[str]) -> None:
        """Delete what there is of an image from every bucket but the vault; raises StoreUnavailable."""
        for place in self._places(original_key, keys):
            erase_location(place)
        self.purge.forget(list(keys))

    def _places(self, original_key: str, keys: Sequence[str]) -> list[ObjectLocation]:
        """Return every place that an image's objects may be in."""
        stores = [
            ReplicaBucket(ORIGINALS, ORIGINALS, self.originals),
            ReplicaBucket(RENDITIONS, RENDITIONS, self.renditions),
        ]
        keys_of = {ORIGINALS: [original_key], RENDITIONS: list(keys)}
        return [
            ObjectLocation(bucket.name, bucket.store, key)
            for bucket in (*stores, *self.replicas)
            for key in keys_of[bucket.replica_of]
        ]

    def _note(self, image_id: ImageId, places: Sequence[ObjectLocation]) -> None:
        """Write down what is there before any of it is deleted, so that a receipt names it whatever happens.

        The key of a sealed original is destroyed with it: from then on nobody can read any copy.
        """
        present = {
            _named(place): [(copy.version_id, copy.marker) for copy in place.store.remains(place.key)]
            for place in places
        }
        with self.runner.catalogue.transaction() as tx:
            before = tx.receipts.noted(image_id)
            noted = before.get("versions", {})
            versions = {
                name: sorted({(version, marker) for version, marker in noted.get(name, ())} | set(entries))
                for name, entries in present.items()
            }
            destroyed = tx.images.destroy_key(image_id) or bool(before.get("key_destroyed"))
            tx.receipts.note(image_id, {"versions": versions, "key_destroyed": destroyed})

    def _finish(
        self,
        lease: Lease,
        ending: str,
        gone: Sequence[DeletedObject] = (),
        asked_at: datetime | None = None,
        keys: Sequence[str] = (),
    ) -> str:
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            if ending == "verified" and tx.jobs.is_open(lease.image_id, kinds.ERASE.name):
                ending = "nothing"  # what waited for a hold gives the first receipt, and has somebody look again
            if ending == "erased":
                self._end_objects(tx, lease.image_id, gone, asked_at or now, keys, now)
            elif ending == "verified":
                self._end_rows(tx, lease, gone, asked_at or now, keys, now)
            if ending != "nothing":
                tx.audit.append(f"image.{ending}", now=now, actor="worker", image_id=lease.image_id)
        return ending

    def _end_objects(
        self,
        tx: Transaction,
        image_id: ImageId,
        gone: Sequence[DeletedObject],
        asked_at: datetime,
        keys: Sequence[str],
        now: datetime,
    ) -> None:
        """Forget what the image's objects were, with a receipt, and have somebody look again."""
        tx.rendition_hashes.drop(image_id)
        tx.screenings.drop(image_id)
        tx.view_hashes.drop(image_id)
        tx.takedowns.forget_image(image_id)
        tx.trace_jobs.drop_image(image_id)
        tx.images.drop_renditions(image_id)
        tx.imports.forget(image_id)
        tx.revocations.drop(image_id, [name for name, _ in tx.revocations.of_image(image_id)])
        again = timedelta(seconds=self.again_s)
        enqueue(tx, kinds.VERIFY_ERASURE, image_id, now, delay=again, planned=keys)
        noted = tx.receipts.noted(image_id)
        tx.receipts.drop_note(image_id)
        if self.rows.receipts is None:
            return
        versions = noted.get("versions", {})
        erasure = Erasure(
            ERASED,
            image_id,
            asked_at,
            [_with(deleted, versions.get(f"{deleted.bucket}\n{deleted.key}", ())) for deleted in gone],
            self.rows.subject(tx, image_id),
            key_destroyed=bool(noted.get("key_destroyed")),
            stays=[self._rows_stay(tx, image_id, now + again)],
            owner=self.rows.owner(tx, image_id),
        )
        self.rows.receipts.write(tx, erasure, now)

    def _end_rows(
        self,
        tx: Transaction,
        lease: Lease,
        gone: Sequence[DeletedObject],
        asked_at: datetime,
        keys: Sequence[str],
        now: datetime,
    ) -> None:
        """Remove the image's rows with the second receipt; or look again later, where they must stay for now."""
        subject, owner = self.rows.subject(tx, lease.image_id), self.rows.owner(tx, lease.image_id)
        kept = tx.erased_rows.kept_by_hold(lease.image_id)
        locked = any(deleted.left for deleted in gone)
        end = None if locked else self.rows.image(tx, lease, asked_at, now)
        if end is not None:
            stays = self.rows.stays(now, profile=False)
        else:
            again = timedelta(seconds=max(self.again_s, _LOCKED_AGAIN_S if locked else 0.0))
            if not kept:  # whoever ends the hold has somebody look again
                enqueue(tx, kinds.VERIFY_ERASURE, lease.image_id, now, delay=again, planned=keys)
            stays = [self._rows_stay(tx, lease.image_id, now + again)]
        if self.rows.receipts is not None:
            removed = end is not None
            erasure = Erasure(
                PROVED, lease.image_id, asked_at, gone, subject, rows_removed=removed, stays=stays, owner=owner
            )
            self.rows.receipts.write(tx, erasure, now)
        if end is not None:
            end()

    @staticmethod
    def _rows_stay(tx: Transaction, image_id: ImageId, until: datetime) -> Residual:
        """Return until when an image's rows stay."""
        kept = tx.erased_rows.kept_by_hold(image_id)
        return ("rows of the catalogue", "the hold is ended" if kept else until.date().isoformat())


class ObjectLocation(NamedTuple):
    """A key of one bucket, by the name that receipts give the bucket."""

    name: str
    store: ObjectStore
    key: str


def erase_location(place: ObjectLocation) -> DeletedObject:
    """Delete all that there is in a place, and list it; raise StoreUnavailable if anything is left without a lock."""
    try:
        removed, refused = place.store.erase(place.key), None
    except StoreDenied as error:
        removed, refused = [], error
    left = len(place.store.remains(place.key))
    versions = [(version.version_id, version.marker, version.request_id) for version in removed]
    if not left:
        return DeletedObject(place.name, place.key, versions, left)
    locked_until = place.store.locked_until(place.key)
    if locked_until is None:
        raise refused or StoreUnavailable(f"{left} versions are still there after they were deleted")
    logs.get("erase").warning("object.locked", bucket=place.name, until=locked_until)
    return DeletedObject(place.name, place.key, versions, left, locked_until)


def _named(place: ObjectLocation) -> str:
    return f"{place.name}\n{place.key}"


def _with(gone: DeletedObject, noted: Sequence[Sequence[Any]]) -> DeletedObject:
    """Add what an earlier attempt deleted: its request ids are lost, what it found is not."""
    now = {version for version, _, _ in gone.versions}
    before = [(str(version), bool(marker), "") for version, marker in noted if version not in now]
    return replace(gone, versions=[*gone.versions, *before])
