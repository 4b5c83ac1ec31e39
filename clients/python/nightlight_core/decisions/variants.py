"""Which variant of a tier a viewer gets: a keyed function of viewer and image, so that nobody can choose.

``nightlight.delivery.collusion`` says what a set of leaked variants proves.
"""

from __future__ import annotations

import hashlib
import hmac

VARIANTS = 2


def variant_for(key: bytes, viewer: str, image_id: str, variants: int = VARIANTS) -> int:
    """Return the variant, from 0, of an image's renditions that a viewer gets; ``key`` is of at least 32 bytes."""
    if variants == 1:
        return 0
    return variant_drawn(key, length_prefixed("variant", viewer) + length_prefixed(image_id), variants)


def length_prefixed(*parts: str) -> bytes:
    """Return the parts, each behind its length, so that no two lists of parts are the same bytes."""
    return b"".join(len(data).to_bytes(2, "big") + data for data in (part.encode() for part in parts))


def variant_drawn(key: bytes, message: bytes, variants: int) -> int:
    """Return the variant that ``key`` draws for ``message``."""
    return hmac.digest(key, message, hashlib.sha256)[0] % variants
