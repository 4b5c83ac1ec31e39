"""A picture made smaller while its rows come, strip by strip: the whole of it is never in memory.

The result is that of ``Image.resize`` on the whole picture with the frame's filter and gap, give or take 1 of 255. A
very large picture is first reduced by a whole factor, as there: strips begin where blocks of that factor do. Another is
resized across, strip by strip, and down at the end, which is the order in which Pillow resizes most pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from PIL import Image

from nightlight.imaging.crop import Box, fitted_size
from nightlight.imaging.decoders.shrink import FILTER, GAP

# Half of what the filter looks at beyond a pixel, as Pillow's own margin of a box before it reduces.
_MARGIN = 0.5
# The bytes of a strip's pixels, about: they stay in the processor's cache.
STRIP_BYTES = 1_000_000
# Colours are averaged as far as they are opaque.
_AVERAGED = {"RGBA": "RGBa", "LA": "La"}


class StripResizer:
    """Takes a picture's strips from the top, and makes the part of it that is kept, at the frame's size."""

    def __init__(self, size: tuple[int, int], box: Box, edge: int) -> None:
        """Prepare for a picture of ``size`` (width, height); ``box`` is kept, with ``edge`` pixels on its shorter side.

        ``top`` and ``bottom`` are the first row that is needed, and the one behind the last.
        """
        self._box, self._target = box, fitted_size(box, edge)
        across, down = (box[2] - box[0]) / self._target[0], (box[3] - box[1]) / self._target[1]
        self._factor = (int(across / GAP) or 1, int(down / GAP) or 1)
        margins = (_MARGIN * across, _MARGIN * down)
        self._left, self.top = (max(0, int(box[index] - margins[index])) for index in range(2))
        self._right, self.bottom = (min(size[index], math.ceil(box[2 + index] + margins[index])) for index in range(2))
        self._reduces = max(self._factor) > 1
        self._picture: Image.Image | None = None

    def strips(self, row_bytes: int) -> Iterator[tuple[int, int]]:
        """Yield the first row of each strip and the one behind its last, for rows of so many bytes."""
        step = self._factor[1] if self._reduces else 1
        rows = max(1, STRIP_BYTES // max(1, row_bytes) // step) * step
        for top in range(self.top, self.bottom, rows):
            yield top, min(top + rows, self.bottom)

    def add(self, strip: Image.Image, top: int) -> None:
        """Take a strip, as wide as the picture, that begins with row ``top``."""
        averaged = _AVERAGED.get(strip.mode)
        if averaged is not None:
            strip = strip.convert(averaged)
        if self._reduces:
            strip = strip.reduce(self._factor, (self._left, 0, self._right, strip.height))
        else:
            box = (self._box[0], 0, self._box[2], strip.height)
            strip = strip.resize((self._target[0], strip.height), FILTER, box)
        if self._picture is None:
            rows = -(-(self.bottom - self.top) // self._down)
            self._picture = Image.new(strip.mode, (strip.width, rows), None)
        self._picture.paste(strip, (0, (top - self.top) // self._down))

    @property
    def _down(self) -> int:
        return self._factor[1] if self._reduces else 1

    def finish(self) -> Image.Image:
        """Return the part that is kept, at the frame's size."""
        if self._picture is None:
            raise ValueError("no strip came")
        left, top, right, bottom = self._box
        down = self._down
        box = (0.0, (top - self.top) / down, float(self._picture.width), (bottom - self.top) / down)
        if self._reduces:
            across = self._factor[0]
            box = ((left - self._left) / across, box[1], (right - self._left) / across, box[3])
        picture, self._picture = self._picture.resize(self._target, FILTER, box), None
        return picture.convert({"RGBa": "RGBA", "La": "LA"}.get(picture.mode, picture.mode))
