"""What the openers of AVIF and HEIC share: size, aperture and orientation, which the header reader has read."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from nightlight.imaging.decoders.opened import OpenedUpload, refusing, view_of
from nightlight.imaging.decoders.strips import StripResizer, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from nightlight.imaging.crop import Box
    from nightlight.imaging.decoders.opened import Readable
    from nightlight.imaging.header import Header

    # The first row and the row behind the last, to those rows of the picture (RGBX).
    Rows = Callable[[int, int], Image.Image]


def coded_size(header: Header) -> tuple[int, int]:
    """Return the width and height of the coded picture, before anything is cut off."""
    return header.aperture[2:4] if header.aperture else (header.width, header.height)


class OpenedItem(OpenedUpload):
    """The primary item of an AVIF or HEIC."""

    _profile: bytes | None = None

    def __init__(self, data: Readable, header: Header) -> None:
        """Read the boxes; no pixels yet. Raises CorruptImage or MemoryError."""
        self._header, self.cicp, self.orientation = header, header.cicp, header.orientation
        self.size = (header.width, header.height)
        self._coded, self._corner = coded_size(header), header.aperture[:2] if header.aperture else (0, 0)
        with refusing(header), ExitStack() as held:
            seen = self._read(held, view_of(data))
            if seen != self._coded:
                raise ValueError(f"the decoder sees {seen[0]} x {seen[1]} pixels, the header {self._coded}")
            self._held = held.pop_all()

    def _read(self, held: ExitStack, view: memoryview) -> tuple[int, int]:
        """Read the boxes of a file; return the width and height that the decoder sees. Raises OSError.

        ``held`` gets what must be freed, whatever happens.
        """
        raise NotImplementedError

    @property
    def icc_profile(self) -> bytes | None:
        """Return the ICC profile of the file; None without one."""
        return self._profile

    def _fitted(self, rows: Rows, box: Box, edge: int, *, alpha: bool) -> tuple[Image.Image, Box]:
        """Return ``box`` as small as ``edge`` allows (RGB or RGBA), and the whole of it as the box."""
        left, top = self._corner
        within = (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
        resizer = StripResizer(self._coded, within, edge)
        for begin, end in resizer.strips(self._coded[0]):
            resizer.add(rows(begin, end))
        fitted = plain(resizer.finish(), premultiplied=alpha)
        return fitted, (0, 0, *fitted.size)
