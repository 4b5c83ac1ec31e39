"""A WebP, cropped and scaled by libwebp while it is decoded.

Pillow reads every WebP through libwebp's animation decoder, which keeps two whole canvases beside Pillow's own copies:
17 bytes a pixel. libwebp's own decoder takes about nothing beside its result for a lossy picture, since it scales row
by row; 4 bytes a pixel for a lossless picture, whose rows refer to those before; and 9 for a lossy picture with alpha,
which is not scaled, since libwebp would average colours that nobody sees into those beside them.

Source: libwebp's ``webp/decode.h``, decoder ABI 2.
"""

from __future__ import annotations

import ctypes
import math
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image

from nightlight.imaging.crop import UPRIGHT, fitted_size
from nightlight.imaging.decode_memory import webp_scale
from nightlight.imaging.decoders.native import address, linked_library
from nightlight.imaging.decoders.opened import OpenedUpload, refusing, view_of
from nightlight.imaging.decoders.strips import FILTER, GAP, plain
from nightlight.imaging.exif import exif_orientation
from nightlight.imaging.webp_header import PROFILE, Frame, canvas, chunks, first_frame
from nightlight_core.errors import CorruptImage

if TYPE_CHECKING:
    from nightlight.imaging.crop import Box
    from nightlight.imaging.decoders.opened import Readable
    from nightlight.imaging.header import Header

DECODER_ABI = 0x0209  # libwebp refuses another major version (the upper byte)
_RGBA, _PREMULTIPLIED = 1, 7
# A profile or EXIF beyond this is not read. Cameras write some kilobytes; a print shop's profile has up to 2 MB.
_MOST_METADATA_BYTES = 4_000_000
# Pixels around what is kept, for the filter.
_MARGIN = 4
_STATUS = {1: "out of memory", 3: "the pixels cannot be read", 4: "unsupported", 5: "suspended", 7: "not enough data"}
_OUT_OF_MEMORY = 1


class _Features(ctypes.Structure):
    _fields_ = (
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("has_alpha", ctypes.c_int),
        ("has_animation", ctypes.c_int),
        ("format", ctypes.c_int),
        ("pad", ctypes.c_uint32 * 5),
    )


class _Rgba(ctypes.Structure):
    _fields_ = (("rgba", ctypes.c_void_p), ("stride", ctypes.c_int), ("size", ctypes.c_size_t))


class YuvaPlanes(ctypes.Structure):
    """``WebPYUVABuffer``: planes in memory of the caller."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("y", "u", "v", "a")),
        *((f"{name}_stride", ctypes.c_int) for name in ("y", "u", "v", "a")),
        *((f"{name}_size", ctypes.c_size_t) for name in ("y", "u", "v", "a")),
    )


class _Planes(ctypes.Union):
    _fields_ = (("rgba", _Rgba), ("yuva", YuvaPlanes))


class _Output(ctypes.Structure):
    _fields_ = (
        ("colorspace", ctypes.c_int),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("is_external_memory", ctypes.c_int),
        ("planes", _Planes),
        ("pad", ctypes.c_uint32 * 4),
        ("private_memory", ctypes.c_void_p),
    )


class _Options(ctypes.Structure):
    _fields_ = (
        ("bypass_filtering", ctypes.c_int),
        ("no_fancy_upsampling", ctypes.c_int),
        ("use_cropping", ctypes.c_int),
        ("crop_left", ctypes.c_int),
        ("crop_top", ctypes.c_int),
        ("crop_width", ctypes.c_int),
        ("crop_height", ctypes.c_int),
        ("use_scaling", ctypes.c_int),
        ("scaled_width", ctypes.c_int),
        ("scaled_height", ctypes.c_int),
        ("use_threads", ctypes.c_int),
        ("dithering_strength", ctypes.c_int),
        ("flip", ctypes.c_int),
        ("alpha_dithering_strength", ctypes.c_int),
        ("pad", ctypes.c_uint32 * 5),
    )


class DecoderConfig(ctypes.Structure):
    """``WebPDecoderConfig``."""

    _fields_ = (("input", _Features), ("output", _Output), ("options", _Options))


@lru_cache(maxsize=1)
def libwebp() -> ctypes.CDLL | None:
    """Return the libwebp that Pillow is linked to; None where it cannot be called, or has another ABI."""
    try:
        from PIL import _webp

        library = linked_library(_webp)
        library.WebPInitDecoderConfigInternal.argtypes = (ctypes.POINTER(DecoderConfig), ctypes.c_int)
        library.WebPDecode.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(DecoderConfig))
    except (ImportError, OSError, AttributeError):
        return None
    return library if library.WebPInitDecoderConfigInternal(ctypes.byref(DecoderConfig()), DECODER_ABI) else None


class OpenedWebp(OpenedUpload):
    """The first frame of a WebP; nothing is decoded before what is kept is known."""

    def __init__(self, data: Readable, header: Header) -> None:
        """Find the first frame and the metadata. Raises CorruptImage."""
        self._header = header
        self._view = view_of(data)
        with refusing(header):
            self._frame = first_frame(self._view)
            extended = canvas(self._view)
            self.size = extended[:2] if extended else (self._frame.width, self._frame.height)
            if self.size != (header.width, header.height):
                raise CorruptImage(f"{header.format}: {self.size} pixels, the header said otherwise")
            self.orientation = exif_orientation(self._metadata(b"EXIF")) if extended else UPRIGHT

    @property
    def icc_profile(self) -> bytes | None:
        """Return the ICC profile of the file; None without one, or where the file's flags announce none."""
        extended = canvas(self._view)
        return self._metadata(b"ICCP") if extended and extended[2] & PROFILE else None

    def _metadata(self, name: bytes) -> bytes | None:
        for chunk in chunks(self._view, 12, len(self._view)):
            if chunk.name == name and chunk.whole and chunk.end - chunk.begin <= _MOST_METADATA_BYTES:
                return bytes(self._view[chunk.begin : chunk.end]) or None
        return None

    def load(self, box: Box, *, edge: int) -> tuple[Image.Image, Box]:
        """Return the part ``box`` as small as ``edge`` allows (RGB or RGBA), and the whole of it as the box."""
        frame = self._frame
        left, right = _within(box[0] - frame.left, box[2] - frame.left, frame.width)
        top, bottom = _within(box[1] - frame.top, box[3] - frame.top, frame.height)
        side = min(box[2] - box[0], box[3] - box[1])
        with refusing(self._header):
            if right <= left or bottom <= top:  # nothing of the frame is kept
                return Image.new("RGBA", fitted_size(box, edge)), (0, 0, *fitted_size(box, edge))
            size = webp_scale(self._header, (right - left, bottom - top), edge=edge, side=side)
            part = _decode(self._view, frame, (left, top, right - left, bottom - top), size)
        across, down = part.width / (right - left), part.height / (bottom - top)
        at = (left + frame.left, top + frame.top)
        kept = (
            round((box[0] - at[0]) * across, 6),
            round((box[1] - at[1]) * down, 6),
            round((box[2] - at[0]) * across, 6),
            round((box[3] - at[1]) * down, 6),
        )
        if min(kept[:2]) < 0 or kept[2] > part.width or kept[3] > part.height:
            part, kept = _on_canvas(part, kept)
        fitted = part.resize(fitted_size(box, edge), FILTER, box=kept, reducing_gap=GAP)
        return plain(fitted, premultiplied=self._header.alpha), (0, 0, *fitted.size)


