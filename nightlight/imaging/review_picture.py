"""The softened picture by which a person says whether two pictures are the same one.

All of the picture is shown, on a grey square, with no more detail than a grid of ``grid_side`` allows: at most FACE_PX
pixels across the widest face, and at most MOST_PX across the whole. A recogniser as it is published found
8.5 % of people again by faces of 8 pixels, and 87 % by 16 (docs/faces.md). The limit is the face budget's
(``face_budget``), so that enlarging the picture finds no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from nightlight.imaging import face, face_budget
from nightlight.imaging.encode import encode

if TYPE_CHECKING:
    from nightlight.imaging.face import FaceSearch

# Pixels of detail across the widest face, and across the longer side of the picture where no face asks for less.
FACE_PX, MOST_PX = 8, 24
# The side that it is shown at, in pixels.
CANVAS = 240
# The longer side of the frame that faces are looked for in, in pixels.
LONGEST = 1024
FORMAT = "webp"
_GREY, _QUALITY, _EFFORT = (128, 128, 128), 70, 4


def shrunk(frame: Image.Image) -> Image.Image:
    """Return a frame whose longer side has at most LONGEST pixels: a long picture's square would be huge."""
    longer = max(frame.size)
    if longer <= LONGEST:
        return frame
    width, height = (max(1, side * LONGEST // longer) for side in frame.size)
    return frame.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=1.5)


def detail(search: FaceSearch, side: int) -> int:
    """Return the pixels of detail that a square of ``side`` pixels may have, 1 to MOST_PX.

    Where no face was found and none is ruled out, the whole picture counts as a face.
    """
    if search.no_face:
        return min(side, MOST_PX)
    return min(MOST_PX, face_budget.grid_side(side, face.widest_face_px(search, side), FACE_PX))


def review_picture(frame: Image.Image, search: FaceSearch) -> bytes:
    """Return the softened picture of a frame (RGB, upright, whole) in FORMAT, CANVAS pixels square."""
    side = max(frame.size)
    square = Image.new("RGB", (side, side), _GREY)
    square.paste(frame, ((side - frame.width) // 2, (side - frame.height) // 2))
    softened = face_budget.soften(square, grid=detail(search, side), canvas=CANVAS)
    return encode(softened, format=FORMAT, quality=_QUALITY, effort=_EFFORT)
