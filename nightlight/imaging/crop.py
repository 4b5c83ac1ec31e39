"""Which part of a picture is kept: the owner's crop, then a square around the face or the middle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightlight.imaging.face import Face

Box = tuple[float, float, float, float]

# Of the height that is cut off, this share comes off the top: heads are in the upper part of portraits.
TOP_SHARE = 0.4
# Where the middle of a face lies, from the top of the square: eyes on the upper third leave headroom above and
# shoulders below.
FACE_FROM_TOP = 0.42
# The frame's longer side is at most this many times its shorter. Of a longer picture, the part around the face that was
# found in the whole is kept, else the middle. It bounds the frame's memory: 2048 * 2048 * MAX_ASPECT * 3 bytes = 25 MB.
MAX_ASPECT = 2
# The least width and height, in pixels, of an owner's crop: under it there is no picture left.
LEAST_SIDE = 16

# EXIF orientations (CIPA DC-008, tag 0x0112) by what they do to the stored picture's axes.
UPRIGHT, ROTATED = 1, 6
SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True, slots=True)
class Region:
    """The owner's crop, in pixels of the upright picture: left, top, width, height."""

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        """Return ``left,top,width,height``, as the IIIF Image API writes a region."""
        return f"{self.left},{self.top},{self.width},{self.height}"

    @classmethod
    def parse(cls, text: str, *, max_side: int = 99_999) -> Region:
        """Return the region that ``left,top,width,height`` names; raise ValueError saying what is wrong.

        ``max_side`` is the picture's longer side, where it is known.
        """
        parts = text.split(",")
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) <= 5 for part in parts):  # noqa: PLR2004
            raise ValueError("a crop is four whole numbers: left,top,width,height")
        region = cls(*(int(part) for part in parts))
        if min(region.width, region.height) < LEAST_SIDE:
            raise ValueError(f"a crop is at least {LEAST_SIDE} pixels wide and high")
        if region.left + region.width > max_side or region.top + region.height > max_side:
            raise ValueError("the crop reaches beyond the picture")
        return region


def frame_window(size: tuple[int, int], orientation: int, region: Region | None, *, whole: bool = False) -> Box:
    """Return the box, in pixels as stored, of what the frame shows.

    ``size`` is (width, height) as stored; ``orientation`` is EXIF's, 1 to 8. A region that reaches beyond the
    picture is cut at its edge; one that leaves less than LEAST_SIDE pixels is as good as none. With ``whole``, nothing
    is cut off a long picture.
    """
    upright = size[::-1] if orientation in SIDEWAYS else size
    left, top, right, bottom = shown_part(upright, region)
    long = MAX_ASPECT * min(right - left, bottom - top)
    if not whole and right - left > long:
        left += (right - left - long) / 2
        right = left + long
    elif not whole and bottom - top > long:
        top += (bottom - top - long) * TOP_SHARE
        bottom = top + long
    return stored_box((left, top, right, bottom), upright, orientation)


def shown_part(upright: tuple[int, int], region: Region | None) -> Box:
    """Return the box of an upright picture that ``region`` keeps, in its pixels; ``upright``: (width, height)."""
    width, height = upright
    if region is not None:
        right, bottom = min(width, region.left + region.width), min(height, region.top + region.height)
        if right - region.left >= LEAST_SIDE and bottom - region.top >= LEAST_SIDE:
            return float(region.left), float(region.top), float(right), float(bottom)
    return 0.0, 0.0, float(width), float(height)


def is_long(size: tuple[int, int], region: Region | None) -> bool:
    """Say whether a frame is only a part of what the region keeps; ``size`` as stored, whatever the orientation."""
    boxes = [shown_part(upright, region) for upright in (size, size[::-1])]
    sides = [sorted((right - left, bottom - top)) for left, top, right, bottom in boxes]
    return any(long > MAX_ASPECT * short and short >= LEAST_SIDE for short, long in sides)


def long_part(size: tuple[int, int], region: Region | None, whole: tuple[int, int], face: Face) -> Region:
    """Return the part of a long picture, MAX_ASPECT times as long as wide, that has ``face`` in its middle.

    ``size``: (width, height) of the picture as stored. ``whole``: (width, height) of the small copy of all that
    ``region`` keeps, upright, in whose pixels the face is given. The part is in pixels of the upright picture.
    """
    upright = min((size, size[::-1]), key=lambda turned: _unlike(shown_part(turned, region), whole))
    left, top, right, bottom = shown_part(upright, region)
    if right - left > bottom - top:
        length, scale = min(right - left, MAX_ASPECT * (bottom - top)), (right - left) / whole[0]
        left = min(max(left + (face.left + face.width / 2) * scale - length / 2, left), right - length)
        return Region(math.floor(left), round(top), math.floor(length), round(bottom - top))
    length, scale = min(bottom - top, MAX_ASPECT * (right - left)), (bottom - top) / whole[1]
    top = min(max(top + (face.top + face.height / 2) * scale - length / 2, top), bottom - length)
    return Region(round(left), math.floor(top), round(right - left), math.floor(length))


def _unlike(box: Box, size: tuple[int, int]) -> float:
    """Return how far a box is from the shape of ``size``: 0 for the same shape."""
    return abs(math.log((box[2] - box[0]) / (box[3] - box[1]) * size[1] / size[0]))


def stored_box(box: Box, upright: tuple[int, int], orientation: int) -> Box:
    """Return a box of the upright picture in pixels as stored."""
    left, top, right, bottom = box
    width, height = upright
    if orientation in (2, 3):
        left, right = width - right, width - left
    if orientation in (3, 4):
        top, bottom = height - bottom, height - top
    if orientation not in SIDEWAYS:
        return left, top, right, bottom
    # Stored across is upright down, and the other way round, each perhaps reversed.
    across = (top, bottom) if orientation in (5, 6) else (height - bottom, height - top)
    down = (left, right) if orientation in (5, 8) else (width - right, width - left)
    return across[0], down[0], across[1], down[1]


def fitted_size(box: Box, edge: int) -> tuple[int, int]:
    """Return the (width, height) that ``box`` has when its shorter side is at most ``edge`` pixels."""
    width, height = box[2] - box[0], box[3] - box[1]
    factor = min(1.0, edge / min(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def most_pixels(size: tuple[int, int], edge: int, region: Region | None) -> int:
    """Return how many pixels a frame can have at the most, whatever the picture's orientation."""
    return max(
        width * height
        for orientation in (UPRIGHT, *SIDEWAYS[1:2])
        for width, height in [fitted_size(frame_window(size, orientation, region), edge)]
    )


def kept_box(width: int, height: int, face: Face | None = None) -> tuple[int, int, int, int]:
    """Return the box of the square that is kept of an upright frame, in whole pixels.

    It is as large as the shorter side: nothing is enlarged by cutting. A ``face`` lies in the middle
    across and FACE_AT down; without one the square is in the middle across and TOP_SHARE down.
    """
    side = min(width, height)
    if face is None:
        left, top = (width - side) / 2, (height - side) * TOP_SHARE
    else:
        left = min(max(face.left + face.width / 2 - side / 2, 0), width - side)
        top = min(max(face.top + face.height / 2 - side * FACE_FROM_TOP, 0), height - side)
    return round(left), round(top), round(left) + side, round(top) + side
