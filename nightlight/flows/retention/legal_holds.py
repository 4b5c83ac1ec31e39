"""Legal and safeguarding holds: what they cover goes into the vault, and stays there whatever else is erased.

::

    place      in one transaction: what is covered is shown to nobody, its names are revoked, a job for each image
    vault      a worker copies original and renditions into the vault, which it may write and not read, and then deletes
               them from the other buckets
    approve    two of the people who were named for it, neither of whom placed the hold; or a date
    end        whoever keeps the vault: what was erased meanwhile is erased there too, with a receipt; the rest is put
               back and rendered anew
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightlight import logs
from nightlight.catalogue import images, profiles
from nightlight.catalogue.holds import ENDED, PLACED, LegalHold, VaultObject
from nightlight.catalogue.image_states import FAIL, HOLD, ORIGINAL_MISSING, UNHOLD
from nightlight.delivery.object_names import (
    MANIFEST_TYPE,
    MAX_RENDITION_BYTES,
    manifest_key,
    rendition_key,
    rendition_type,
)
from nightlight.flows.pictures.change_state import change_state
from nightlight.flows.pictures.revoke import revoke
from nightlight.flows.retention.erase import ORIGINALS, RENDITIONS, ObjectLocation, erase_location
from nightlight.flows.retention.receipt_issuer import Erasure
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.retention.erasure_receipt import ENDED as HOLD_ENDED
from nightlight.store.interface import ORIGINAL_TYPE, SEAL_BYTES, PutResult, put_bytes, replace_bytes, unsealed
from nightlight_core.errors import ApproverRefused, Conflict, InvalidInput, NotFound, ObjectMissing, StoreUnavailable
from nightlight_core.ids import ImageId, ProfileId

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.catalogue.jobs import Lease
    from nightlight.flows.retention.erase import EraseObjects
    from nightlight.flows.retention.receipt_issuer import ReceiptIssuer
    from nightlight.jobs.runner import JobRunner
    from nightlight.store.interface import ObjectStore, Open, ReplacingStore, Seal, WriteOnlyStore
    from nightlight_core.clock import Clock

KINDS = ("legal", "safeguarding")
VAULT = "vault"
_MOST = 1000
_KEEPER = "keeper"


@dataclass(frozen=True, slots=True)
class PlaceHolds:
    """The service's half: places holds and takes approvals of their end, by the ``approvers`` alone."""

    catalogue: Catalogue
    clock: Clock
    approvers: Collection[str] = frozenset()

    def place(
        self,
        *,
        profile_id: ProfileId | None = None,
        image_id: ImageId | None = None,
        kind: str,
        reference: str,
        until: datetime | None,
        actor: str,
        may_be_told: bool = False,
    ) -> LegalHold:
        """Place a hold on a profile's images as they are now, or on one; raises NotFound, InvalidInput or Conflict."""
        now = self.clock()
        if kind not in KINDS or (profile_id is None) == (image_id is None) or (until is not None and until <= now):
            message = (
                f"a hold is {' or '.join(KINDS)}, on a profile or on an image, and ends in the future if it has a date"
            )
            raise InvalidInput(message)
        with self.catalogue.transaction() as tx:
            if image_id is not None:
                named = tx.images.get(image_id)
                profile_id = named.profile_id if named is not None else None
            profile = tx.profiles.get(profile_id, lock=True) if profile_id is not None else None
            owned = tx.images.of_profile(profile.profile_id) if profile is not None else []
            covered = [image for image in owned if image_id is None or image.image_id == image_id]
            if any(
                image.state != images.HELD and tx.legal_holds.vault(image.image_id) is not None for image in covered
            ):
                raise Conflict("an earlier hold is being ended at this moment")
            if profile is None or not covered:
                raise NotFound
            image_ids = [image.image_id for image in covered]
            hold = tx.legal_holds.place(kind, reference, until, image_ids, by=actor, now=now, may_be_told=may_be_told)
            for image in covered:
                self._hide(tx, profile, image, now, actor, hold.hold_id)
            tx.events.add(profile.profile_id, now)
            detail: dict[str, str | int] = {"hold_id": hold.hold_id, "kind": kind, "images": len(covered)}
            tx.audit.append("hold.placed", now=now, actor=actor, detail=detail)
        logs.get("hold").info("hold.placed", count=len(covered))
        return hold

    @staticmethod
    def _hide(
        tx: Transaction, profile: profiles.Profile, image: images.ImageRow, now: datetime, actor: str, hold_id: str
    ) -> None:
        detail: dict[str, str | int] = {"hold_id": hold_id}
        if image.state == images.HELD:  # another hold has it
            tx.legal_holds.placed(image.image_id)
            tx.audit.append(HOLD.event, now=now, actor=actor, image_id=image.image_id, detail=detail)
            return
        if profile.current_image_id == image.image_id:
            tx.profiles.set_current(profile.profile_id, None)
        tx.revocations.add(profile.profile_id, now, image_id=image.image_id)
        change_state(tx, HOLD, image.image_id, now, actor=actor, detail=detail)

    def approve(self, hold_id: str, *, actor: str) -> LegalHold:
        """Approve of a hold's end; two approvers end it. Raises NotFound, ApproverRefused or InvalidInput."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            hold = tx.legal_holds.get(hold_id, lock=True)
            if hold is None or hold.state == ENDED:
                raise NotFound
            if actor not in self.approvers or actor == hold.placed_by:
                raise ApproverRefused(f"hold {hold_id}: {actor} placed it, or is not named as an approver")
            if any(approval["by"] == actor for approval in hold.approvals):
                raise InvalidInput("you have approved already; another person must")
            tx.audit.append("hold.approved", now=now, actor=actor, detail={"hold_id": hold_id})
            return tx.legal_holds.approve(hold, by=actor, now=now)

    def get(self, hold_id: str) -> LegalHold:
        """Return a hold; raises NotFound."""
        with self.catalogue.reading() as tx:
            hold = tx.legal_holds.get(hold_id)
        if hold is None:
            raise NotFound
        return hold

    def listed(self, *, ended: bool = False) -> list[LegalHold]:
        """Return holds, the newest first."""
        with self.catalogue.reading() as tx:
            return tx.legal_holds.listed(ended=ended, limit=_MOST)


@dataclass(frozen=True, slots=True)
class CopyToVault:
    """The worker's half. ``open_`` gives back what an original was before it was sealed.

    ``seal`` gives what to store of it in the vault, the same for the same bytes, and the key for whoever keeps the
    vault (store.sealing); None stores it as it is.
    """

    runner: JobRunner
    erase: EraseObjects
    vault: WriteOnlyStore
    open_: Open
    max_bytes: int
    seal: Seal | None = None

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended (see JobRunner.run), or ``vaulted``."""
        return self.runner.run(job_id, kinds.COPY_TO_VAULT, self._attempt, redelivered=redelivered)

    def _attempt(self, lease: Lease) -> str:
        with self.runner.catalogue.transaction() as tx:
            image = tx.images.get(lease.image_id)
            rows = tx.images.rendition_names(lease.image_id)
            manifests = [manifest_key(manifest) for manifest in tx.images.manifests(lease.image_id)]
            planned = tx.jobs.planned_keys(lease.image_id)
            vaulted = tx.legal_holds.vault(lease.image_id) is not None
        if image is not None and not vaulted:
            keys = {rendition_key(name, format_): rendition_type(format_) for name, format_ in rows}
            keys |= dict.fromkeys(manifests, MANIFEST_TYPE)
            kept = self._copied(image, keys)
            with self.runner.catalogue.transaction() as tx:
                now = self.runner.clock()
                tx.legal_holds.put(image.image_id, kept, now)
                tx.legal_holds.placed(image.image_id)
                tx.audit.append("image.vaulted", now=now, actor="worker", image_id=image.image_id)
            planned = sorted({*planned, *keys})
        if image is not None:
            self.erase.clear(image.original_key, planned)
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            # A worker that was slow to die may put something yet.
            delay = timedelta(seconds=self.erase.again_s)
            enqueue(tx, kinds.VERIFY_ERASURE, lease.image_id, now, delay=delay, planned=planned)
        return "vaulted"

    def _copied(self, image: images.ImageRow, keys: dict[str, str]) -> list[VaultObject]:
        """Put everything that is there of an image into the vault."""
        kept = []
        sources = [(ORIGINALS, self.erase.originals, image.original_key, ORIGINAL_TYPE, self.max_bytes + SEAL_BYTES)]
        sources += [
            (RENDITIONS, self.erase.renditions, key, media_type, MAX_RENDITION_BYTES)
            for key, media_type in keys.items()
        ]
        for bucket, store, key, content_type, max_bytes in sources:
            try:
                data = store.get(key, max_bytes=max_bytes).data
            except ObjectMissing:  # never written, or renamed meanwhile
                logs.get("vault").warning("object.missing", bucket=bucket)
                continue
            if bucket == ORIGINALS:
                data = self.open_(data, image.sealed_key)
            sealed_key = None
            if self.seal is not None:
                data, sealed_key = self.seal(data)
            sha256 = hashlib.sha256(data).hexdigest()
            # Workers cannot look into the vault: its keys hold the hash of the bytes, so that what is there already,
            # of an attempt that was killed, can only be these.
            vault_key = f"h/{hashlib.sha256(f'{bucket}/{key}/{sha256}'.encode()).hexdigest()}"
            if put_bytes(self.vault, vault_key, data, content_type) is PutResult.EXISTS:
                logs.get("vault").info("object.there_already", bucket=bucket)
            kept.append(VaultObject(bucket, key, vault_key, sha256, len(data), content_type, sealed_key))
        return kept


