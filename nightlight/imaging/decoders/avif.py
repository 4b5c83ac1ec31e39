"""An AVIF, decoded by libavif to planes, which become RGB some rows at a time.

Source: libavif's ``avif/avif.h``, version 1.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from nightlight.imaging.decoders.amended_boxes import amended_boxes
from nightlight.imaging.decoders.item import OpenedItem, coded_size
from nightlight.imaging.decoders.native import address
from nightlight.imaging.decoders.opened import refusing
from nightlight.imaging.decoders.plane_rows import PlaneRows, Planes, check, libavif
from nightlight.imaging.isobmff_boxes import is_cut_off
from nightlight_core.errors import TruncatedImage

if TYPE_CHECKING:
    from contextlib import ExitStack

    from PIL import Image

    from nightlight.imaging.crop import Box

_PRIMARY_ITEM, _TRACKS = 1, 2


class _Decoder(ctypes.Structure):
    """The beginning of ``avifDecoder``."""

    _fields_ = (
        ("codec", ctypes.c_int),
        ("max_threads", ctypes.c_int),
        ("source", ctypes.c_int),
        ("allow_progressive", ctypes.c_int),
        ("allow_incremental", ctypes.c_int),
        ("ignore_exif", ctypes.c_int),
        ("ignore_xmp", ctypes.c_int),
        ("image_size_limit", ctypes.c_uint32),
        ("image_dimension_limit", ctypes.c_uint32),
        ("image_count_limit", ctypes.c_uint32),
        ("strict_flags", ctypes.c_uint32),
        ("image", ctypes.POINTER(Planes)),
    )


class OpenedAvif(OpenedItem):
    """The primary item of an AVIF, or the first frame of a sequence that has none."""

    def _read(self, held: ExitStack, view: memoryview) -> tuple[int, int]:
        library = libavif()
        if library is None:
            raise OSError("no libavif of this version")
        try:
            fields = self._parsed(library, view, held)
        except OSError:
            if is_cut_off(view):
                raise TruncatedImage(f"{self._header.format}: the picture's data were cut off") from None
            amended = amended_boxes(view)
            if amended is None:
                raise
            fields = self._parsed(library, memoryview(amended), held)
        # Items that are not shown may be larger. What the AV1 data itself states may be more than what the boxes say:
        # no more than they say is decoded.
        width, height = coded_size(self._header)
        fields.image_size_limit, fields.image_dimension_limit = width * height, max(width, height)
        self._library, self._planes = library, fields.image
        image = self._planes.contents
        self._profile = ctypes.string_at(image.icc, image.icc_bytes) if image.icc and image.icc_bytes else None
        return image.width, image.height

    def _parsed(self, library: ctypes.CDLL, view: memoryview, held: ExitStack) -> _Decoder:
        """Return the decoder of a file whose boxes are read. Raises OSError, TruncatedImage or MemoryError."""
        start, length = held.enter_context(address(view))
        decoder = library.avifDecoderCreate()
        if not decoder:
            raise MemoryError
        held.callback(library.avifDecoderDestroy, decoder)
        fields = ctypes.cast(decoder, ctypes.POINTER(_Decoder)).contents
        fields.max_threads, fields.strict_flags = 1, 0
        fields.ignore_exif = fields.ignore_xmp = 1
        check(library, library.avifDecoderSetSource(decoder, _TRACKS if self._header.track else _PRIMARY_ITEM))
        check(library, library.avifDecoderSetIOMemory(decoder, start, length))
        check(library, library.avifDecoderParse(decoder))
        self._decoder = decoder
        return fields

    def load(self, box: Box, *, edge: int) -> tuple[Image.Image, Box]:
        """Return the part ``box`` as small as ``edge`` allows (RGB or RGBA), and the whole of it as the box."""
        with refusing(self._header), self._held:
            check(self._library, self._library.avifDecoderNextImage(self._decoder))
            image = self._planes.contents
            self.cicp = self.cicp or (image.primaries, image.transfer, image.matrix)
            return self._fitted(PlaneRows(self._planes), box, edge, alpha=bool(image.alpha))
