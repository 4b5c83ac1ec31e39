"""A limit on detail: how many pixels of it may lie across a face, however large the picture is shown.

A picture whose widest face takes a share ``s`` of its side and may have ``face_px`` pixels of detail is
brought down to a grid of ``face_px / s`` pixels a side; what is shown is made from that grid alone, smoothly
enlarged. Nothing finer can be in it, whatever the codec keeps, and whoever enlarges it again finds no more.
"""

from __future__ import annotations

from PIL import Image, ImageFilter

# The grid is made with the filter that loses least of what the grid can hold, for the look of it; the limit
# is the grid, not the filter.
_DOWN = Image.Resampling.LANCZOS
_UP = Image.Resampling.BICUBIC
# Blur, in cells of the grid, that hides the grid's own pattern: frosted glass, not tiles.
FROST = 0.45


def grid_side(side: int, face_width: float, face_px: int) -> int:
    """Return the side of the grid in pixels for a square of ``side`` pixels whose face is ``face_width`` wide."""
    return max(1, min(side, int(side * face_px / face_width)))


def soften(square: Image.Image, *, grid: int, canvas: int) -> Image.Image:
    """Return ``square`` (RGB) with ``grid`` pixels of detail a side, shown at ``canvas`` pixels a side.

    Where the grid is no smaller than the canvas, it is an ordinary resize.
    """
    if grid >= canvas:
        return square.resize((canvas, canvas), _DOWN, reducing_gap=1.5)
    small = square.resize((grid, grid), _DOWN, reducing_gap=1.5)
    return small.filter(ImageFilter.GaussianBlur(FROST)).resize((canvas, canvas), _UP)