def _is_alpha_damaged(view: memoryview, frame: Frame) -> bool:
    """Say whether the header of a frame's alpha cannot be read (RFC 9649, 2.7.1.2): libwebp calls that no memory."""
    if not frame.alpha or frame.lossless:
        return False
    size, head = int.from_bytes(view[frame.begin + 4 : frame.begin + 8], "little"), view[frame.begin + 8]
    return size < 2 or head & 3 > 1 or head >> 4 & 3 > 1 or head >> 6 > 1  # noqa: PLR2004 - the codes of the RFC


def _within(low: float, high: float, limit: int) -> tuple[int, int]:
    """Return the whole, even pixels from ``low`` to ``high`` with a margin, within a side of a frame."""
    return max(0, math.floor(low / 2) * 2 - _MARGIN), min(limit, math.ceil(high) + _MARGIN)


def _on_canvas(part: Image.Image, kept: Box) -> tuple[Image.Image, Box]:
    """Return a part of a frame on a transparent canvas that holds all of ``kept``, and ``kept`` in it."""
    left, top = math.ceil(max(0.0, -kept[0])), math.ceil(max(0.0, -kept[1]))
    right, bottom = max(part.width, math.ceil(kept[2])), max(part.height, math.ceil(kept[3]))
    whole = Image.new("RGBX", (left + right, top + bottom), (0, 0, 0, 0))
    whole.paste(part, (left, top))
    return whole, (kept[0] + left, kept[1] + top, kept[2] + left, kept[3] + top)


def _decode(view: memoryview, frame: Frame, crop: tuple[int, int, int, int], size: tuple[int, int]) -> Image.Image:
    """Return ``crop`` (left, top, width, height) of a frame in ``size``, as RGBX that is RGB or premultiplied RGBA."""
    library, config = libwebp(), DecoderConfig()
    if library is None or not library.WebPInitDecoderConfigInternal(ctypes.byref(config), DECODER_ABI):
        raise OSError("no libwebp of this ABI")
    pixels = bytearray(size[0] * size[1] * 4)
    with address(memoryview(pixels)) as (target, count), address(view[frame.begin : frame.end]) as (source, length):
        output, options = config.output, config.options
        output.colorspace = _PREMULTIPLIED if frame.alpha else _RGBA
        output.is_external_memory = 1
        output.planes.rgba = _Rgba(target, size[0] * 4, count)
        options.use_cropping = 1
        options.crop_left, options.crop_top, options.crop_width, options.crop_height = crop
        options.use_scaling = int(size != crop[2:])
        options.scaled_width, options.scaled_height = size
        status = library.WebPDecode(source, length, ctypes.byref(config))
    if status == _OUT_OF_MEMORY and not _is_alpha_damaged(view, frame):
        raise MemoryError
    if status:
        raise OSError(_STATUS.get(status, f"libwebp's status {status}"))
    return Image.frombuffer("RGBX", size, pixels, "raw", "RGBX", 0, 1)
