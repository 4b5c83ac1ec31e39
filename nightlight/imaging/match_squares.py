"""What hash lists are searched for of a picture: every square that somebody may have cut from it, and the whole.

Perceptual hashes do not survive cropping, so each part that is likely is hashed by itself: the whole, stretched to a
square; of what is longer than wide the squares at both ends and in the middle (by either way of rounding it), and where
a crop without a face lies; and the square around the face, which is what is shown.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nightlight.imaging import crop
from nightlight.imaging.crop import LONGEST, Region

if TYPE_CHECKING:
    from PIL import Image

    from nightlight.imaging.header_readers import Header
    from nightlight.imaging.pipeline import Frames

# The side that is hashed, and the shorter side of the frames that it is made from.
SIDE = 512
# A picture that is longer than its frame may be is put together from so many decodes at most; of what is more than
# MOST_DECODES * LONGEST times as long as wide, a part before the end is left out.
MOST_DECODES = 4

Box = tuple[int, int, int, int]


def canonical(picture: Image.Image, side: int) -> np.ndarray:
    """Return the luma of ``picture`` (RGB or L) stretched to ``side`` pixels a side, uint8 (side, side)."""
    from PIL.Image import Resampling

    grey = picture if picture.mode == "L" else picture.convert("L")
    return np.asarray(grey.resize((side, side), Resampling.BICUBIC, reducing_gap=2.0))


def squares(width: int, height: int, shown: Box | None = None) -> list[Box]:
    """Return the boxes of a frame that are hashed, the whole first; ``shown`` is the square around its face."""
    whole, side = (0, 0, width, height), min(width, height)
    spare = max(width, height) - side
    at = (0, spare // 2, -(-spare // 2), spare)
    if width > height:
        boxes = [(left, 0, left + side, side) for left in at]
    else:
        boxes = [(0, top, side, top + side) for top in at]
    boxes = [whole, *boxes, crop.square(width, height)]
    if shown is not None:
        boxes.append(shown)
    return list(dict.fromkeys(boxes))


def views(frame: Image.Image, shown: Box | None = None) -> list[np.ndarray]:
    """Return the lumas, uint8 (SIDE, SIDE), to hash of a frame."""
    grey = frame.convert("L")  # once: it costs as much as a resize
    return [canonical(grey.crop(box), SIDE) for box in squares(*frame.size, shown)]


def whole(frames: Frames, data: bytes, header: Header) -> Image.Image:
    """Return the whole picture, upright, RGB, its shorter side SIDE pixels or as many as there are.

    Raises what ``frames`` raises.
    """
    from PIL import Image

    first = frames.frame(data, header, edge=SIDE)
    short, long = sorted((header.width, header.height))
    if long <= LONGEST * short:
        return first
    wide = first.width > first.height  # which way it lies is not in the header
    step = LONGEST * short
    count = -(-long // step)
    if count <= MOST_DECODES:  # equal parts: each is at least as long as wide
        ends = [(long * index // count, long * (index + 1) // count) for index in range(count)]
    else:
        ends = [(at, at + step) for at in range(0, step * (MOST_DECODES - 1), step)] + [(long - step, long)]
    side = min(first.size)
    pieces = []
    for begin, end in ends:
        region = Region(begin, 0, end - begin, short) if wide else Region(0, begin, short, end - begin)
        piece = frames.frame(data, header, edge=SIDE, region=region)
        length = max(1, math.ceil((end - begin) * side / short))
        pieces.append(piece.resize((length, side) if wide else (side, length), Image.Resampling.BICUBIC))
    lengths = [piece.width if wide else piece.height for piece in pieces]
    joined = Image.new("RGB", (sum(lengths), side) if wide else (side, sum(lengths)))
    for index, piece in enumerate(pieces):
        at = sum(lengths[:index])
        joined.paste(piece, (at, 0) if wide else (0, at))
    return joined
