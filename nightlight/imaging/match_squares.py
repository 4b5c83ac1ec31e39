"""The parts of a picture that are looked up in hash lists: the whole, and every square somebody may have cut from it.

Perceptual hashes do not survive cropping, so each likely part is hashed by itself: the whole, stretched to a square;
the squares at both ends and in the middle of a long picture (by either way of rounding); the square of a crop without a
face; the square around the face, which is what viewers see; and what a screenshot shows between an app's bars.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nightlight.imaging import crop
from nightlight.imaging.bars import inner_boxes
from nightlight.imaging.crop import MAX_ASPECT, Region

if TYPE_CHECKING:
    from PIL import Image

    from nightlight.imaging.header import Header
    from nightlight.imaging.pipeline import FrameDecoder

# The side of the pictures that are hashed, and the shorter side of the frames that they are cut from.
SIDE = 512
# A picture that is longer than a frame may be is joined from at most so many decodes. Of a picture more than
# MOST_DECODES * MAX_ASPECT times as long as wide, a part before the end is left out.
MOST_DECODES = 4

Box = tuple[int, int, int, int]


def square_luma(picture: Image.Image, side: int) -> np.ndarray:
    """Return the luma of ``picture`` (RGB or L) stretched to ``side`` pixels a side, uint8 (side, side)."""
    from PIL.Image import Resampling

    grey = picture if picture.mode == "L" else picture.convert("L")
    # A gap of 1 reduces by whole factors alone where that suffices. From 1024 pixels it takes an eighth of the time of
    # a gap of 2, and on 20 photographs the hashes were within 2 bits of those.
    return np.asarray(grey.resize((side, side), Resampling.BICUBIC, reducing_gap=1.0))


def candidate_squares(width: int, height: int, shown: Box | None = None) -> list[Box]:
    """Return the boxes of a frame that are hashed, the whole frame first; ``shown`` is the square around its face."""
    full, side = (0, 0, width, height), min(width, height)
    spare = max(width, height) - side
    at = (0, spare // 2, -(-spare // 2), spare)
    if width > height:
        boxes = [(left, 0, left + side, side) for left in at]
    else:
        boxes = [(0, top, side, top + side) for top in at]
    boxes = [full, *boxes, crop.kept_box(width, height)]
    if shown is not None:
        boxes.append(shown)
    return list(dict.fromkeys(boxes))


def candidate_lumas(frame: Image.Image, shown: Box | None = None) -> list[np.ndarray]:
    """Return the lumas to hash of a frame, uint8 (SIDE, SIDE) each."""
    grey = frame.convert("L")  # once: it costs as much as a resize
    boxes = candidate_squares(*frame.size, shown)
    for inner in inner_boxes(np.asarray(grey)):
        boxes += inner_squares(inner)
    return [square_luma(grey.crop(box), SIDE) for box in dict.fromkeys(boxes)]


def inner_squares(inner: Box) -> list[Box]:
    """Return what is hashed of the picture in a screenshot: the whole of it, and the square in its middle."""
    left, top, right, bottom = inner
    kept = crop.kept_box(right - left, bottom - top)
    return [inner, (left + kept[0], top + kept[1], left + kept[2], top + kept[3])]


def whole_picture(decoder: FrameDecoder, data: bytes, header: Header) -> Image.Image:
    """Return the whole picture, upright, RGB; its shorter side has SIDE pixels, or as many as the picture has.

    Raises what ``decoder`` raises.
    """
    from PIL import Image

    first = decoder.frame(data, header, edge=SIDE)
    short, long = sorted((header.width, header.height))
    if long <= MAX_ASPECT * short:
        return first
    wide = first.width > first.height  # which way it lies is not in the header
    step = MAX_ASPECT * short
    count = -(-long // step)
    if count <= MOST_DECODES:  # equal parts: each is at least as long as wide
        ends = [(long * index // count, long * (index + 1) // count) for index in range(count)]
    else:
        ends = [(at, at + step) for at in range(0, step * (MOST_DECODES - 1), step)] + [(long - step, long)]
    side = min(first.size)
    pieces = []
    for begin, end in ends:
        region = Region(begin, 0, end - begin, short) if wide else Region(0, begin, short, end - begin)
        piece = decoder.frame(data, header, edge=SIDE, region=region)
        length = max(1, math.ceil((end - begin) * side / short))
        pieces.append(piece.resize((length, side) if wide else (side, length), Image.Resampling.BICUBIC))
    lengths = [piece.width if wide else piece.height for piece in pieces]
    joined = Image.new("RGB", (sum(lengths), side) if wide else (side, sum(lengths)))
    for index, piece in enumerate(pieces):
        at = sum(lengths[:index])
        joined.paste(piece, (at, 0) if wide else (0, at))
    return joined
