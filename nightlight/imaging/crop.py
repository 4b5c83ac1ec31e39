"""Which part of a picture is kept: the owner's crop, then a square around the face or the middle."""

from __future__ import annotations

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
# The frame's longer side is at most this many times its shorter: where a face is looked for. Of a longer
# picture the middle is kept. It bounds the frame's memory: 2048 * 2048 * MAX_ASPECT * 3 bytes = 25 MB.
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


def frame_window(size: tuple[int, int], orientation: int, region: Region | None) -> Box:
    """Return the box, in pixels as stored, of what the frame shows.

    ``size`` is (width, height) as stored; ``orientation`` is EXIF's, 1 to 8. A region that reaches beyond the
    picture is cut at its edge; one that leaves less than LEAST_SIDE pixels is as good as none.
    """
    stored_width, stored_height = size
    width, height = (stored_height, stored_width) if orientation in SIDEWAYS else size
    left, top, right, bottom = 0.0, 0.0, float(width), float(height)
    if region is not None:
        right, bottom = min(right, region.left + region.width), min(bottom, region.top + region.height)
        if right - region.left >= LEAST_SIDE and bottom - region.top >= LEAST_SIDE:
            left, top = float(region.left), float(region.top)
        else:
            right, bottom = float(width), float(height)
    long = MAX_ASPECT * min(right - left, bottom - top)
    if right - left > long:
        left += (right - left - long) / 2
        right = left + long
    elif bottom - top > long:
        top += (bottom - top - long) * TOP_SHARE
        bottom = top + long
    return stored_box((left, top, right, bottom), (width, height), orientation)


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
