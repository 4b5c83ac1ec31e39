"""Uploads that were cut off: how much of a picture must be there for it to be shown, and what fills the rest.

A row counts as arrived if no byte that is missing could change a pixel of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from nightlight.imaging.decode_notes import DecodeNote, NoteKind
from nightlight_core.errors import CorruptImage, TruncatedImage

if TYPE_CHECKING:
    from nightlight.imaging.header import Header

# The least share of a picture's rows, in per cent, with which it is shown.
LEAST_ROWS_PERCENT = 90
_STRIP_ROWS = 64


def checked_rows(header: Header, present: int, rows: int, *, cut: bool = True) -> DecodeNote:
    """Return the note of a picture of which ``present`` of ``rows`` rows are there.

    ``cut``: the data end too early; if not, they are damaged. Raises TruncatedImage, or CorruptImage for damaged data,
    where the rows are too few.
    """
    if present * 100 < rows * LEAST_ROWS_PERCENT:
        if not cut:
            raise CorruptImage(f"{header.format}: its data are damaged behind {_percent(present, rows)} of the rows")
        raise TruncatedImage(f"{header.format}: {_percent(present, rows)} of the rows arrived")
    return DecodeNote(NoteKind.ROWS_MISSING, present, rows)


def _percent(present: int, rows: int) -> str:
    return f"{present * 100 // max(1, rows)} %"


class RowFiller:
    """Fills rows that did not arrive, each with the mean colour of the last row before it that did."""

    def __init__(self) -> None:
        """Begin with white: nothing arrived yet."""
        self._mean: Image.Image | None = None

    def fill(self, strip: Image.Image, missing: Sequence[int]) -> None:
        """Fill the rows of a strip that ``missing`` names, in order; strips come from the top."""
        absent = set(missing)
        for row in missing:
            if row and row - 1 not in absent:
                self._mean = _row_mean(strip, row - 1)
            mean = self._mean or Image.new("L", (1, 1), 255).convert(strip.mode)
            strip.paste(mean.resize((strip.width, 1)), (0, row))
        if strip.height - 1 not in absent:
            self._mean = _row_mean(strip, strip.height - 1)


def _row_mean(image: Image.Image, row: int) -> Image.Image:
    """Return the mean colour of a row as a picture of one pixel."""
    return image.crop((0, row, image.width, row + 1)).resize((1, 1), Image.Resampling.BOX)


def fill_rows(image: Image.Image, first: int) -> None:
    """Fill the rows of ``image`` from ``first`` on with the mean colour of the row before it."""
    RowFiller().fill(image, range(first, image.height))


def row_sums(image: Image.Image) -> list[int]:
    """Return a checksum of each row, by which two decodes are compared without keeping both."""
    sums = []
    for top in range(0, image.height, _STRIP_ROWS):
        rows = min(_STRIP_ROWS, image.height - top)
        strip = memoryview(image.crop((0, top, image.width, top + rows)).tobytes())
        width = len(strip) // rows
        sums += [zlib.crc32(strip[row * width : (row + 1) * width]) for row in range(rows)]
    return sums
