"""What a render asks of imaging and of provenance, what it is given, and what that says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from nightlight.provenance.manifest import ManifestClaims

if TYPE_CHECKING:
    from nightlight.imaging.recipe import Recipe


class Signed(Protocol):
    """A rendition's bytes to publish, and its manifest: ``nightlight.provenance.signing.SignedRendition``."""

    @property
    def data(self) -> bytes:
        """With the manifest in them, or as they were."""
        ...

    @property
    def manifest(self) -> bytes:
        """By itself."""
        ...


class Sign(Protocol):
    """Signs a rendition: ``nightlight.provenance.signing.ManifestSigner.sign``."""

    def __call__(self, data: bytes, media_type: str, claims: ManifestClaims, *, embed: bool) -> Signed:
        """Return it signed; raises Unavailable."""
        ...


class WhatWasDone(Protocol):
    """What was done to an upload for a rendition: ``nightlight.imaging.edits.Edits``."""

    @property
    def cropped(self) -> bool:
        """Part of the picture was cut off."""
        ...

    @property
    def resized(self) -> bool:
        """It has other pixels a side than what was kept."""
        ...

    @property
    def softened(self) -> bool:
        """Detail was taken."""
        ...

    @property
    def visible_watermark(self) -> bool:
        """The visible watermark was drawn."""
        ...


class RenditionMade(Protocol):
    """What the pipeline gives for each recipe: ``nightlight.imaging.rendition.Rendition``."""

    @property
    def recipe(self) -> Recipe:
        """The recipe it was made by."""
        ...

    @property
    def data(self) -> bytes:
        """Its bytes."""
        ...

    @property
    def width(self) -> int:
        """Pixels across."""
        ...

    @property
    def height(self) -> int:
        """Pixels down."""
        ...

    @property
    def sha256(self) -> str:
        """The hash of its bytes, in hexadecimal."""
        ...

    def luma(self, side: int) -> Any:
        """Return its luma as published, uint8 (side, side)."""
        ...

    @property
    def edits(self) -> WhatWasDone:
        """What was done to the upload for it."""
        ...

    @property
    def variant(self) -> int:
        """Which of its tier's variants it is, from 0."""
        ...

    @property
    def agreement(self) -> float | None:
        """How well its invisible watermark read back, 0 to 1; None where there is none to read."""
        ...

    @property
    def blurhash(self) -> str | None:
        """Its BlurHash, where it is the preview's."""
        ...


# Bytes of an original, its owner's crop, and what each tier's invisible watermark says, to its renditions, the CPU
# milliseconds of each stage, and lumas that lists are searched for.
Pipeline = Callable[
    [bytes, Sequence["Recipe"], str | None, Mapping[str, int]],
    tuple[Sequence[RenditionMade], dict[str, float], Sequence[Any]],
]


def said_of(made: RenditionMade, mark: int | None, hashed: bytes | None) -> ManifestClaims:
    """Return what a rendition's manifest says: what was done for it, and what was read back from its bytes."""
    return ManifestClaims(
        mark if made.agreement is not None else None,
        hashed,
        visible_watermark=made.edits.visible_watermark,
        cropped=made.edits.cropped,
        resized=made.edits.resized,
        softened=made.edits.softened,
    )


def short_of(mark: int | None, side: int) -> int | None:
    """Return what a rendition of ``side`` pixels carries of its mark, where that is not the whole."""
    from nightlight.watermark.embed import LEAST_SIDE, fit_payload
    from nightlight.watermark.payload import Payload

    carried = fit_payload(Payload(mark), side) if mark is not None and side >= LEAST_SIDE else None
    return carried.rendition if carried is not None and carried.short else None


def hash_of(rendition: RenditionMade) -> tuple[bytes, int] | None:
    """Return a rendition's perceptual hash and its quality, None where there is too little in it for one.

    Each has its own: the visible mark and a face budget move it by more than a search would bridge.
    """
    from nightlight.matching.pdq import CANONICAL, LEAST_QUALITY, pdq

    one = pdq(rendition.luma(CANONICAL))
    return (bytes(one.hashes[0]), one.quality) if one.quality >= LEAST_QUALITY else None
