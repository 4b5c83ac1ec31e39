"""How the tiles of the visible watermark lie on a picture: the patterns that a tier may name.

::

    pattern   tiles                                           the smallest crop that always holds a whole tile
    tiles     six in a row, side by side, rows staggered      a third of the side
    fine      twelve in a row, side by side, rows staggered   a sixth
    sparse    small and far apart, none in the middle         a third

All are the same for every picture of a size: where a face is found makes no difference to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import ceil, sqrt

from PIL import Image, ImageStat

# Any third of a picture holds a whole tile.
_CROP = 1 / 3
# A shadow lies so far off its light: a share of a tile, or of the shorter side of what a sparse tile shows.
_SHIFT, _SPARSE_SHIFT = 0.04, 0.07
# What a sparse tile covers, as a share of the picture: a crescent of 22 by 24 pixels on 320.
_SPARSE_COVER = 0.002
# The longest side of a sparse tile, as a share of the picture's. A text is wide and thin, and would be wider.
_SPARSE_SIDE = 0.15


@dataclass(frozen=True, slots=True)
class TileLayout:
    """Where tiles lie: ``tile`` (L, how much of each pixel it covers) at the pixels ``places`` (left, top).

    Places may lie outside the picture in part. ``shift``: how far the shadow lies to the right and below, in pixels.
    """

    tile: Image.Image
    places: tuple[tuple[int, int], ...]
    shift: int


def _staggered(tile: Image.Image, width: int, height: int, *, per_row: int) -> TileLayout:
    """Return rows of ``per_row`` tiles along the longer side; each second row begins half a tile later."""
    cell = max(width, height) / per_row
    places = tuple(
        (round((column + (row % 2) / 2) * cell), round(row * cell))
        for row, column in product(range(-1, per_row + 1), repeat=2)
    )
    side = max(1, round(cell))
    return TileLayout(_resized(tile, side, side), places, max(1, round(cell * _SHIFT)))


def _sparse(tile: Image.Image, width: int, height: int) -> TileLayout:
    """Return what the tile shows, small, as far apart as a crop to a third allows.

    The middle of the picture, where most faces are, lies between four of them.
    """
    shape = tile.crop(tile.getbbox())
    covered = ImageStat.Stat(shape).mean[0] / 255
    side = max(width, height)
    scale = side * sqrt(_SPARSE_COVER / (covered * shape.width * shape.height))
    scale = min(scale, side * _SPARSE_SIDE / max(shape.size))
    size = max(1, round(shape.width * scale)), max(1, round(shape.height * scale))
    columns, rows = (_centred(length, extent, side) for length, extent in zip(size, (width, height), strict=True))
    return TileLayout(_resized(shape, *size), tuple(product(columns, rows)), max(1, round(min(size) * _SPARSE_SHIFT)))


def _centred(length: int, extent: int, side: int) -> list[int]:
    """Return where tiles of ``length`` pixels begin along ``extent`` pixels, in pairs on both sides of the middle.

    Two neighbours are a pixel nearer than a third of ``side`` allows, since both are rounded.
    """
    step = max(length, int(side * _CROP) - length - 1)
    count = ceil(extent / step / 2) + 1
    return [round((extent - length) / 2 + (number + 0.5) * step) for number in range(-count, count)]


def _resized(tile: Image.Image, width: int, height: int) -> Image.Image:
    return tile.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)


# The layout of each pattern: of a tile (L) on a picture of so many pixels.
LAYOUTS: Mapping[str, Callable[[Image.Image, int, int], TileLayout]] = {
    "tiles": partial(_staggered, per_row=6),
    "fine": partial(_staggered, per_row=12),
    "sparse": _sparse,
}
