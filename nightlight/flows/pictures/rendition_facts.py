"""What is read off a finished rendition: its perceptual hash, the mark it carries, and what its manifest says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.provenance.manifest import Said

if TYPE_CHECKING:
    from nightlight.imaging.pipeline import Rendition


def said_of(rendition: Rendition, mark: int | None, hashed: bytes | None) -> Said:
    """Return what a rendition's manifest says: what was done for it, and what was read back from its bytes."""
    return Said(
        mark if rendition.agreement is not None else None,
        hashed,
        visible_mark=rendition.done.visible_mark,
        cropped=rendition.done.cropped,
        resized=rendition.done.resized,
        softened=rendition.done.softened,
    )


def short_of(mark: int | None, side: int) -> int | None:
    """Return what a rendition of ``side`` pixels carries of its mark, where that is not the whole."""
    from nightlight.watermark.embed import LEAST_SIDE, fitting
    from nightlight.watermark.payload import Payload

    carried = fitting(Payload(mark), side) if mark is not None and side >= LEAST_SIDE else None
    return carried.rendition if carried is not None and carried.short else None


def hash_of(rendition: Rendition) -> tuple[bytes, int] | None:
    """Return a rendition's perceptual hash and its quality, None where there is too little in it for one.

    Each has its own: the visible mark and a face budget move it by more than a search would bridge.
    """
    from nightlight.matching.pdq import CANONICAL, LEAST_QUALITY, pdq

    one = pdq(rendition.canonical(CANONICAL))
    return (bytes(one.hashes[0]), one.quality) if one.quality >= LEAST_QUALITY else None