@dataclass(frozen=True, slots=True)
class EndHolds:
    """The half of whoever keeps the vault: alone it can read it and lift the lock. It ends holds."""

    catalogue: Catalogue
    originals: ReplacingStore
    vault: ObjectStore
    receipts: ReceiptIssuer | None
    seal: Seal | None
    max_bytes: int
    clock: Clock
    open_: Open = unsealed
    approvers: Collection[str] = frozenset()

    def end_due(self) -> list[LegalHold]:
        """End every hold whose date has come or of whose end two approvers approve; return them as they are then.

        Called again after an interruption it goes on. Raises StoreUnavailable or StoreDenied.
        """
        now = self.clock()
        with self.catalogue.reading() as tx:
            open_ = tx.legal_holds.open()
        ended = []
        for hold in (hold for hold in open_ if hold.state == PLACED and hold.may_end(now, self.approvers)):
            with self.catalogue.reading() as tx:
                covered = tx.legal_holds.covered(hold.hold_id)
            for image_id in covered:
                self._let_go(hold, image_id)
            with self.catalogue.transaction() as tx:
                ended.append(tx.legal_holds.end(hold, self.clock()))
                for image_id in covered:  # what was erased meanwhile kept its rows for the hold
                    image = tx.images.get(image_id)
                    if image is not None and image.state == images.DELETED:
                        enqueue(tx, kinds.VERIFY_ERASURE, image_id, self.clock(), delay=timedelta())
                tx.audit.append("hold.ended", now=self.clock(), actor=_KEEPER, detail={"hold_id": hold.hold_id})
        return ended

    def _let_go(self, hold: LegalHold, image_id: ImageId) -> None:
        with self.catalogue.reading() as tx:
            other_holds = tx.legal_holds.of_image(image_id, but=hold.hold_id)
            kept = tx.legal_holds.vault(image_id)
            image = tx.images.get(image_id)
        if other_holds or kept is None or image is None:
            return
        if image.state == images.HELD and not self._put_back(hold, image, kept):
            return
        gone = [erase_location(ObjectLocation(VAULT, self.vault, object_.vault_key)) for object_ in kept]
        with self.catalogue.transaction() as tx:
            now = self.clock()
            current = tx.images.get(image_id, lock=True)
            tx.legal_holds.drop(image_id)
            if self.receipts is not None and current is not None and current.state == images.DELETED:
                when, name = hold.created_at, hold.hold_id
                erasure = Erasure(HOLD_ENDED, image_id, when, gone, ended=name)
                self.receipts.write(tx, erasure, now)
            tx.audit.append("image.let_go", now=now, actor=_KEEPER, image_id=image_id)

    def _put_back(self, hold: LegalHold, image: images.ImageRow, kept: Sequence[VaultObject]) -> bool:
        """Put the original where it was and ask for its renditions, unless the image is erased meanwhile.

        Returns whether the vault may let go of it: not if another hold covers it by now.
        """
        original = next((object_ for object_ in kept if object_.bucket == ORIGINALS), None)
        sealed_key = None
        if original is not None:
            data = self.vault.get(original.vault_key, max_bytes=self.max_bytes + SEAL_BYTES).data
            if hashlib.sha256(data).hexdigest() != original.sha256:
                raise StoreUnavailable(f"{original.vault_key}: is not what was put there; the version before it may be")
            data = self.open_(data, original.sealed_key)
            if self.seal is not None:
                data, sealed_key = self.seal(data)
            # Sealed anew each time: what an attempt that was killed put is of a key that nobody kept.
            replace_bytes(self.originals, original.key, data, ORIGINAL_TYPE)
        now = self.clock()
        with self.catalogue.transaction() as tx:
            profile = tx.profiles.get(image.profile_id, lock=True)
            current = tx.images.get(image.image_id, lock=True)
            if tx.legal_holds.of_image(image.image_id, but=hold.hold_id):
                return False  # another hold was placed meanwhile: the vault keeps it
            if current is None or profile is None or current.state != images.HELD:
                return True  # asked to be erased meanwhile: its erasure looks again, and finds what was put back
            tx.rendition_hashes.drop(image.image_id)
            tx.images.drop_renditions(image.image_id, keep_crop=True)
            tx.images.set_sealed_key(image.image_id, sealed_key)
            revoke(tx, profile.profile_id, now)  # names of before count no more, so those to come are others
            if original is None:
                change_state(tx, FAIL, image.image_id, now, actor=_KEEPER, reason=ORIGINAL_MISSING)
            else:
                change_state(tx, UNHOLD, image.image_id, now, actor=_KEEPER)
        return True
