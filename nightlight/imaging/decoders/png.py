"""A PNG, made smaller strip by strip while its rows are read. See ``png_layout`` for what of the file is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from nightlight.imaging.decode_memory import is_read_at_once
from nightlight.imaging.decoders.canvas import Canvas
from nightlight.imaging.decoders.opened import OpenedUpload, refusing, view_of
from nightlight.imaging.decoders.partial import RowFiller, checked_rows
from nightlight.imaging.decoders.png_layout import data_parts, read_layout, whole_parts
from nightlight.imaging.decoders.png_pixels import PixelKind
from nightlight.imaging.decoders.png_rows import RowReader, RowShape, read_whole
from nightlight.imaging.decoders.strips import STRIP_BYTES, StripResizer
from nightlight.imaging.header import u32
from nightlight_core.errors import CorruptImage, TruncatedImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nightlight.imaging.crop import Box
    from nightlight.imaging.decode_notes import DecodeNote
    from nightlight.imaging.decoders.opened import Readable
    from nightlight.imaging.decoders.png_layout import PngLayout
    from nightlight.imaging.header import Header


class OpenedPng(OpenedUpload):
    """A PNG whose chunks are known; its pixels are read while they are made smaller."""

    def __init__(self, data: Readable, header: Header) -> None:
        """Find the chunks of ``data``. Raises CorruptImage, or TruncatedImage where it ends before its pixels."""
        self._header, self.cicp = header, header.cicp
        self.size = (header.width, header.height)
        with refusing(header):
            self._view = view_of(data)
            if (u32(self._view, 16), u32(self._view, 20)) != self.size:
                raise CorruptImage(f"{header.format}: the header said otherwise than {self.size}")
            self._layout = read_layout(self._view, self.size)
        if not self._layout.parts:
            kind = CorruptImage if self._layout.ended else TruncatedImage
            raise kind(f"{header.format}: 0 % of the rows arrived")
        self.orientation = self._layout.orientation
        self.notes: list[DecodeNote] = list(self._layout.notes)

    @property
    def icc_profile(self) -> bytes | None:
        """Return the ICC profile of the file; None without one, or where it is not used."""
        return self._layout.profile

    def load(self, box: Box, *, edge: int) -> tuple[Image.Image, Box]:
        """Return the part that is kept at the frame's size, and the box of all of it. Raises as OpenedUpload."""
        frame = self._layout.frame
        resizer = StripResizer(self.size, box, edge)
        with refusing(self._header):
            source = _Frame(self._view, self._header, self._layout)
            if frame is None:
                strip = source.strip
            else:
                strip = Canvas(
                    self.size, (frame.left, frame.top, source.shape.width, source.shape.height), source
                ).strip
            for top, bottom in resizer.strips(4 * self.size[0]):
                resizer.add(strip(top, bottom))
            self._image = resizer.finish()
        self.notes += source.notes
        return self._image, (0.0, 0.0, float(self._image.width), float(self._image.height))


class _Frame:
    """The pixels of the frame that is shown, strip by strip from the top; rows that did not arrive are filled."""

    def __init__(self, view: memoryview, header: Header, layout: PngLayout) -> None:
        """Read no pixels yet, unless the frame is interlaced. Raises TruncatedImage or CorruptImage."""
        self._header, self._kind = header, PixelKind.from_layout(layout)
        size = (header.width, header.height) if layout.frame is None else (layout.frame.width, layout.frame.height)
        self.shape = RowShape(*size, self._kind.bits)
        self.notes: list[DecodeNote] = []
        self._filler = RowFiller()
        self._missing: Sequence[int] = ()
        self._next, self._mode = 0, "RGB"
        parts = data_parts(view, layout.parts)
        keyed = bool(self._kind.key)
        at_once = layout.interlaced or is_read_at_once(header, keyed=keyed)
        self._reader = None if at_once else RowReader(parts, self.shape)
        self._whole: list[Image.Image] = []
        if at_once:
            data = list(whole_parts(view, layout.parts))
            self._whole, missing, damaged = read_whole(data, self.shape, interlaced=layout.interlaced, lower=keyed)
            self._lack(missing, damaged=damaged)

    def strip(self, top: int, bottom: int) -> Image.Image:
        """Return rows of pixels in a mode that can be averaged. Raises TruncatedImage or CorruptImage."""
        if self._reader is None:
            samples = [image.crop((0, top, image.width, bottom)) for image in self._whole]
        else:
            while self._next < top and not self._missing:
                self._read(self._reader, min(top - self._next, max(1, STRIP_BYTES // self.shape.row_bytes)))
            samples = self._read(self._reader, bottom - top) if not self._missing else []
        pixels = self._kind.pixels(samples, self.shape.width) if samples else Image.new(self._mode, (1, 1))
        self._mode = pixels.mode
        if not self._missing:
            return pixels
        strip = Image.new(pixels.mode, (self.shape.width, bottom - top))
        strip.paste(pixels)
        self._filler.fill(strip, [row - top for row in self._missing if top <= row < bottom])
        return strip

    def _read(self, reader: RowReader, rows: int) -> list[Image.Image]:
        samples = reader.read(rows)
        self._next += samples[0].height if samples else 0
        if not samples or samples[0].height < rows:
            self._lack(range(self._next, self.shape.height), damaged=reader.damaged)
        return samples

    def _lack(self, missing: Sequence[int], *, damaged: bool) -> None:
        if missing:
            self._missing = missing
            rows = self.shape.height
            self.notes.append(checked_rows(self._header, rows - len(missing), rows, cut=not damaged))
