"""The recipe of a tier: everything that a policy says of a rendition's pixels. Plain values, checked exactly.

``nightlight.policy.models`` has the same fields as they are read from ``tiers.yaml``, with messages for its editors.
Ranges and words are kept here alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

Crop = Literal["face", "centre"]
Format = Literal["webp", "jpeg", "avif"]
VisibleWatermarkStrength = Literal["none", "soft", "faint", "clear", "strong"]
VisibleWatermarkPattern = Literal["tiles", "fine", "sparse"]
InvisibleWatermarkDemand = Literal["none", "best_effort", "required"]
ProvenanceForm = Literal["none", "sidecar", "embedded"]

# The least and the most of each whole number.
RANGES: Mapping[str, tuple[int, int]] = {
    "edge": (8, 2048),
    "quality": (1, 100),
    "effort": (0, 6),
    "max_bytes": (500, 4_000_000),
    "face_px": (2, 2048),
    "no_face_px": (12, 24),
    "psnr_at_least": (36, 48),
    "variants": (1, 2),
}
_WORDS: Mapping[str, tuple[str, ...]] = {
    "crop": get_args(Crop),
    "format": get_args(Format),
    "visible_watermark": get_args(VisibleWatermarkStrength),
    "visible_pattern": get_args(VisibleWatermarkPattern),
    "invisible_watermark": get_args(InvisibleWatermarkDemand),
    "provenance": get_args(ProvenanceForm),
}
# What a tier claims of its pixels. A claim makes no difference to them.
CLAIMS = ("reidentification_at_most", "fitted_reidentification_at_most")
_MAY_BE_ABSENT = frozenset({"max_bytes", "face_px", "no_face_px", *CLAIMS})
# Fields that are younger than bundles and catalogues in use, and what stands for them where they are absent: they are
# written only with another value, so that digests of before stay what they were.
_WRITTEN_UNLESS: Mapping[str, Any] = {
    "no_face_px": None,
    "visible_pattern": "tiles",
    "fitted_reidentification_at_most": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TierRecipe:
    """The recipe of one kind of rendition: everything about its pixels.

    ``edge``, ``face_px`` and ``no_face_px`` are in pixels, ``max_bytes`` in bytes, ``psnr_at_least`` in dB.
    ``reidentification_at_most`` and ``fitted_reidentification_at_most`` are shares above 0 and up to 1 of the people
    whom an attacker still finds, at one false match in a hundred: with a recogniser as it is published, and with models
    fitted to the tier. Raises ValueError for a value of another type or out of its range: ``true`` is no number, and
    ``16.0`` is no whole one.
    """

    edge: int
    crop: Crop = "face"
    format: Format = "webp"
    quality: int = 80
    effort: int = 2
    max_bytes: int | None = None
    face_px: int | None = None
    no_face_px: int | None = None
    reidentification_at_most: float | None = None
    fitted_reidentification_at_most: float | None = None
    visible_watermark: VisibleWatermarkStrength = "none"
    visible_pattern: VisibleWatermarkPattern = "tiles"
    invisible_watermark: InvisibleWatermarkDemand = "none"
    psnr_at_least: int = 40
    variants: int = 1
    provenance: ProvenanceForm = "none"

    @property
    def pixels(self) -> TierRecipe:
        """Return the recipe without what it claims of its pixels: two that are equal give the same ones."""
        if self.reidentification_at_most is None and self.fitted_reidentification_at_most is None:
            return self
        return replace(self, reidentification_at_most=None, fitted_reidentification_at_most=None)

    @property
    def written(self) -> dict[str, Any]:
        """Return the fields by name as they are stored, sent and hashed."""
        given = asdict(self)
        return {
            name: given[name] for name in given if name not in _WRITTEN_UNLESS or given[name] != _WRITTEN_UNLESS[name]
        }

    def __post_init__(self) -> None:
        """Check every field."""
        for name in self.__slots__:
            value: object = getattr(self, name)
            if not (_allowed(name, value) or (value is None and name in _MAY_BE_ABSENT)):
                raise ValueError(f"{name} of a tier cannot be {value!r}")


def _allowed(name: str, value: object) -> bool:
    if name in RANGES:
        least, most = RANGES[name]
        return type(value) is int and least <= value <= most
    if name in _WORDS:
        return type(value) is str and value in _WORDS[name]
    return type(value) is float and 0 < value <= 1
