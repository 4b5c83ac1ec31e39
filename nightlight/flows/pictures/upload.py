"""An upload, from its bytes to an acknowledgement that can be relied on.

::

    probe      header only, caps
    remember?  the same Idempotency-Key gives the same answer
    receive    the image's row is written first: no object is stored that the catalogue does not know of
    store      the original, under a random key, by credentials that cannot read it back
    accept     image, job, outbox and audit in one transaction; only then 202
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from io import BytesIO
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, cast

from nightlight import metrics
from nightlight.catalogue import images, jobs, profiles
from nightlight.catalogue.idempotency import IdempotentResult
from nightlight.catalogue.profiles import Declaration
from nightlight.flows.pictures.profiles import UNASSURED, UNKNOWN_BAND, band_now
from nightlight.flows.retention.erase import erase_later
from nightlight.imaging.crop import Region
from nightlight.imaging.header import Header
from nightlight.imaging.probe import probe, upload_caps
from nightlight.jobs.enqueue import ask
from nightlight.jobs.lanes import BACKGROUND, UPLOAD
from nightlight.store.interface import require_stored
from nightlight_core.errors import (
    Conflict,
    CorruptImage,
    IdempotencyMismatch,
    ImageRefused,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    ProfileNotDeclared,
)
from nightlight_core.ids import ImageId, ProfileId, new_image_id, new_job_id, new_original_key

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.settings import UploadSettings
    from nightlight.store.interface import PutOnly
    from nightlight_core.clock import Clock

_BLOCK = 1 << 20
UNDECLARED = Declaration(band="unknown", assurance="none", region="unknown", choice="connections")
MAX_KEY_CHARS = 200
# Nothing is served from the originals; no cache may keep one either.
ORIGINAL_CACHE = "no-store"
ORIGINAL_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class _Inspected:
    """What was seen of an upload: ``sha256`` is of its bytes, ``fingerprint`` of them and of what was asked."""

    header: Header
    size: int
    sha256: str
    fingerprint: str
    crop: str | None


class Taking(Protocol):
    """What an import adds to an upload: ``flows.imports.import_picture``. What it raises undoes the transaction."""

    @property
    def waits(self) -> bool:
        """Say whether it is rendered behind what people upload."""
        ...

    def ready(self, tx: Transaction) -> None:
        """Be told of the transaction that writes the image's row, before it does; the profile's row is held."""
        ...

    def begun(self, tx: Transaction, image_id: ImageId) -> None:
        """Be told of the row, in the same transaction."""
        ...

    def taken(self, tx: Transaction) -> None:
        """Be told of the acknowledgement, in its transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """Accepts uploads. ``edge`` gives the largest edge in pixels that any tier asks for today.

    ``seal`` gives what to store of an original, and the sealed key to keep (store.sealing); None stores it as it is.
    """

    catalogue: Catalogue
    originals: PutOnly
    limits: UploadSettings
    publish_again_s: float
    edge: Callable[[], int]
    clock: Clock
    seal: Callable[[bytes], tuple[bytes, str]] | None = None

    def accept(
        self,
        profile_id: ProfileId,
        upload: IO[bytes],
        *,
        idempotency_key: str | None,
        actor: str,
        crop: str | None = None,
        taking: Taking | None = None,
    ) -> images.Image:
        """Store ``upload`` (a real file, at its start or anywhere) and return the image, pending.

        ``crop`` is the owner's: ``left,top,width,height`` in pixels of the upright picture. With ``taking`` a profile
        that nobody has declared is taken for one of unknown age.

        Raises ImageRefused and its kinds, ProfileNotDeclared, IdempotencyMismatch, PayloadTooLarge, and
        StoreUnavailable or CatalogueUnavailable, after which nothing has been acknowledged.
        """
        try:
            inspected = self._inspect(upload, crop)
            image = self._accept(
                profile_id, upload, inspected, _key_hash(actor, profile_id, idempotency_key), actor, taking
            )
        except ImageRefused as error:
            metrics.UPLOADS.labels(error.code).inc()
            raise
        metrics.UPLOADS.labels("accepted").inc()
        return image

    def status(self, image_id: ImageId) -> images.Image:
        """Return the image as it is now; raises NotFound."""
        with self.catalogue.reading() as tx:
            image = tx.images.get(image_id)
        if image is None or image.state == images.RECEIVING:
            raise NotFound
        return image

    def _inspect(self, upload: IO[bytes], crop: str | None) -> _Inspected:
        size = upload.seek(0, 2)
        if size == 0:
            message = "the upload is empty"
            raise CorruptImage(message)
        if size > self.limits.max_bytes:
            message = f"{size} bytes; at most {self.limits.max_bytes}"
            raise PayloadTooLarge(message)
        # Mapped, not read: the header is a few pages. Nobody closes the map; it goes with its last reference.
        mapped = memoryview(mmap.mmap(upload.fileno(), 0, access=mmap.ACCESS_READ))
        header = probe(mapped, upload_caps(self.limits), edge=self.edge())
        region = _region(crop, header) if crop is not None else None
        upload.seek(0)
        digest = hashlib.sha256()
        while block := upload.read(_BLOCK):
            digest.update(block)
        sha256 = fingerprint = digest.hexdigest()
        if region:  # a part of what is asked for: the same key with another crop is another request
            fingerprint = hashlib.sha256(f"{sha256}\n{region}".encode()).hexdigest()
        return _Inspected(header, size, sha256, fingerprint, str(region) if region else None)

    def _accept(
        self,
        profile_id: ProfileId,
        upload: IO[bytes],
        inspected: _Inspected,
        key_hash: str | None,
        actor: str,
        taking: Taking | None,
    ) -> images.Image:
        fingerprint, sha256 = inspected.fingerprint, inspected.sha256
        body, sealed_key = cast("BinaryIO", upload), None
        if self.seal is not None:
            upload.seek(0)
            sealed, sealed_key = self.seal(upload.read())
            body, sha256 = BytesIO(sealed), hashlib.sha256(sealed).hexdigest()
        remembered, image = self._receive(profile_id, inspected, key_hash, actor, taking, sealed_key)
        if remembered:
            return remembered
        key = image.original_key
        put = self.originals.put(key, body, sha256=sha256, content_type=ORIGINAL_TYPE, cache_control=ORIGINAL_CACHE)
        require_stored(put, key)
        try:
            return self._acknowledge(image, inspected, key_hash, actor, taking)
        except Conflict:
            if key_hash is None:
                raise
            # Another request with the same key was acknowledged while this one was storing its bytes.
            now = self.clock()
            with self.catalogue.transaction() as tx:
                erase_later(tx, image.image_id, now=now, actor=actor)
                found = self._remembered(tx.idempotency.find(key_hash), fingerprint)
                winner = tx.images.get(found) if found else None
            if winner is None:
                raise
            return winner

    def _receive(
        self,
        profile_id: ProfileId,
        inspected: _Inspected,
        key_hash: str | None,
        actor: str,
        taking: Taking | None,
        sealed_key: str | None,
    ) -> tuple[images.Image | None, images.Image]:
        """Return (image of an earlier request with this key, image now being received)."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            profile = tx.profiles.get(profile_id, lock=True)
            if profile is None and taking is not None:
                tx.profiles.declare(profile_id, UNDECLARED, now)
                profile = tx.profiles.get(profile_id, lock=True)
            if profile is None or profile.state != profiles.LIVE:
                raise ProfileNotDeclared
            if taking is not None:
                taking.ready(tx)
            image = images.Image(
                image_id=new_image_id(),
                profile_id=profile_id,
                sequence=0,
                state=images.RECEIVING,
                reason=None,
                original_key=new_original_key(),
                original_bytes=inspected.size,
                format=inspected.header.format.value,
                width=inspected.header.width,
                height=inspected.header.height,
                crop=inspected.crop,
                band=band_now(profile, now, assertion_days=self.limits.assertion_days),
                ceiling_band=profile.asserted_band if profile.assurance != UNASSURED else UNKNOWN_BAND,
                created_at=now,
                ready_at=None,
                sealed_key=sealed_key,
            )
            found = self._remembered(tx.idempotency.find(key_hash) if key_hash else None, inspected.fingerprint)
            if found:
                return tx.images.get(found), image
            image = replace(image, sequence=tx.profiles.next_upload(profile_id))
            tx.images.add(image)
            if taking is not None:
                taking.begun(tx, image.image_id)
            tx.audit.append("image.receiving", now=now, actor=actor, image_id=image.image_id)
        return None, image

    def _acknowledge(
        self, image: images.Image, inspected: _Inspected, key_hash: str | None, actor: str, taking: Taking | None
    ) -> images.Image:
        now = self.clock()
        job_id = new_job_id()
        with self.catalogue.transaction() as tx:
            profile = tx.profiles.get(image.profile_id, lock=True)
            current = tx.images.get(image.image_id, lock=True)
            if (
                profile is None
                or profile.state != profiles.LIVE
                or current is None
                or current.state != images.RECEIVING
            ):
                # Deleted while its bytes were being stored: erased like anything else of the profile.
                erase_later(tx, image.image_id, now=now, actor=actor)
                accepted = False
            else:
                accepted = True
                tx.images.set_state(image.image_id, images.PENDING)
                due = now + timedelta(seconds=self.publish_again_s)
                lane = self._lane(tx, image.profile_id, inspected, taking)
                tx.jobs.add(job_id, jobs.RENDER, image.image_id, now, due=due, lane=lane)
                ask(tx, jobs.RENDER, job_id, now)
                if taking is not None:
                    taking.taken(tx)
                if key_hash:
                    tx.idempotency.remember(key_hash, IdempotentResult(inspected.fingerprint, image.image_id), now)
                tx.audit.append("image.accepted", now=now, actor=actor, image_id=image.image_id)
            current = tx.images.get(image.image_id)
        if not accepted or current is None:
            raise ProfileNotDeclared
        return current

    def _lane(self, tx: Transaction, profile_id: ProfileId, inspected: _Inspected, taking: Taking | None) -> str:
        """Return where the render waits: slow pictures, and a heap of one profile's, hold up nobody else's."""
        slow = inspected.header.decode_s > self.limits.slow_decode_cpu_s
        if slow or (taking is not None and taking.waits):
            return BACKGROUND
        return UPLOAD if tx.jobs.open_renders(profile_id) < self.limits.profile_pending else BACKGROUND

    @staticmethod
    def _remembered(found: IdempotentResult | None, fingerprint: str) -> ImageId | None:
        if found is None:
            return None
        if found.fingerprint != fingerprint:
            raise IdempotencyMismatch
        return found.image_id


def _region(crop: str, header: Header) -> Region:
    try:
        return Region.parse(crop, max_side=max(header.width, header.height))
    except ValueError as error:
        raise InvalidInput(str(error), pointer="/crop") from error


def _key_hash(actor: str, profile_id: ProfileId, key: str | None) -> str | None:
    """Return a hash of the caller, the profile and the key: keys of different callers never meet."""
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY_CHARS or not key.isprintable():
        message = f"Idempotency-Key must be 1 to {MAX_KEY_CHARS} printable characters"
        raise InvalidInput(message)
    return hashlib.sha256(f"{actor}\n{profile_id}\n{key}".encode()).hexdigest()
