"""libwebp for our own renditions, called for what Pillow and OpenCV do not offer.

The encoder takes a picture's memory as it is, and the number of its segments. The decoder leaves the luma plane alone:
without chroma's enlargement and the conversion to RGB.

Sources: libwebp's ``webp/encode.h``, encoder ABI 2, and ``webp/decode.h``; RFC 9649 for the container.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from nightlight.imaging.decoders.native import address, linked_library
from nightlight.imaging.decoders.webp import DECODER_ABI, DecoderConfig, YuvaPlanes, libwebp
from nightlight.imaging.pixels import shared_pixels

if TYPE_CHECKING:
    from PIL import Image

_ENCODER_ABI = 0x020F  # libwebp refuses another major version (the upper byte)
_DEFAULT_PRESET, _YUV, _OUT_OF_MEMORY = 0, 11, 1
_XMP_FLAG = 0x04


class _Config(ctypes.Structure):
    """``WebPConfig`` up to what is set here, and room for the rest."""

    _fields_ = (
        ("lossless", ctypes.c_int),
        ("quality", ctypes.c_float),
        ("method", ctypes.c_int),
        ("image_hint", ctypes.c_int),
        ("target_size", ctypes.c_int),
        ("target_psnr", ctypes.c_float),
        ("segments", ctypes.c_int),
        ("room", ctypes.c_int * 64),
    )


class _Picture(ctypes.Structure):
    """``WebPPicture``."""

    _fields_ = (
        ("use_argb", ctypes.c_int),
        ("colorspace", ctypes.c_int),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("planes", ctypes.c_void_p * 3),
        ("strides", ctypes.c_int * 2),
        ("alpha", ctypes.c_void_p),
        ("alpha_stride", ctypes.c_int),
        ("pad1", ctypes.c_uint32 * 2),
        ("argb", ctypes.c_void_p),
        ("argb_stride", ctypes.c_int),
        ("pad2", ctypes.c_uint32 * 3),
        ("writer", ctypes.c_void_p),
        ("custom", ctypes.c_void_p),
        ("extra_info_type", ctypes.c_int),
        ("extra_info", ctypes.c_void_p),
        ("stats", ctypes.c_void_p),
        ("error", ctypes.c_int),
        ("progress", ctypes.c_void_p),
        ("user_data", ctypes.c_void_p),
        ("room", ctypes.c_uint32 * 64),
    )


class _Memory(ctypes.Structure):
    """``WebPMemoryWriter``."""

    _fields_ = (
        ("mem", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("max_size", ctypes.c_size_t),
        ("pad", ctypes.c_uint32),
    )


@lru_cache(maxsize=1)
def _encoder() -> ctypes.CDLL | None:
    """Return the libwebp that Pillow is linked to; None where it cannot be called, or has another ABI."""
    try:
        from PIL import _webp

        library = linked_library(_webp)
        library.WebPConfigInitInternal.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_float, ctypes.c_int)
        library.WebPPictureInitInternal.argtypes = (ctypes.c_void_p, ctypes.c_int)
        library.WebPPictureImportRGBX.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
        library.WebPEncode.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        for name in ("WebPPictureFree", "WebPMemoryWriterInit", "WebPMemoryWriterClear"):
            getattr(library, name).argtypes = (ctypes.c_void_p,)
            getattr(library, name).restype = None
        ctypes.cast(library.WebPMemoryWrite, ctypes.c_void_p)
    except (ImportError, OSError, AttributeError):
        return None
    config = _Config()
    return library if library.WebPConfigInitInternal(ctypes.byref(config), 0, 75.0, _ENCODER_ABI) else None


def encode_webp(image: Image.Image, *, quality: int, effort: int, segments: int, xmp: bytes | None) -> bytes | None:
    """Return a lossy WebP of an RGB picture; None where libwebp cannot be called.

    ``quality``: 1 to 100. ``effort``: libwebp's method, 0 to 6. ``segments``: the most kinds of blocks with a quantiser
    of their own, 1 to 4. Raises OSError or MemoryError.
    """
    library = _encoder()
    if library is None:
        return None
    config, picture, memory = _Config(), _Picture(), _Memory()
    library.WebPConfigInitInternal(ctypes.byref(config), _DEFAULT_PRESET, float(quality), _ENCODER_ABI)
    library.WebPPictureInitInternal(ctypes.byref(picture), _ENCODER_ABI)
    library.WebPMemoryWriterInit(ctypes.byref(memory))
    config.method, config.segments = effort, segments
    picture.width, picture.height = image.size
    picture.writer = ctypes.cast(library.WebPMemoryWrite, ctypes.c_void_p).value
    picture.custom = ctypes.addressof(memory)
    try:
        if not (_import(library, picture, image) and library.WebPEncode(ctypes.byref(config), ctypes.byref(picture))):
            if picture.error == _OUT_OF_MEMORY:
                raise MemoryError
            raise OSError(f"libwebp's error {picture.error}")
        data = ctypes.string_at(memory.mem, memory.size)
    finally:
        library.WebPPictureFree(ctypes.byref(picture))
        library.WebPMemoryWriterClear(ctypes.byref(memory))
    return data if xmp is None else _with_xmp(data, xmp, image.size)


def _import(library: ctypes.CDLL, picture: _Picture, image: Image.Image) -> bool:
    """Convert a picture's pixels to libwebp's planes."""
    stride = image.width * 4
    try:
        with shared_pixels(image) as pixels:
            return bool(library.WebPPictureImportRGBX(ctypes.byref(picture), pixels.ctypes.data, stride))
    except ValueError:  # its memory is not in one piece
        with address(memoryview(image.tobytes("raw", "RGBX"))) as (at, _):
            return bool(library.WebPPictureImportRGBX(ctypes.byref(picture), at, stride))


def _with_xmp(data: bytes, xmp: bytes, size: tuple[int, int]) -> bytes:
    """Return a WebP in the extended container, with XMP behind its pixels."""
    canvas = b"".join((extent - 1).to_bytes(3, "little") for extent in size)
    chunks = _chunk(b"VP8X", bytes((_XMP_FLAG, 0, 0, 0)) + canvas) + data[12:] + _chunk(b"XMP ", xmp)
    return b"RIFF" + (len(chunks) + 4).to_bytes(4, "little") + b"WEBP" + chunks


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


def webp_luma(data: bytes, size: tuple[int, int]) -> np.ndarray | None:
    """Return the luma, uint8 (h, w) in 0 to 255, of a lossy WebP of ``size`` (width, height).

    It is that of the RGB which every decoder makes of it, but for what lies outside of RGB and for rounding. None where
    libwebp cannot be called. Raises OSError where the bytes are no such picture.
    """
    library, config = libwebp(), DecoderConfig()
    if library is None or not library.WebPInitDecoderConfigInternal(ctypes.byref(config), DECODER_ABI):
        return None
    width, height = size
    halves = ((height + 1) // 2, (width + 1) // 2)
    planes = [np.empty(shape, np.uint8) for shape in ((height, width), halves, halves)]
    output = config.output
    output.colorspace, output.is_external_memory = _YUV, 1
    output.planes.yuva = YuvaPlanes(
        *(plane.ctypes.data for plane in planes), None, width, halves[1], halves[1], 0, *(p.nbytes for p in planes), 0
    )
    with address(memoryview(data)) as (source, length):
        status = library.WebPDecode(source, length, ctypes.byref(config))
    if status or (config.input.width, config.input.height) != size:
        raise OSError(f"libwebp's status {status}")
    return cv2.convertScaleAbs(planes[0], alpha=255 / 219, beta=-16 * 255 / 219)  # BT.601's 16 to 235
