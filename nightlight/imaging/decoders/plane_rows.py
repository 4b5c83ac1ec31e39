"""Planes of luma, chroma and alpha to RGB, some rows at a time: what AVIF and HEIC are decoded to.

A decoder leaves 1.5 bytes a pixel of planes (4:2:0 of 8 bits). Pillow and pillow-heif make RGB of all of them at once,
and copy that; here libavif, which Pillow is linked to, converts the rows that the next strip of the frame needs. It
knows every matrix, range, depth and subsampling that browsers know, and rounds 10 and 12 bits to 8.

Source: libavif's ``avif/avif.h``. Version 1 promises that fields are only ever added behind these.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from PIL import Image

from nightlight.imaging.decoders.native import address, linked_library
from nightlight_core.errors import TruncatedImage

_VERSION = b"1."
_RGBA_FORMAT = 1
_OK, _TRUNCATED, _OUT_OF_MEMORY = 0, 20, 26
# Chroma may be sampled every second row.
_CHROMA_ROWS = 2
YUV444, YUV422, YUV420, YUV400 = 1, 2, 3, 4


class Planes(ctypes.Structure):
    """The beginning of ``avifImage``."""

    _fields_ = (
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("depth", ctypes.c_uint32),
        ("format", ctypes.c_int),
        ("full_range", ctypes.c_int),
        ("chroma_position", ctypes.c_int),
        ("planes", ctypes.c_void_p * 3),
        ("row_bytes", ctypes.c_uint32 * 3),
        ("owns_planes", ctypes.c_int),
        ("alpha", ctypes.c_void_p),
        ("alpha_row_bytes", ctypes.c_uint32),
        ("owns_alpha", ctypes.c_int),
        ("premultiplied", ctypes.c_int),
        ("icc", ctypes.c_void_p),
        ("icc_bytes", ctypes.c_size_t),
        ("primaries", ctypes.c_uint16),
        ("transfer", ctypes.c_uint16),
        ("matrix", ctypes.c_uint16),
    )


class _Rgb(ctypes.Structure):
    """``avifRGBImage``, and room for what newer versions add."""

    _fields_ = (
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("depth", ctypes.c_uint32),
        ("format", ctypes.c_int),
        ("chroma_upsampling", ctypes.c_int),
        ("chroma_downsampling", ctypes.c_int),
        ("avoid_libyuv", ctypes.c_int),
        ("ignore_alpha", ctypes.c_int),
        ("premultiplied", ctypes.c_int),
        ("is_float", ctypes.c_int),
        ("max_threads", ctypes.c_int),
        ("pixels", ctypes.c_void_p),
        ("row_bytes", ctypes.c_uint32),
        ("room", ctypes.c_uint8 * 256),
    )


class _Rect(ctypes.Structure):
    _fields_ = (
        ("x", ctypes.c_uint32),
        ("y", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
    )


@lru_cache(maxsize=1)
def libavif() -> ctypes.CDLL | None:
    """Return the libavif that Pillow is linked to; None where it cannot be called, or is of another major version."""
    try:
        from PIL import _avif

        library = linked_library(_avif)
        pointer, planes = ctypes.c_void_p, ctypes.POINTER(Planes)
        library.avifVersion.restype = ctypes.c_char_p
        library.avifImageCreateEmpty.restype = planes
        library.avifImageDestroy.argtypes = (planes,)
        library.avifImageDestroy.restype = None
        library.avifImageSetViewRect.argtypes = (planes, planes, ctypes.POINTER(_Rect))
        library.avifRGBImageSetDefaults.argtypes = (ctypes.POINTER(_Rgb), planes)
        library.avifRGBImageSetDefaults.restype = None
        library.avifImageYUVToRGB.argtypes = (planes, ctypes.POINTER(_Rgb))
        library.avifDecoderCreate.restype = pointer
        library.avifDecoderDestroy.argtypes = (pointer,)
        library.avifDecoderDestroy.restype = None
        library.avifDecoderSetSource.argtypes = (pointer, ctypes.c_int)
        library.avifDecoderSetIOMemory.argtypes = (pointer, pointer, ctypes.c_size_t)
        library.avifDecoderParse.argtypes = (pointer,)
        library.avifDecoderNextImage.argtypes = (pointer,)
        library.avifResultToString.argtypes = (ctypes.c_int,)
        library.avifResultToString.restype = ctypes.c_char_p
    except (ImportError, OSError, AttributeError):
        return None
    return library if library.avifVersion().startswith(_VERSION) else None


def check(library: ctypes.CDLL, result: int) -> None:
    """Raise OSError with libavif's word for a failure, TruncatedImage, or MemoryError."""
    if result == _OUT_OF_MEMORY:
        raise MemoryError
    if result == _TRUNCATED:
        raise TruncatedImage("avif: the picture's data were cut off")
    if result != _OK:
        raise OSError(library.avifResultToString(result).decode("ascii", "replace"))


class PlaneRows:
    """Rows of planes as pictures of four bytes a pixel (RGBX): RGB, or RGBA multiplied by alpha."""

    def __init__(self, planes: Any) -> None:
        """``planes``: a pointer to Planes, which must live as long as this."""
        library = libavif()
        if library is None:
            raise OSError("no libavif of this version")
        self._library, self._planes = library, planes
        self.size = (planes.contents.width, planes.contents.height)

    def __call__(self, begin: int, end: int) -> Image.Image:
        """Return the rows from ``begin`` to before ``end``. Raises OSError or MemoryError.

        Some rows more are converted, since chroma of the first and the last one is interpolated.
        """
        library, width = self._library, self.size[0]
        first, last = max(0, begin // _CHROMA_ROWS - 1) * _CHROMA_ROWS, min(self.size[1], end + _CHROMA_ROWS)
        rows, rgb = library.avifImageCreateEmpty(), _Rgb()
        if not rows:
            raise MemoryError
        try:
            rect = _Rect(0, first, width, last - first)
            check(library, library.avifImageSetViewRect(rows, self._planes, ctypes.byref(rect)))
            library.avifRGBImageSetDefaults(ctypes.byref(rgb), rows)
            pixels = bytearray(width * (last - first) * 4)
            rgb.depth, rgb.format, rgb.premultiplied = 8, _RGBA_FORMAT, 1
            rgb.max_threads, rgb.row_bytes = 1, width * 4
            with address(memoryview(pixels)) as (target, _):
                rgb.pixels = target
                check(library, library.avifImageYUVToRGB(rows, ctypes.byref(rgb)))
        finally:
            library.avifImageDestroy(rows)
        wanted: Any = memoryview(pixels)[(begin - first) * width * 4 : (end - first) * width * 4]
        return Image.frombuffer("RGBX", (width, end - begin), wanted, "raw", "RGBX", 0, 1)
