"""After a backup was restored: whoever was erased since is in the catalogue again, and is erased again.

Tombstones and receipts tell whom: profiles by keyed hash, images by the SHA-256 of their ids. A profile that was
declared after its erasure is somebody else's, and stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from nightlight import logs
from nightlight.catalogue import images
from nightlight.catalogue.image_states import STATES
from nightlight.retention.erasure_receipt import subject_digest
from nightlight_core.errors import NotFound

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.flows.pictures.delete import DeletePictures
    from nightlight.retention.erasure_receipt import Receipt
    from nightlight.retention.erasure_subjects import SubjectHasher
    from nightlight_core.ids import ImageId, ProfileId

_PAGE = 1000
_ACTOR = "restore"
_PRESENT = tuple(state for state in STATES if state != images.DELETED)


class Purged(NamedTuple):
    """How much was asked to be erased again, and the ids of keys without which some of it cannot be found."""

    profiles: int
    images: int
    keys_lost: tuple[str, ...]


def replay_receipts(catalogue: Catalogue, signed: Sequence[tuple[Receipt, dict[str, str]]]) -> int:
    """Add the receipts to the catalogue's chain that follow its last one; return how many.

    ``signed`` are receipts that were opened, with their envelopes. What does not follow is left out.
    """
    following = {receipt.previous: (receipt, envelope) for receipt, envelope in signed}
    added = 0
    with catalogue.transaction() as tx:
        head = tx.receipts.head()
        while (entry := following.pop(head, None)) is not None:
            receipt, envelope = entry
            named = receipt.payload.get("profile")
            tx.receipts.add(
                receipt.receipt_id,
                None,
                receipt.hash,
                envelope,
                datetime.fromisoformat(receipt.erased_at),
                subject=f"{named['key_id']}:{named['hmac_sha256']}" if named is not None else None,
            )
            head, added = receipt.hash, added + 1
    return added


@dataclass(frozen=True, slots=True)
class PurgeRestored:
    """Erases again what a restored catalogue has of whom was erased. What it did twice was done once."""

    catalogue: Catalogue
    delete: DeletePictures
    hasher: SubjectHasher

    def run(self, receipts: Iterable[Receipt]) -> Purged:
        """Erase what the catalogue's own tombstones and ``receipts``, whose signatures were verified, tell of."""
        with self.catalogue.reading() as tx:
            erased_at = tx.tombstones.every()
        image_digests = set()
        for receipt in receipts:
            image_digests.add(receipt.payload.get("subject_sha256"))
            named = receipt.payload.get("profile")
            if named is not None:
                text, moment = f"{named['key_id']}:{named['hmac_sha256']}", datetime.fromisoformat(receipt.erased_at)
                erased_at[text] = max(moment, erased_at.get(text, moment))
        profiles = sum(self._profile(profile_id) for profile_id in self._profiles(erased_at))
        owned = sum(self._image(image_id) for image_id in self._images() if subject_digest(image_id) in image_digests)
        lost = {text.partition(":")[0] for text in erased_at} - self.hasher.key_ids
        logs.get("restore").info("restore.purged", profiles=profiles, images=owned)
        return Purged(profiles, owned, tuple(sorted(lost)))

    def _profiles(self, erased_at: dict[str, datetime]) -> Iterator[ProfileId]:
        """Yield the profiles that were there before they were erased."""
        after = ""
        while True:
            with self.catalogue.reading() as tx:
                page = tx.profiles.page(after, limit=_PAGE)
            for profile_id, since in page:
                moments = [erased_at.get(subject.text) for subject in self.hasher.every(profile_id)]
                if any(moment is not None and since <= moment for moment in moments):
                    yield profile_id
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def _images(self) -> Iterator[ImageId]:
        after = ""
        while True:
            with self.catalogue.reading() as tx:
                page = tx.images.in_states(_PRESENT, after=after, limit=_PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1]

    def _profile(self, profile_id: ProfileId) -> bool:
        try:
            self.delete.profile(profile_id, actor=_ACTOR)
        except NotFound:  # deleted meanwhile
            return False
        return True

    def _image(self, image_id: ImageId) -> bool:
        try:
            self.delete.image(image_id, actor=_ACTOR)
        except NotFound:  # deleted meanwhile
            return False
        return True
