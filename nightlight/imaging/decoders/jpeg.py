"""A JPEG, decoded at the smallest scale of its inverse transform that suffices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.imaging.decode_memory import dct_scale
from nightlight.imaging.decoders.opened import OpenedUpload

if TYPE_CHECKING:
    from nightlight.imaging.crop import Box


class OpenedJpeg(OpenedUpload):
    """A JPEG whose markers before the first scan are read, and nothing else yet."""

    def _open(self) -> None:
        """Read no pixels yet."""

    def _load(self, box: Box, edge: int) -> None:
        header = self._header
        scale = dct_scale(header, edge=edge, side=min(box[2] - box[0], box[3] - box[1]))
        self._image.draft(None, (header.width // scale, header.height // scale))
        self._image.load()
