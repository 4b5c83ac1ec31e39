"""An upload, from its bytes to an acknowledgement that can be relied on.

::

    prepare      header only, caps; sealed
    remember?    the same Idempotency-Key gives the same answer
    receive      the image's row is written first: no object is stored that the catalogue does not know of
    store        the original, under a random key, by credentials that cannot read it back
    acknowledge  image, job, outbox and audit in one transaction; only then 202

An import (flows.imports.import_picture) takes the same steps, and adds what it knows of in each transaction.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, TYPE_CHECKING, BinaryIO

from nightlight import metrics
from nightlight.catalogue import images, profiles
from nightlight.catalogue.idempotency import IdempotentResult
from nightlight.catalogue.image_states import ACCEPT
from nightlight.flows.pictures.change_state import change_state
from nightlight.flows.pictures.delete import delete_image
from nightlight.flows.pictures.profiles import age_now, asserted_age
from nightlight.imaging.crop import Region
from nightlight.imaging.header import Header
from nightlight.imaging.probe import probe, upload_caps
from nightlight.jobs import kinds
from nightlight.jobs.lanes import BACKGROUND, UPLOAD
from nightlight.store.interface import ORIGINAL_TYPE, Seal, require_stored, sealed
from nightlight_core.errors import (
    Conflict,
    CorruptImage,
    IdempotencyMismatch,
    ImageRefused,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    ProfileDeactivated,
    ProfileNotDeclared,
)
from nightlight_core.ids import ImageId, ProfileId, new_image_id, new_original_key

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.settings.pictures import UploadSettings
    from nightlight.store.interface import PutOnly
    from nightlight_core.clock import Clock

_BLOCK = 1 << 20
MAX_KEY_CHARS = 200


@dataclass(frozen=True, slots=True)
class Prepared:
    """An upload that may be received: ``fingerprint`` is of its bytes and of what was asked.

    ``body`` is what is stored, with the hash ``sha256``, and ``sealed_key`` opens it where it is sealed.
    """

    header: Header
    size: int
    fingerprint: str
    crop: str | None
    body: BinaryIO
    sha256: str
    sealed_key: str | None


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
    seal: Seal | None = None

    def accept(
        self,
        profile_id: ProfileId,
        upload: IO[bytes],
        *,
        idempotency_key: str | None,
        actor: str,
        crop: str | None = None,
    ) -> images.ImageRow:
        """Store ``upload`` (a real file, at its start or anywhere) and return the image, pending.

        ``crop`` is the owner's: ``left,top,width,height`` in pixels of the upright picture.

        Raises ImageRefused and its kinds, ProfileNotDeclared, ProfileDeactivated, IdempotencyMismatch,
        PayloadTooLarge, and StoreUnavailable or CatalogueUnavailable, after which nothing has been acknowledged.
        """
        prepared = self.prepare(upload, crop)
        key_hash = _key_hash(actor, profile_id, idempotency_key)
        image = self._accept(profile_id, prepared, key_hash, actor)
        metrics.UPLOADS.labels("accepted").inc()
        return image

    def status(self, image_id: ImageId) -> images.ImageRow:
        """Return the image as it is now; raises NotFound."""
        with self.catalogue.reading() as tx:
            image = tx.images.get(image_id)
        if image is None or image.state == images.RECEIVING:
            raise NotFound
        return image

    def prepare(self, upload: IO[bytes], crop: str | None = None) -> Prepared:
        """Inspect an upload, and seal it; raises ImageRefused and its kinds, or PayloadTooLarge."""
        try:
            header, size = self._probe(upload)
        except ImageRefused as error:
            metrics.UPLOADS.labels(error.code).inc()
            raise
        region = _region(crop, header) if crop is not None else None
        upload.seek(0)
        digest = hashlib.sha256()
        while block := upload.read(_BLOCK):
            digest.update(block)
        sha256 = fingerprint = digest.hexdigest()
        if region:  # a part of what is asked for: the same key with another crop is another request
            fingerprint = hashlib.sha256(f"{sha256}\n{region}".encode()).hexdigest()
        stored = sealed(upload, sha256, self.seal)
        return Prepared(header, size, fingerprint, str(region) if region else None, *stored)

    def receive(
        self, tx: Transaction, profile: profiles.Profile, prepared: Prepared, now: datetime, *, actor: str
    ) -> images.ImageRow:
        """Write the row of an image of a profile that is kept, and locked; its original may be stored once it is."""
        image = images.ImageRow(
            image_id=new_image_id(),
            profile_id=profile.profile_id,
            sequence=tx.profiles.next_upload(profile.profile_id),
            state=images.RECEIVING,
            reason=None,
            original_key=new_original_key(),
            original_bytes=prepared.size,
            format=prepared.header.format.value,
            width=prepared.header.width,
            height=prepared.header.height,
            crop=prepared.crop,
            band=age_now(profile, now, assertion_days=self.limits.assertion_days).band,
            ceiling_band=asserted_age(profile).band,
            created_at=now,
            ready_at=None,
            sealed_key=prepared.sealed_key,
        )
        tx.images.add(image)
        tx.audit.append("image.receiving", now=now, actor=actor, image_id=image.image_id)
        return image

    def store(self, image: images.ImageRow, prepared: Prepared) -> None:
        """Store the original of an image that is being received; raises StoreUnavailable."""
        key = image.original_key
        put = self.originals.put(key, prepared.body, sha256=prepared.sha256, content_type=ORIGINAL_TYPE)
        require_stored(put, key)

    def acknowledge(
        self,
        tx: Transaction,
        image: images.ImageRow,
        prepared: Prepared,
        now: datetime,
        *,
        actor: str,
        waits: bool = False,
    ) -> bool:
        """Make a stored image pending and enqueue its render; ``waits``: behind what people upload.

        Returns False if the profile or the image was deleted while its bytes were being stored: they are erased like
        anything else of the profile. Of a profile that was deactivated meanwhile the image is kept, and not shown.
        """
        profile = tx.profiles.get(image.profile_id, lock=True)
        current = tx.images.get(image.image_id, lock=True)
        kept = profile is not None and profile.state in profiles.KEPT
        if not kept or current is None or current.state != images.RECEIVING:
            delete_image(tx, image.image_id, now=now, actor=actor)
            return False
        lane = BACKGROUND if waits else self._lane(tx, image.profile_id, prepared)
        again = timedelta(seconds=self.publish_again_s)
        change_state(tx, ACCEPT, image.image_id, now, actor=actor, lane=lane, again=again)
        return True

    def _accept(self, profile_id: ProfileId, prepared: Prepared, key_hash: str | None, actor: str) -> images.ImageRow:
        now = self.clock()
        with self.catalogue.transaction() as tx:
            profile = tx.profiles.get(profile_id, lock=True)
            if profile is None or profile.state not in profiles.KEPT:
                raise ProfileNotDeclared
            earlier = self._remembered(tx, key_hash, prepared)
            if earlier is not None:
                return earlier
            if profile.state != profiles.LIVE:
                raise ProfileDeactivated
            image = self.receive(tx, profile, prepared, now, actor=actor)
        self.store(image, prepared)
        now = self.clock()
        try:
            with self.catalogue.transaction() as tx:
                accepted = self.acknowledge(tx, image, prepared, now, actor=actor)
                if accepted and key_hash is not None:
                    tx.idempotency.remember(key_hash, IdempotentResult(prepared.fingerprint, image.image_id), now)
                current = tx.images.get(image.image_id)
        except Conflict:
            if key_hash is None:
                raise
            # Another request with the same key was acknowledged while this one was storing its bytes.
            now = self.clock()
            with self.catalogue.transaction() as tx:
                delete_image(tx, image.image_id, now=now, actor=actor)
                winner = self._remembered(tx, key_hash, prepared)
            if winner is None:
                raise
            return winner
        if not accepted or current is None:
            raise ProfileNotDeclared
        return current

    def _probe(self, upload: IO[bytes]) -> tuple[Header, int]:
        size = upload.seek(0, 2)
        if size == 0:
            raise CorruptImage("the upload is empty")
        if size > self.limits.max_bytes:
            raise PayloadTooLarge(f"the file has {size:,} bytes; at most {self.limits.max_bytes:,} are accepted")
        # Mapped, not read: the header is a few pages. Nobody closes the map; it goes with its last reference.
        mapped = memoryview(mmap.mmap(upload.fileno(), 0, access=mmap.ACCESS_READ))
        return probe(mapped, upload_caps(self.limits), edge=self.edge()), size

    def _lane(self, tx: Transaction, profile_id: ProfileId, prepared: Prepared) -> str:
        """Return where the render waits: slow pictures, and a heap of one profile's, hold up nobody else's."""
        slow = prepared.header.decode_s > self.limits.slow_decode_cpu_s
        if slow or tx.jobs.open_on(profile_id, kinds.RENDER.name) >= self.limits.profile_pending:
            return BACKGROUND
        return UPLOAD

    @staticmethod
    def _remembered(tx: Transaction, key_hash: str | None, prepared: Prepared) -> images.ImageRow | None:
        """Return the image of an earlier request with this key; raises IdempotencyMismatch."""
        earlier = tx.idempotency.find(key_hash) if key_hash is not None else None
        if earlier is None:
            return None
        if earlier.fingerprint != prepared.fingerprint:
            raise IdempotencyMismatch
        return tx.images.get(earlier.image_id)


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
        raise InvalidInput(f"Idempotency-Key must be 1 to {MAX_KEY_CHARS} printable characters")
    return hashlib.sha256(f"{actor}\n{profile_id}\n{key}".encode()).hexdigest()
