"""Opaque names of one length, from which nothing can be read and none can be guessed from another."""

from __future__ import annotations

import base64
import hashlib
import hmac

from nightlight_core.decisions.variants import length_prefixed
from nightlight_core.ids import ImageId

# 20 bytes of HMAC-SHA256 are 160 bits, and exactly 32 characters of base32 without padding.
_BYTES = 20
# 56 bits: two of a billion renditions share a number with a probability of one in a thousand each; a trace tells both.
WATERMARK_BYTES = 7
NAME_PATTERN = r"^[a-z2-7]{32}$"

# The largest rendition that is written or served: 1024 x 1024 at WebP's worst is well under it.
MAX_RENDITION_BYTES = 4_000_000

# The ending and the media type of each format that a tier may be encoded in.
EXTENSIONS = {"webp": "webp", "jpeg": "jpg", "avif": "avif"}
MEDIA_TYPES = {"webp": "image/webp", "jpg": "image/jpeg", "avif": "image/avif"}

# What a C2PA manifest is; it lies beside the renditions, and nobody fetches it by its key.
MANIFEST_TYPE = "application/c2pa"


class ObjectNames:
    """Derives names from a secret key. Keys of before are for names that were given by them."""

    __slots__ = ("_former", "_key")

    def __init__(self, key: bytes, *former: bytes) -> None:
        """Take a key of at least 32 bytes, and other keys that names were or will be derived from."""
        self._key, self._former = key, former

    def use(self, key: bytes, *former: bytes) -> None:
        """Derive from another key from now on."""
        self._key, self._former = key, former

    def rendition(self, image_id: ImageId, tier: str, generation: int, recipe: str, variant: int = 0) -> str:
        """Return the name of a rendition: the same inputs give the same name, any other input another."""
        return self._encoded("rendition", image_id, tier, str(generation), recipe, *([str(variant)] if variant else []))

    def watermark_id(self, image_id: ImageId, tier: str, generation: int, recipe: str) -> int:
        """Return the number in the invisible watermarks of a tier: 0 to 2**56 - 1, alike in all its variants."""
        return int.from_bytes(self._derive("mark", image_id, tier, str(generation), recipe)[:WATERMARK_BYTES], "big")

    @property
    def variant_key(self) -> bytes:
        """Return the key that chooses variants: of its own, so that it can be lent where the names' key is not."""
        return self._derive("variants")

    @property
    def page_key(self) -> bytes:
        """Return the key that tokens of search pages are sealed with, 32 bytes."""
        return self._derive("pages")

    def placeholder(self) -> str:
        """Return the name that the placeholder goes by: of the same shape as all others."""
        return self._encoded("placeholder")

    def placeholders(self) -> tuple[str, ...]:
        """Return all names that the placeholder goes by, the one that is given out first."""
        return self.placeholder(), *(ObjectNames(key).placeholder() for key in self._former)

    def _encoded(self, *parts: str) -> str:
        return base64.b32encode(self._derive(*parts)[:_BYTES]).decode().lower()

    def _derive(self, *parts: str) -> bytes:
        return hmac.digest(self._key, length_prefixed(*parts), "sha256")


def object_key(name: str, extension: str) -> str:
    """Return the key in the renditions bucket, which is also the path that the picture is fetched by."""
    return f"a/{name}.{extension}"


def rendition_key(name: str, format_: str) -> str:
    """Return the key of a rendition by its name and its format, as the catalogue has them."""
    return object_key(name, EXTENSIONS[format_])


def rendition_type(format_: str) -> str:
    """Return the media type of a rendition of a format."""
    return MEDIA_TYPES[EXTENSIONS[format_]]


def manifest_name(image_id: ImageId, sha256: str) -> str:
    """Return the name of the manifest of an image's rendition with these bytes: 64 hexadecimal digits.

    By the bytes, so that what two attempts signed differently stays apart; by the image, since two images may have
    renditions of the same bytes and are erased by themselves.
    """
    return hashlib.sha256(f"{image_id}/{sha256}".encode()).hexdigest()


def manifest_key(name: str) -> str:
    """Return the key in the renditions bucket of the manifest with this name."""
    return f"p/{name}.c2pa"


def is_manifest_key(key: str) -> bool:
    """Say whether a key in the renditions bucket is a manifest's."""
    return key.startswith("p/")
