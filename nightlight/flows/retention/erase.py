"""Erasing the objects of deleted pictures, by a job that is retried until done, with a receipt."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight import logs
from nightlight.catalogue import images
from nightlight.delivery.object_names import rendition_key
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.retention.erasure_receipt import ERASED, PROVED, DeletedObject, issue_receipt, subject_digest
from nightlight_core.errors import HoldPending, StoreUnavailable
from nightlight_core.ids import ImageId

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.jobs import Lease
    from nightlight.delivery.purge import EdgePurge
    from nightlight.jobs.runner import JobRunner
    from nightlight.policy.signing import SigningKey
    from nightlight.store.interface import ObjectStore

# What receipts call the two buckets.
ORIGINALS, RENDITIONS = "originals", "renditions"


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
        held_until = tx.legal_holds.until(image_id, but=ended)
        held = [] if held_until is None else [{"what": "hold", "until": held_until or "it is ended"}]
        receipt_id = secrets.token_hex(16)
        content = {
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
        payload, envelope = issue_receipt(self.key, content, gone, tx.receipts.head())
        tx.receipts.add(receipt_id, image_id, payload, envelope, now)

    def write_statement(
        self, tx: Transaction, subject: str, kind: str, told: Mapping[str, Any], *, asked_at: datetime, now: datetime
    ) -> None:
        """Add a receipt of something that erases nothing to the chain; it tells ``told``. Likewise."""
        receipt_id = secrets.token_hex(16)
        content = {
            "receipt_id": receipt_id,
            "kind": kind,
            "subject_sha256": subject_digest(subject),
            "asked_at": asked_at.isoformat(),
            "erased_at": now.isoformat(),
            "residuals": [],
            **told,
        }
        payload, envelope = issue_receipt(self.key, content, (), tx.receipts.head())
        tx.receipts.add(receipt_id, ImageId(subject), payload, envelope, now)


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

    runner: JobRunner
    originals: ObjectStore
    renditions: ObjectStore
    purge: EdgePurge
    receipts: ReceiptIssuer | None = None
    again_s: float = 3600.0
    replicas: Sequence[ReplicaBucket] = ()

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended: ``erase_location``, ``nothing`` or ``later``."""
        return self.runner.run(job_id, kinds.ERASE, self._erase, redelivered=redelivered)

    def verify(self, job_id: str, *, redelivered: bool) -> str:
        """Look again, and delete what has come back; return how it ended: ``verified``, ``nothing`` or ``later``."""
        return self.runner.run(job_id, kinds.VERIFY_ERASURE, self._verify, redelivered=redelivered)

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
        came_back = sum(len(place.versions) for place in gone)
        if came_back:
            logs.get("erase").error("image.came_back", count=came_back)
            self.purge.forget(keys)
        if image.state == images.HELD:
            return self._finish(lease, "nothing")
        return self._finish(lease, "verified", gone, asked_at)

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
        now, image_id = self.runner.clock(), lease.image_id
        noted: dict[str, Any] = {}
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            if ending == "erased":
                tx.rendition_hashes.drop(image_id)
                tx.screenings.drop(image_id)
                tx.view_hashes.drop(image_id)
                tx.takedowns.forget_image(image_id)
                tx.trace_jobs.drop_image(image_id)
                tx.images.drop_renditions(image_id)
                tx.imports.forget(image_id)
                tx.revocations.drop(image_id, [name for name, _ in tx.revocations.of_image(image_id)])
                delay = timedelta(seconds=self.again_s)
                enqueue(tx, kinds.VERIFY_ERASURE, image_id, now, delay=delay, planned=keys)
                noted = tx.receipts.noted(image_id)
                gone = [
                    _with(deleted, noted.get("versions", {}).get(f"{deleted.bucket}\n{deleted.key}", ()))
                    for deleted in gone
                ]
                tx.receipts.drop_note(image_id)
            if ending != "nothing":
                if self.receipts is not None:
                    kind = ERASED if ending == "erased" else PROVED
                    destroyed = ending == "erased" and bool(noted.get("key_destroyed"))
                    since = asked_at or now
                    self.receipts.write(tx, image_id, kind, gone, asked_at=since, now=now, key_destroyed=destroyed)
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
        raise StoreUnavailable(f"{left} versions are still there after they were deleted")
    return DeletedObject(
        place.name, place.key, [(version.version_id, version.marker, version.request_id) for version in removed], left
    )


def _named(place: ObjectLocation) -> str:
    return f"{place.name}\n{place.key}"


def _with(gone: DeletedObject, noted: Sequence[Sequence[Any]]) -> DeletedObject:
    """Add what an earlier attempt deleted: its request ids are lost, what it found is not."""
    now = {version for version, _, _ in gone.versions}
    before = [(str(version), bool(marker), "") for version, marker in noted if version not in now]
    return replace(gone, versions=[*gone.versions, *before])
