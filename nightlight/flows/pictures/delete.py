"""Deleting pictures: at once for every new decision; their objects are erased by a job (flows.retention.erase)."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.catalogue import images
from nightlight.catalogue.image_states import DELETE
from nightlight.flows.exports import removal
from nightlight.flows.pictures.change_state import change_state
from nightlight.flows.pictures.profiles import CLEAR
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight_core.errors import NotFound
from nightlight_core.ids import ImageId, ProfileId

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.catalogue.profiles import Profile
    from nightlight_core.clock import Clock


@dataclass(frozen=True, slots=True)
class StillDue:
    """What must still be so when retention deletes something: much can happen after it was found to be due.

    Images are in one of ``states``, and no report about their profile is open: it may be evidence. Where
    ``deactivated_before`` is given, the account has been deactivated since then or longer.
    """

    states: Collection[str]
    deactivated_before: datetime | None = None

    def still(self, profile: Profile | None, owned: Iterable[images.ImageRow | None]) -> bool:
        """Say whether a profile, and these of its images, are still due; all of them are locked."""
        if profile is None or profile.report_flag != CLEAR:
            return False
        if any(image is not None and image.state not in self.states for image in owned):
            return False
        since, before = profile.deactivated_at, self.deactivated_before
        return before is None or (since is not None and since <= before)


@dataclass(frozen=True, slots=True)
class DeletePictures:
    """The service's half: takes a picture out of every decision, and asks for its objects to be erased."""

    catalogue: Catalogue
    clock: Clock

    def image(self, image_id: ImageId, *, actor: str, due: StillDue | None = None) -> None:
        """Delete one image; raises NotFound if there is none or it is deleted already, or is not ``due`` any more."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            image = tx.images.get(image_id)
            if image is None:
                raise NotFound
            profile = tx.profiles.get(image.profile_id, lock=True)
            image = tx.images.get(image_id, lock=True)
            if image is None or image.state == images.DELETED:
                raise NotFound
            if due is not None and not due.still(profile, [image]):
                raise NotFound
            if profile is not None and profile.current_image_id == image_id:
                tx.profiles.set_current(image.profile_id, None)
            tx.revocations.add(image.profile_id, now, image_id=image_id)
            tx.events.add(image.profile_id, now)
            delete_image(tx, image_id, now=now, actor=actor)

    def receipts(self, image_id: ImageId) -> list[dict[str, str]]:
        """Return the receipts of an image's erasure, the oldest first.

        Raises NotFound where there is no such image and never was one that was erased.
        """
        with self.catalogue.reading() as tx:
            receipts = tx.receipts.of_image(image_id)
            if not receipts and tx.images.get(image_id) is None:
                raise NotFound
        return receipts

    def under_way(self, profile_id: ProfileId) -> list[ImageId]:
        """Return the images of a profile, deleted or not there any more, that are being erased."""
        with self.catalogue.reading() as tx:
            return tx.images.deleted_of(profile_id)

    def erased(self, image_id: ImageId) -> bool:
        """Say whether a deleted image's objects are gone, or the image itself."""
        with self.catalogue.reading() as tx:
            return tx.jobs.ended(image_id, kinds.ERASE.name) or tx.images.get(image_id) is None

    def profile(self, profile_id: ProfileId, *, actor: str, due: StillDue | None = None) -> list[ImageId]:
        """Delete a profile and all its images, and return those.

        Raises NotFound if there is none, or if it is not ``due`` any more.
        """
        now = self.clock()
        with self.catalogue.transaction() as tx:
            profile = tx.profiles.get(profile_id, lock=True)
            image_ids = [image.image_id for image in tx.images.of_profile(profile_id)]
            if due is not None and not due.still(profile, [tx.images.get(image, lock=True) for image in image_ids]):
                raise NotFound
            if not tx.profiles.delete(profile_id):
                raise NotFound
            tx.revocations.add(profile_id, now)
            tx.events.add(profile_id, now)
            tx.imports.forget_profile(profile_id)
            removal.remove(tx, profile_id, now=now, actor=actor)
            for image_id in image_ids:
                delete_image(tx, image_id, now=now, actor=actor)
            if not tx.erased_rows.has_images(profile_id):  # else its row goes with that of its last image
                enqueue(tx, kinds.REMOVE_ROWS, secrets.token_hex(16), now)
            tx.audit.append("profile.deleted", now=now, actor=actor)
        return image_ids


def delete_image(tx: Transaction, image_id: ImageId, *, now: datetime, actor: str) -> None:
    """Mark an image deleted and enqueue the erasure of its objects, in the caller's transaction.

    Of an image that was deleted while its original was being stored, the objects are erased again.
    """
    image = tx.images.get(image_id, lock=True)
    if image is not None and image.state == images.DELETED:
        enqueue(tx, kinds.ERASE, image_id, now)
    else:
        change_state(tx, DELETE, image_id, now, actor=actor)
    tx.idempotency.forget_image(image_id)
