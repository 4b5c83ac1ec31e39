"""A restored catalogue beside the buckets, which are not restored with it.

::

    missing    renditions that the catalogue tells of and that are not stored: since the backup they were renamed, or
               rendered again. Their rows go, and the picture is rendered again under names that nobody was ever given
    unknown    objects that no row names: of uploads and renditions since the backup. A URL of theirs may be in use, and
               nobody could ever revoke it: they are erased

Keys are compared by 8 bytes of their hash: memory is 8 bytes for each object.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nightlight import logs
from nightlight.catalogue.images import READY
from nightlight.delivery.object_names import manifest_key, rendition_key
from nightlight.flows.retention.erase import ORIGINALS, RENDITIONS, ObjectLocation, erase_location
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.delivery.purge import EdgePurge
    from nightlight.flows.retention.erase import ReplicaBucket
    from nightlight.store.interface import ObjectStore
    from nightlight_core.clock import Clock
    from nightlight_core.ids import ImageId

    Digests = NDArray[np.uint64]

_PAGE = 1000
# What lies elsewhere in the buckets has an end of its own: copies for traces and notices, exports, the marker.
_ORIGINALS, _RENDITIONS, _MANIFESTS = "o/", "a/", "p/"
# More than anything can have raised a generation by since the backup: no name of before is given again.
_GENERATIONS = 2**20


class Compared(NamedTuple):
    """How many pictures had objects missing, and of which the original is gone (the first thousand).

    ``unknown`` objects were erased that nobody knew, ``locked`` ones are kept by a lock of the server.
    """

    missing: int
    lost: tuple[str, ...]
    unknown: int
    locked: int


@dataclass(frozen=True, slots=True)
class CompareStores:
    """Makes the buckets and a restored catalogue agree, while no worker writes. What it did twice was done once."""

    catalogue: Catalogue
    originals: ObjectStore
    renditions: ObjectStore
    placeholders: Sequence[str]
    clock: Clock
    purge: EdgePurge
    replicas: Sequence[ReplicaBucket] = ()

    def run(self, say: Callable[[str], object] = lambda _: None) -> Compared:
        """Have pictures rendered again whose objects are missing, and erase objects that nobody knows.

        Raises StoreUnavailable, StoreDenied or CatalogueUnavailable.
        """
        say("listing the buckets")
        stored = _sorted(itertools.chain(self.renditions.keys(_RENDITIONS), self.renditions.keys(_MANIFESTS)))
        originals = _sorted(self.originals.keys(_ORIGINALS))
        self._raise_generations()
        missing = unknown = locked = 0
        lost: list[str] = []
        for image_ids in self._images_missing(stored):
            keys = {image_id: key for image_id in image_ids if (key := self._render_again(image_id))}
            missing += len(image_ids)
            present = _among(list(keys.values()), originals)
            lost += [image_id for image_id, here in zip(keys, present, strict=True) if not here]
            say(f"{missing:,} pictures have objects missing")
        for bucket, store, page in self._unknown():
            gone = [self._erase(bucket, store, key) for key in page]
            self.purge.forget(page if bucket == RENDITIONS else [])
            locked += sum(gone)
            unknown += len(gone) - sum(gone)
            say(f"{unknown:,} objects erased that the catalogue does not know")
        logs.get("restore").info("restore.compared", missing=missing, lost=len(lost), unknown=unknown, locked=locked)
        return Compared(missing, tuple(lost[:_PAGE]), unknown, locked)

    def _erase(self, bucket: str, store: ObjectStore, key: str) -> bool:
        """Erase an object, in replicas too; say whether a lock keeps any of it."""
        others = [replica for replica in self.replicas if replica.replica_of == bucket]
        places = [
            ObjectLocation(bucket, store, key),
            *(ObjectLocation(replica.name, replica.store, key) for replica in others),
        ]
        return any(erase_location(place).left for place in places)

    def _raise_generations(self) -> None:
        after = ""
        while True:
            with self.catalogue.transaction() as tx:
                page = [profile_id for profile_id, _ in tx.profiles.page(after, limit=_PAGE)]
                tx.profiles.raise_generations(page, _GENERATIONS)
            if len(page) < _PAGE:
                return
            after = page[-1]

    def _images_missing(self, stored: Digests) -> Iterator[list[ImageId]]:
        """Yield images that have a rendition in the catalogue whose object is not there, a page at a time."""
        after = ""
        while True:
            with self.catalogue.reading() as tx:
                page = tx.images.rendition_page(after, limit=_PAGE)
            if not page:
                return
            after = page[-1][0]
            present = _among([rendition_key(name, format_) for name, format_, _ in page], stored)
            absent = {image_id for (_, _, image_id), here in zip(page, present, strict=True) if not here}
            if absent:
                yield sorted(absent)

    def _render_again(self, image_id: ImageId) -> str:
        """Forget a picture's renditions, and ask for others if it is shown; return the key of its original then."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            image = tx.images.get(image_id)
            profile = tx.profiles.get(image.profile_id, lock=True) if image is not None else None
            if image is None or profile is None:
                return ""
            tx.rendition_hashes.drop(image_id)
            tx.revocations.drop(image_id, [name for name, _ in tx.revocations.of_image(image_id)])
            tx.images.drop_renditions(image_id, keep_crop=True)
            tx.events.add(image.profile_id, now)
            if image.state != READY:
                return ""
            enqueue(tx, kinds.RERENDER, image_id, now)
        return image.original_key

    def _unknown(self) -> Iterator[tuple[str, ObjectStore, list[str]]]:
        """Yield keys that no row names, with their bucket, a page at a time."""
        named_by: tuple[tuple[str, ObjectStore, str, Callable[[Transaction, Sequence[str]], set[str]]], ...] = (
            (RENDITIONS, self.renditions, _RENDITIONS, self._renditions),
            (RENDITIONS, self.renditions, _MANIFESTS, _manifests),
            (ORIGINALS, self.originals, _ORIGINALS, lambda tx, keys: tx.images.known_originals(keys)),
        )
        for bucket, store, prefix, named in named_by:
            keys = store.keys(prefix)
            while page := list(itertools.islice(keys, _PAGE)):
                with self.catalogue.reading() as tx:
                    known = named(tx, page)
                yield bucket, store, [key for key in page if key not in known]

    def _renditions(self, tx: Transaction, keys: Sequence[str]) -> set[str]:
        names = {key: key.removeprefix(_RENDITIONS).partition(".")[0] for key in keys}
        known = tx.images.known_names(list(names.values())) | set(self.placeholders)
        return {key for key, name in names.items() if name in known}


def _manifests(tx: Transaction, keys: Sequence[str]) -> set[str]:
    names = {manifest_key(name): name for key in keys for name in [key.removeprefix(_MANIFESTS).partition(".")[0]]}
    known = tx.images.known_manifests(list(names.values()))
    return {key for key, name in names.items() if name in known}


def _digests(keys: Iterable[str]) -> Digests:
    """Return 8 bytes of each key's hash, uint64[number of keys]."""
    hashed = (int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) for key in keys)
    return np.fromiter(hashed, np.uint64)


def _sorted(keys: Iterable[str]) -> Digests:
    return np.sort(_digests(keys))


def _among(keys: Sequence[str], stored: Digests) -> NDArray[np.bool_]:
    """Say of each key whether it is among those that are stored: bool[number of keys]."""
    wanted = _digests(keys)
    if not stored.size:
        return np.zeros(wanted.shape, np.bool_)
    at = np.minimum(np.searchsorted(stored, wanted), stored.size - 1)
    return np.asarray(stored[at] == wanted)
