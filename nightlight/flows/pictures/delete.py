"""Deleting pictures: at once for every new decision; their objects are erased by a job (flows.retention.erase)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.catalogue import images, profiles
from nightlight.catalogue.image_states import DELETE
from nightlight.flows.pictures.change_state import change_state
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight_core.errors import NotFound
from nightlight_core.ids import ImageId, ProfileId

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight_core.clock import Clock


@dataclass(frozen=True, slots=True)
class DeletePictures:
    """The service's half: takes a picture out of every decision, and asks for its objects to be erased."""

    catalogue: Catalogue
    clock: Clock

    def image(self, image_id: ImageId, *, actor: str, deactivated_before: datetime | None = None) -> None:
        """Delete one image; raises NotFound if there is none or it is deleted already.

        With ``deactivated_before`` it raises NotFound too, unless its account has been deactivated since then.
        """
        now = self.clock()
        with self.catalogue.transaction() as tx:
            image = tx.images.get(image_id)
            if image is None:
                raise NotFound
            profile = tx.profiles.get(image.profile_id, lock=True)
            image = tx.images.get(image_id, lock=True)
            if image is None or image.state == images.DELETED or not _deactivated(profile, deactivated_before):
                raise NotFound
            if profile is not None and profile.current_image_id == image_id:
                tx.profiles.set_current(image.profile_id, None)
            tx.revocations.add(image.profile_id, now, image_id=image_id)
            tx.events.add(image.profile_id, now)
            delete_image(tx, image_id, now=now, actor=actor)

    def receipts(self, image_id: ImageId) -> list[dict[str, str]]:
        """Return the receipts of an image's erasure, the oldest first; raises NotFound where there is no such image."""
        with self.catalogue.reading() as tx:
            if tx.images.get(image_id) is None:
                raise NotFound
            return tx.receipts.of_image(image_id)

    def erased(self, image_id: ImageId) -> bool:
        """Say whether a deleted image's objects are gone."""
        with self.catalogue.reading() as tx:
            return tx.jobs.ended(image_id, kinds.ERASE.name)

    def profile(
        self, profile_id: ProfileId, *, actor: str, deactivated_before: datetime | None = None
    ) -> list[ImageId]:
        """Delete a profile and all its images, and return those; raises NotFound if there is none.

        With ``deactivated_before`` it raises NotFound too, unless it has been deactivated since then.
        """
        now = self.clock()
        with self.catalogue.transaction() as tx:
            profile = tx.profiles.get(profile_id, lock=True)
            if not _deactivated(profile, deactivated_before) or not tx.profiles.delete(profile_id):
                raise NotFound
            tx.revocations.add(profile_id, now)
            tx.events.add(profile_id, now)
            tx.imports.forget_profile(profile_id)
            image_ids = [image.image_id for image in tx.images.of_profile(profile_id)]
            for image_id in image_ids:
                delete_image(tx, image_id, now=now, actor=actor)
            tx.audit.append("profile.deleted", now=now, actor=actor)
        return image_ids


def _deactivated(profile: profiles.Profile | None, before: datetime | None) -> bool:
    """Say whether a profile has been deactivated since ``before`` or longer; where none is given it need not be."""
    if before is None:
        return True
    return profile is not None and profile.deactivated_at is not None and profile.deactivated_at <= before


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
