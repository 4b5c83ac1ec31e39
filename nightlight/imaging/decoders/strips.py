"""A picture made smaller while its rows come, strip by strip: the whole of it is never in memory.

The result is that of ``Image.resize`` on the whole picture with the frame's filter and gap, give or take 1 of 255. A
very large picture is first reduced by a whole factor, as there: strips begin where blocks of that factor do. Another is
resized across. Rows of the result are made as soon as all the rows that their filter looks at have come.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from PIL import Image

from nightlight.imaging.crop import Box, fitted_size

# Measured against one Lanczos resize of a whole 12-megapixel decode (PSNR in dB, CPU ms, one core), 2000 x
# 1500 to 1024: Lanczos 51.8 dB in 26.8 ms, Hamming 48.8 dB in 13.5 ms. The encoder's own loss is ten times
# either, so the frame is made with Hamming.
# decode_memory.reduced_bytes counts with this gap.
FILTER, GAP = Image.Resampling.HAMMING, 2.0
# Half of what the filter looks at beyond a pixel, as Pillow's own margin of a box before it reduces.
_MARGIN = 0.5
# The bytes of a strip's pixels, about: they stay in the processor's cache.
STRIP_BYTES = 1_000_000
# Rows of the result that are worth a resize.
_LEAST_ROWS = 16
# Colours are averaged as far as they are opaque.
_AVERAGED = {"RGBA": "RGBa", "LA": "La"}
_PLAIN = {averaged: mode for mode, averaged in _AVERAGED.items()}


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
        self._down = self._factor[1] if self._reduces else 1
        # In rows that are reduced as far as they will be: where the box begins, and how many make one of the result.
        self._begin, self._scale = (box[1] - self.top) / self._down, down / self._down
        self._waiting: Image.Image | None = None  # rows that have come, from ``_first`` on
        self._first = self._rows_done = 0
        self._picture: Image.Image | None = None

    def strips(self, row_bytes: int) -> Iterator[tuple[int, int]]:
        """Yield the first row of each strip and the one behind its last, for rows of so many bytes."""
        rows = max(1, STRIP_BYTES // max(1, row_bytes) // self._down) * self._down
        for top in range(self.top, self.bottom, rows):
            yield top, min(top + rows, self.bottom)

    def add(self, strip: Image.Image) -> None:
        """Take the next strip, as wide as the picture."""
        averaged = _AVERAGED.get(strip.mode)
        if averaged is not None:
            strip = strip.convert(averaged)
        if self._reduces:
            strip = strip.reduce(self._factor, (self._left, 0, self._right, strip.height))
        else:
            box = (self._box[0], 0, self._box[2], strip.height)
            strip = strip.resize((self._target[0], strip.height), FILTER, box)
        self._waiting = strip if self._waiting is None else _joined(self._waiting, strip)
        came = self._first + self._waiting.height
        ready = min(self._target[1], math.floor((came - self._begin - self._support - 0.5) / self._scale + 0.5))
        if ready >= self._rows_done + _LEAST_ROWS:
            self._make(ready)

    @property
    def _support(self) -> float:
        """The rows that Hamming's filter looks at on either side of the middle of a row of the result."""
        return max(1.0, self._scale)

    def _make(self, ready: int) -> None:
        """Make the rows of the result before ``ready``, and drop what no later row needs."""
        if self._waiting is None:
            raise ValueError("no strip came")
        if self._picture is None:
            self._picture = Image.new(self._waiting.mode, self._target, None)
        left, right = 0.0, float(self._waiting.width)
        if self._reduces:
            left, right = ((self._box[side] - self._left) / self._factor[0] for side in (0, 2))
        begin = self._begin - self._first
        box = (left, begin + self._rows_done * self._scale, right, begin + ready * self._scale)
        bottom = min(box[3], float(self._waiting.height))
        piece = self._waiting.resize((self._target[0], ready - self._rows_done), FILTER, (*box[:3], bottom))
        self._picture.paste(piece, (0, self._rows_done))
        self._rows_done = ready
        kept = max(0, math.floor(begin + (ready + 0.5) * self._scale - self._support - 0.5))
        self._waiting = self._waiting.crop((0, min(kept, self._waiting.height), *self._waiting.size))
        self._first += kept

    def finish(self) -> Image.Image:
        """Return the part that is kept, at the frame's size."""
        if self._rows_done < self._target[1] or self._picture is None:
            self._make(self._target[1])
        picture, self._picture, self._waiting = self._picture, None, None
        if picture is None:  # _make has raised already
            raise ValueError("no strip came")
        return picture.convert(_PLAIN.get(picture.mode, picture.mode))


def _joined(above: Image.Image, below: Image.Image) -> Image.Image:
    whole = Image.new(above.mode, (above.width, above.height + below.height), None)
    whole.paste(above)
    whole.paste(below, (0, above.height))
    return whole


def plain(image: Image.Image, *, premultiplied: bool) -> Image.Image:
    """Return four bytes a pixel (mode RGBX) as what they are: RGB, or RGBA whose colours were multiplied by alpha."""
    if premultiplied:
        return Image.frombytes("RGBa", image.size, image.tobytes()).convert("RGBA")
    return image.convert("RGB")
