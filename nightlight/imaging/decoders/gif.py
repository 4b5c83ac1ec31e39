"""The first frame of a GIF, on its screen: what it does not cover is transparent.

Pillow's decoder reads the frame's data, and nothing else of the file. Data that end too early, or are damaged, are
decoded on two backgrounds: pixels that did not arrive differ. A row that did not arrive whole is filled with the mean
colour of the last row above it that did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from nightlight.imaging.crop import UPRIGHT
from nightlight.imaging.decoders.canvas import Canvas
from nightlight.imaging.decoders.opened import OpenedUpload, refusing, view_of
from nightlight.imaging.decoders.partial import RowFiller, checked_rows, row_sums
from nightlight.imaging.decoders.strips import StripResizer
from nightlight.imaging.gif_header import GifFrame, first_frame
from nightlight.imaging.header_limits import UNBOUNDED, HeaderTally
from nightlight_core.errors import CorruptImage

if TYPE_CHECKING:
    from nightlight.imaging.crop import Box
    from nightlight.imaging.decode_notes import DecodeNote
    from nightlight.imaging.decoders.opened import Readable
    from nightlight.imaging.header import Header

_ENTRIES = 256
# Codes of more than 8 bits a pixel to begin with: GIF has 256 colours at the most.
_MOST_CODE_BITS = 8


class OpenedGif(OpenedUpload):
    """A GIF whose first frame is known; its pixels are decoded once they are asked for."""

    def __init__(self, data: Readable, header: Header) -> None:
        """Find the first frame of ``data``. Raises CorruptImage or TruncatedImage."""
        self._header, self.cicp = header, header.cicp
        self.notes: list[DecodeNote] = []
        self.orientation = UPRIGHT
        with refusing(header):
            self._view = view_of(data)
            self._frame = first_frame(self._view, HeaderTally(UNBOUNDED), header.format)
        self.size = self._frame.screen
        if self.size != (header.width, header.height):
            raise CorruptImage(f"{header.format}: the header said otherwise than {self.size}")

    @property
    def icc_profile(self) -> bytes | None:
        """Return None: a profile in an extension of a GIF is not used, as in browsers."""
        return None

    def load(self, box: Box, *, edge: int) -> tuple[Image.Image, Box]:
        """Return the part that is kept at the frame's size, and the box of all of it. Raises as OpenedUpload."""
        resizer = StripResizer(self.size, box, edge)
        with refusing(self._header):
            rows = _Rows(self._view, self._frame, self._header)
            canvas = Canvas(self.size, self._frame.place, rows)
            for top, bottom in resizer.strips(4 * self.size[0]):
                resizer.add(canvas.strip(top, bottom))
            self._image = resizer.finish()
        self.notes += rows.notes
        return self._image, (0.0, 0.0, float(self._image.width), float(self._image.height))


class _Rows:
    """The pixels of the frame, strip by strip."""

    def __init__(self, view: memoryview, frame: GifFrame, header: Header) -> None:
        """Decode the frame. Raises TruncatedImage or CorruptImage where too few rows are there."""
        self.notes: list[DecodeNote] = []
        self._filler = RowFiller()
        self._missing: list[int] = []
        self._palette = _rgba(frame)
        data = view[frame.data_at + 1 :]
        bits = view[frame.data_at]
        if not 1 <= bits <= _MOST_CODE_BITS:
            raise ValueError(f"codes of {bits} bits")
        options = (bits, int(frame.interlaced), -1)
        self._indices, whole = _decoded(data, frame, options, 0)
        if not whole:
            end, cut = _data_end(data)
            if cut and end < len(data):  # the block that was cut is shorter than it says
                data = memoryview(b"".join((data[:end], bytes((len(data) - end - 1,)), data[end + 1 :])))
            del self._indices  # one picture in memory at a time
            other = row_sums(_decoded(data, frame, options, _ENTRIES - 1)[0])
            self._indices, _ = _decoded(data, frame, options, 0)
            sums = row_sums(self._indices)
            self._missing = [row for row, total in enumerate(sums) if total != other[row]]
            if self._missing:
                rows = frame.place[3]
                self.notes.append(checked_rows(header, rows - len(self._missing), rows, cut=cut))

    def strip(self, top: int, bottom: int) -> Image.Image:
        """Return rows of pixels, RGBA."""
        strip = self._indices.crop((0, top, self._indices.width, bottom))
        strip.putpalette(self._palette, "RGBA")
        pixels = strip.convert("RGBA")
        self._filler.fill(pixels, [row - top for row in self._missing if top <= row < bottom])
        return pixels


def _decoded(
    data: memoryview, frame: GifFrame, options: tuple[int, int, int], background: int
) -> tuple[Image.Image, bool]:
    """Return the indices of a frame (L) over a background, and whether all of them came."""
    image = Image.new("L", frame.place[2:], background)
    try:
        image.frombytes(data, "gif", options)
    except ValueError:
        return image, False
    return image, True


def _data_end(data: memoryview) -> tuple[int, bool]:
    """Return where the last block of data begins, and whether the file ends within the blocks."""
    at, size = 0, len(data)
    while at < size and data[at]:
        if at + 1 + data[at] > size:
            return at, True
        at += 1 + data[at]
    return at, at >= size


def _rgba(frame: GifFrame) -> bytes:
    """Return 256 entries of RGBA; colours that the file lacks are black, as browsers have them."""
    colours = frame.palette.ljust(3 * _ENTRIES, b"\0")
    alpha = [0 if entry == frame.transparent else 255 for entry in range(_ENTRIES)]
    return b"".join(colours[3 * entry : 3 * entry + 3] + bytes((alpha[entry],)) for entry in range(_ENTRIES))
