"""The hashes by which a published image is held against the lists, made of whatever there still is of it.

::

    original          decoded in the sandbox
    rendition_hashes  those in the catalogue of its renditions, where the original is gone or cannot be decoded
    renditions        those made of its renditions' objects, where the catalogue has none
    nothing           nothing is left to be hashed, or too little is in it

A rendition shows the square that was kept, with its watermarks, so its hash finds less than the original's do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight.delivery.object_names import MAX_RENDITION_BYTES, rendition_key
from nightlight.store.interface import SEAL_BYTES, Open
from nightlight_core.errors import Conflict, DecoderDied, ImageRefused, ObjectMissing

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.catalogue.images import ImageRow
    from nightlight.store.interface import ObjectStore
    from nightlight_core.ids import ImageId

ORIGINAL, RENDITION_HASHES, RENDITIONS, NOTHING = "original", "rendition_hashes", "renditions", "nothing"
# A picture's bytes and its owner's crop to the lumas that are hashed, uint8 (512, 512) each.
Views = Callable[[bytes, str | None], Sequence[Any]]


class ImageHashes(NamedTuple):
    """An image's hashes, 32 bytes each, and their source; ``code`` and ``detail`` say what is wrong with its original.

    An original that is too plain to be hashed has no hashes, and nothing is wrong with it.
    """

    hashes: bytes
    source: str
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ImageHasher:
    """Makes the hashes of a published image. ``max_bytes`` is what an original may have."""

    catalogue: Catalogue
    originals: ObjectStore
    renditions: ObjectStore
    open_: Open
    views: Views
    max_bytes: int

    def hashes(self, image_id: ImageId, *, decode_original: bool = True) -> ImageHashes:
        """Return the hashes of an image; without ``decode_original`` those that its renditions give.

        Raises Unavailable or StoreDenied where a store or the sandbox does not answer, and Conflict where the
        renditions were renamed meanwhile.
        """
        with self.catalogue.reading() as tx:
            image = tx.images.get(image_id)
        if image is None:
            return ImageHashes(b"", NOTHING, "not_found", "the image was erased meanwhile")
        if not decode_original:
            return self._of_renditions(image_id, "worker_crashed", "workers died over the original")
        for last in (False, True):
            try:
                return ImageHashes(self._of_original(image), ORIGINAL)
            except (ImageRefused, DecoderDied, ObjectMissing) as error:
                if last or not error.retryable:  # a decoder may have died of the machine's trouble: once more
                    return self._of_renditions(image_id, error.code, str(error))
        raise AssertionError  # pragma: no cover - the last time returns or raises

    def _of_original(self, image: ImageRow) -> bytes:
        from nightlight.matching.list_index import hash_lumas

        stored = self.originals.get(image.original_key, max_bytes=self.max_bytes + SEAL_BYTES)
        return hash_lumas(self.views(self.open_(stored.data, image.sealed_key), image.crop))

    def _of_renditions(self, image_id: ImageId, code: str, detail: str) -> ImageHashes:
        from nightlight.matching.list_index import hash_lumas
        from nightlight.matching.pdq import turned

        with self.catalogue.reading() as tx:
            kept = tx.rendition_hashes.of_image(image_id)
            objects = tx.images.rendition_names(image_id)
        if kept:
            return ImageHashes(b"".join(turned(hash_).tobytes() for hash_ in kept), RENDITION_HASHES, code, detail)
        hashes = b""
        for name, format_ in objects:
            try:
                stored = self.renditions.get(rendition_key(name, format_), max_bytes=MAX_RENDITION_BYTES)
                hashes += hash_lumas(self.views(stored.data, None))
            except (ImageRefused, DecoderDied, ObjectMissing):
                continue  # another rendition may do
        if hashes:
            return ImageHashes(hashes, RENDITIONS, code, detail)
        with self.catalogue.reading() as tx:
            if sorted(tx.images.rendition_names(image_id)) != sorted(objects):
                raise Conflict(f"the renditions of {image_id} were renamed meanwhile")
        return ImageHashes(b"", NOTHING, code, detail)
