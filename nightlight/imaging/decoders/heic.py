"""A HEIC, decoded by libheif to planes, which become RGB some rows at a time.

Phones write a grid of tiles, and libheif decodes them one by one: no more than two rows of tiles lie in memory. A
picture that is not made of tiles lies there whole, as planes. pillow-heif, which brings libheif, would make RGB of it
in another buffer, and copy that into an image of Pillow's.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from PIL import Image

from nightlight.imaging.decoders.heif_functions import Nclx, Tiling, check, libheif
from nightlight.imaging.decoders.item import OpenedItem, coded_size
from nightlight.imaging.decoders.native import address
from nightlight.imaging.decoders.opened import refusing
from nightlight.imaging.decoders.plane_rows import YUV400, YUV420, YUV422, YUV444, PlaneRows, Planes

if TYPE_CHECKING:
    from contextlib import ExitStack

    from nightlight.imaging.crop import Box

_UNDEFINED, _RGB = 99, 1
_Y, _CB, _CR, _R, _G, _B, _ALPHA = range(7)
_FORMATS = {0: YUV400, 1: YUV420, 2: YUV422, 3: YUV444}
_IDENTITY, _BT601, _UNSPECIFIED = 0, 6, 2
_MOST_PROFILE_BYTES = 4_000_000
# A decoder may fill whole blocks beyond the picture.
_BLOCK = 64
_BYTE_BITS = 8


class OpenedHeic(OpenedItem):
    """The primary item of a HEIC."""

    def _read(self, held: ExitStack, view: memoryview) -> tuple[int, int]:
        library = libheif()
        if library is None:
            raise OSError("no libheif with these functions")
        start, length = held.enter_context(address(view))
        context = library.heif_context_alloc()
        if not context:
            raise MemoryError
        held.callback(library.heif_context_free, context)
        library.heif_context_set_max_decoding_threads(context, 0)
        width, height = coded_size(self._header)
        limits = library.heif_context_get_security_limits(context).contents
        limits.pixels = max(width * height, self._header.coded) + _BLOCK * (width + height + _BLOCK)
        check(library.heif_context_read_from_memory_without_copy(context, start, length, None))
        handle = ctypes.c_void_p()
        check(library.heif_context_get_primary_image_handle(context, ctypes.byref(handle)))
        held.callback(library.heif_image_handle_release, handle)
        options = library.heif_decoding_options_alloc()
        if not options:
            raise MemoryError
        held.callback(library.heif_decoding_options_free, options)
        options.contents.ignore_transformations = 1  # the frame is turned when it is small
        self._library, self._handle, self._options = library, handle, options
        self._profile = self._raw_profile()
        return width, height

    def _raw_profile(self) -> bytes | None:
        size = self._library.heif_image_handle_get_raw_color_profile_size(self._handle)
        if not 0 < size <= _MOST_PROFILE_BYTES:
            return None
        buffer = ctypes.create_string_buffer(size)
        check(self._library.heif_image_handle_get_raw_color_profile(self._handle, buffer))
        return buffer.raw

    def load(self, box: Box, *, edge: int) -> tuple[Image.Image, Box]:
        """Return the part ``box`` as small as ``edge`` allows (RGB or RGBA), and the whole of it as the box."""
        library = self._library
        with refusing(self._header), self._held:
            tiling = Tiling(version=1)
            check(library.heif_image_handle_get_image_tiling(self._handle, 0, ctypes.byref(tiling)))
            if self._header.tile and tiling.columns * tiling.rows > 1:
                return self._fitted(_TileRows(self, tiling, self._coded), box, edge, alpha=False)
            image = ctypes.c_void_p()
            check(library.heif_decode_image(self._handle, ctypes.byref(image), _UNDEFINED, _UNDEFINED, self._options))
            self._held.callback(library.heif_image_release, image)
            planes = self.planes(image)
            rows = PlaneRows(ctypes.pointer(planes))
            if rows.size != self._coded:
                raise ValueError(f"the decoder sees {rows.size}, the header {self._coded}")
            return self._fitted(rows, box, edge, alpha=bool(planes.alpha))

    def tile(self, column: int, row: int) -> Image.Image:
        """Return one tile (RGBX), whole."""
        image = ctypes.c_void_p()
        decode = self._library.heif_image_handle_decode_image_tile
        check(decode(self._handle, ctypes.byref(image), _UNDEFINED, _UNDEFINED, self._options, column, row))
        try:
            planes = self.planes(image)
            return PlaneRows(ctypes.pointer(planes))(0, planes.height)
        finally:
            self._library.heif_image_release(image)

    def planes(self, image: ctypes.c_void_p) -> Planes:
        """Return the planes of a decoded image, for libavif to convert. Raises OSError for what it cannot take."""
        library = self._library
        rgb = library.heif_image_get_colorspace(image) == _RGB
        channels = (_G, _B, _R) if rgb else (_Y, _CB, _CR)
        chroma = _FORMATS.get(library.heif_image_get_chroma_format(image))
        if chroma is None or not library.heif_image_has_channel(image, channels[0]):
            raise OSError("neither planes nor grey")
        depth = library.heif_image_get_bits_per_pixel_range(image, channels[0])
        planes = Planes(
            width=library.heif_image_get_width(image, channels[0]),
            height=library.heif_image_get_height(image, channels[0]),
            depth=depth,
            format=chroma,
        )
        for index, channel in enumerate(channels[:1] if chroma == YUV400 else channels):
            size = _plane_size(planes, chroma if index else YUV444)
            planes.planes[index], planes.row_bytes[index] = self._plane(image, channel, depth, size)
        if library.heif_image_has_channel(image, _ALPHA):
            planes.alpha, planes.alpha_row_bytes = self._plane(image, _ALPHA, depth, _plane_size(planes, YUV444))
            planes.premultiplied = library.heif_image_is_premultiplied_alpha(image)
        planes.matrix, planes.full_range = (_IDENTITY, 1) if rgb else self._matrix(image)
        return planes

    def _plane(self, image: ctypes.c_void_p, channel: int, depth: int, size: tuple[int, int]) -> tuple[int, int]:
        """Return where a plane begins and the bytes of its rows. Raises OSError for another depth or size.

        libavif reads as many samples of each plane as the first one's size calls for, whatever is there.
        """
        library, stride = self._library, ctypes.c_int()
        start = library.heif_image_get_plane_readonly(image, channel, ctypes.byref(stride))
        if not start or library.heif_image_get_bits_per_pixel_range(image, channel) != depth:
            raise OSError(f"no channel {channel} of {depth} bits")
        held = library.heif_image_get_width(image, channel), library.heif_image_get_height(image, channel)
        if held[0] < size[0] or held[1] < size[1] or stride.value < size[0] * (1 + (depth > _BYTE_BITS)):
            raise OSError(f"channel {channel} has {held} samples and not {size}")
        return start, stride.value

    def _matrix(self, image: ctypes.c_void_p) -> tuple[int, int]:
        """Return the matrix coefficients and whether the range is full: what the boxes say, else what HEVC says."""
        library = self._library
        sources = (
            (library.heif_image_handle_get_nclx_color_profile, self._handle),
            (library.heif_image_get_nclx_color_profile, image),
        )
        for function, source in sources:
            nclx = ctypes.POINTER(Nclx)()
            if not function(source, ctypes.byref(nclx)).code and bool(nclx):  # a null pointer is false
                matrix, full_range = nclx.contents.matrix, nclx.contents.full_range
                self.cicp = self.cicp or (nclx.contents.primaries, nclx.contents.transfer, matrix)
                library.heif_nclx_color_profile_free(nclx)
                return (_BT601 if matrix == _UNSPECIFIED else matrix), full_range
        return _BT601, 1


def _plane_size(planes: Planes, chroma: int) -> tuple[int, int]:
    """Return the width and height of a plane of a picture whose first has those of ``planes``."""
    across, down = 1 + (chroma in (YUV420, YUV422)), 1 + (chroma == YUV420)
    return -(-planes.width // across), -(-planes.height // down)


class _TileRows:
    """Rows of a picture that is made of tiles; the tiles of the last two rows of tiles are kept."""

    def __init__(self, opened: OpenedHeic, tiling: Tiling, size: tuple[int, int]) -> None:
        self._opened, self._size = opened, size
        self._columns, self._height = tiling.columns, tiling.tile_height
        self._kept: dict[int, Image.Image] = {}

    def __call__(self, begin: int, end: int) -> Image.Image:
        """Return the rows from ``begin`` to before ``end``."""
        strip = Image.new("RGBX", (self._size[0], end - begin))
        first, last = begin // self._height, (end - 1) // self._height
        for row in range(first, last + 1):
            for passed in [kept for kept in self._kept if kept < row - 1]:
                del self._kept[passed]
            if row not in self._kept:
                self._kept[row] = self._row(row)
            strip.paste(self._kept[row], (0, row * self._height - begin))
        return strip

    def _row(self, row: int) -> Image.Image:
        height = min(self._height, self._size[1] - row * self._height)
        whole, left = Image.new("RGBX", (self._size[0], height)), 0
        for column in range(self._columns):
            tile = self._opened.tile(column, row)
            whole.paste(tile, (left, 0))
            left += tile.width
        return whole
