"""How the primary item of an AVIF or HEIC is cut, turned and mirrored before it is shown. Source: ISO/IEC 23008-12.

Browsers follow these properties, and ignore the orientation that EXIF states in such a file: a writer that turns a
picture states it here. So do we.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from nightlight.imaging.crop import SIDEWAYS, stored_box
from nightlight.imaging.header import u32

if TYPE_CHECKING:
    from collections.abc import Sequence

# EXIF orientations as what is done to the axes of the stored picture: turned clockwise by quarters, after mirroring
# left to right.
_EXIF = {
    (0, False): 1,
    (0, True): 2,
    (2, False): 3,
    (2, True): 4,
    (3, True): 5,
    (1, False): 6,
    (1, True): 7,
    (3, False): 8,
}
_HALF = Fraction(1, 2)
# Left, top, width, height.
_Part = tuple[int, int, int, int]
_SIGN, _WRAP = 1 << 31, 1 << 32


@dataclass(frozen=True, slots=True)
class Transform:
    """What is done to a coded picture.

    ``size``: (width, height) of what is kept, before it is turned. ``aperture``: what is kept of the coded picture:
    left, top, and the coded width and height; None for all of it. ``orientation``: as EXIF's, 1 to 8.
    """

    size: tuple[int, int]
    aperture: tuple[int, int, int, int] | None
    orientation: int

    @classmethod
    def read(cls, view: memoryview, properties: Sequence[tuple[bytes, int, int]], coded: tuple[int, int]) -> Transform:
        """Return the transformation that an item's properties state, in their order. Raises IndexError."""
        quarters, mirrored, kept = 0, False, (0, 0, *coded)
        for kind, at, end in properties:
            if kind == b"clap" and end - at >= 32:  # noqa: PLR2004 - eight integers
                kept = _cut(view, at, kept, _EXIF[quarters, mirrored])
            elif kind == b"irot" and end > at:  # anticlockwise
                quarters = (quarters - (view[at] & 3)) % 4
            elif kind == b"imir" and end > at:  # axis 1: left and right change places; axis 0: top and bottom
                # A mirror behind a turn is a mirror before the turn the other way round.
                quarters = -quarters % 4
                mirrored = not mirrored
                quarters = quarters if view[at] & 1 else (quarters + 2) % 4
        aperture = (kept[0], kept[1], *coded) if kept[2:] != coded else None
        return cls(kept[2:], aperture, _EXIF[quarters, mirrored])


def _cut(view: memoryview, at: int, kept: _Part, orientation: int) -> _Part:
    """Return what a clean aperture leaves of ``kept``, which is shown in ``orientation`` when it is cut.

    Parts are left, top, width and height in pixels of the coded picture. An aperture that is not within what is shown
    cuts nothing.
    """
    shown = (kept[3], kept[2]) if orientation in SIDEWAYS else kept[2:]
    box = _clean_aperture(view, at, shown)
    if box is None:
        return kept
    upright = (float(box[0]), float(box[1]), float(box[0] + box[2]), float(box[1] + box[3]))
    left, top, right, bottom = (int(edge) for edge in stored_box(upright, shown, orientation))
    return kept[0] + left, kept[1] + top, right - left, bottom - top


def _clean_aperture(view: memoryview, at: int, coded: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return left, top, width and height of a clean aperture; None for one that is not within the picture.

    Source: ISO/IEC 14496-12, 12.1.4.
    """
    numbers = [u32(view, at + 4 * index) for index in range(8)]
    if not all(numbers[1::2]):
        return None
    width, height, across, down = (
        Fraction(top - _WRAP if index >= 2 and top >= _SIGN else top, bottom)  # noqa: PLR2004 - offsets have a sign
        for index, (top, bottom) in enumerate(zip(numbers[::2], numbers[1::2], strict=True))
    )
    left = across + Fraction(coded[0] - 1, 2) - (width - 1) * _HALF
    top = down + Fraction(coded[1] - 1, 2) - (height - 1) * _HALF
    box = (round(left), round(top), int(width), int(height))
    inside = box[0] >= 0 and box[1] >= 0 and box[0] + box[2] <= coded[0] and box[1] + box[3] <= coded[1]
    return box if inside and box[2] >= 1 and box[3] >= 1 and box[2:] != coded else None
