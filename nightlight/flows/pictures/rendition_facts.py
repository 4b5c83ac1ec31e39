"""What is read off a finished rendition: its perceptual hash, the watermark it carries, and what its manifest says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.provenance.manifest import ManifestClaims

if TYPE_CHECKING:
    from nightlight.imaging.rendition import Rendition


def manifest_claims(rendition: Rendition, watermark: int | None, perceptual_hash: bytes | None) -> ManifestClaims:
    """Return what a rendition's manifest says: what was done for it, and what was read back from its bytes."""
    return ManifestClaims(
        watermark if rendition.agreement is not None else None,
        perceptual_hash,
        visible_watermark=rendition.edits.visible_watermark,
        cropped=rendition.edits.cropped,
        resized=rendition.edits.resized,
        softened=rendition.edits.softened,
    )


def short_watermark(watermark: int | None, side: int) -> int | None:
    """Return the 16 bits that a rendition of ``side`` pixels carries of its watermark; None where it carries all."""
    from nightlight.watermark.embed import LEAST_SIDE, fit_payload
    from nightlight.watermark.payload import Payload

    carried = fit_payload(Payload(watermark), side) if watermark is not None and side >= LEAST_SIDE else None
    return carried.rendition if carried is not None and carried.short else None


def perceptual_hash(rendition: Rendition) -> tuple[bytes, int] | None:
    """Return a rendition's perceptual hash and its quality, None where there is too little in it for one.

    Each has its own: the visible watermark and a face budget move it by more than a search would bridge.
    """
    from nightlight.matching.pdq import CANONICAL, LEAST_QUALITY, pdq

    hashed = pdq(rendition.luma(CANONICAL))
    return (bytes(hashed.hashes[0]), hashed.quality) if hashed.quality >= LEAST_QUALITY else None
