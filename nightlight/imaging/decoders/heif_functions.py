"""What of libheif is called: its functions and structures, by the library that pillow-heif is linked to.

Source: libheif's ``heif.h``, ``heif_tiling.h`` and ``heif_security.h``.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

from nightlight.imaging.decoders.native import linked_library
from nightlight.imaging.decoders.plane_rows import libavif
from nightlight_core.errors import TruncatedImage

_END_OF_DATA, _MEMORY_ERROR = 100, 6


class Error(ctypes.Structure):
    """``heif_error``."""

    _fields_ = (("code", ctypes.c_int), ("subcode", ctypes.c_int), ("message", ctypes.c_char_p))


class Tiling(ctypes.Structure):
    """``heif_image_tiling``, and room for what newer versions add."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("columns", ctypes.c_uint32),
        ("rows", ctypes.c_uint32),
        ("tile_width", ctypes.c_uint32),
        ("tile_height", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("top", ctypes.c_uint32),
        ("left", ctypes.c_uint32),
        ("extra_dimensions", ctypes.c_uint8),
        ("extra_sizes", ctypes.c_uint32 * 8),
        ("room", ctypes.c_uint8 * 128),
    )


class Options(ctypes.Structure):
    """The beginning of ``heif_decoding_options``."""

    _fields_ = (("version", ctypes.c_uint8), ("ignore_transformations", ctypes.c_uint8))


class Limits(ctypes.Structure):
    """The beginning of ``heif_security_limits``."""

    _fields_ = (("version", ctypes.c_uint8), ("pixels", ctypes.c_uint64), ("tiles", ctypes.c_uint64))


class Nclx(ctypes.Structure):
    """The beginning of ``heif_color_profile_nclx``."""

    _fields_ = (
        ("version", ctypes.c_uint8),
        ("primaries", ctypes.c_int),
        ("transfer", ctypes.c_int),
        ("matrix", ctypes.c_int),
        ("full_range", ctypes.c_uint8),
    )


_POINTER, _INT = ctypes.c_void_p, ctypes.c_int
_OUT = ctypes.POINTER(ctypes.c_void_p)
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "heif_context_alloc": (_POINTER, ()),
    "heif_context_free": (None, (_POINTER,)),
    "heif_context_set_max_decoding_threads": (None, (_POINTER, _INT)),
    "heif_context_get_security_limits": (ctypes.POINTER(Limits), (_POINTER,)),
    "heif_context_read_from_memory_without_copy": (Error, (_POINTER, _POINTER, ctypes.c_size_t, _POINTER)),
    "heif_context_get_primary_image_handle": (Error, (_POINTER, _OUT)),
    "heif_image_handle_release": (None, (_POINTER,)),
    "heif_image_handle_get_image_tiling": (Error, (_POINTER, _INT, ctypes.POINTER(Tiling))),
    "heif_image_handle_get_raw_color_profile_size": (ctypes.c_size_t, (_POINTER,)),
    "heif_image_handle_get_raw_color_profile": (Error, (_POINTER, _POINTER)),
    "heif_image_handle_get_nclx_color_profile": (Error, (_POINTER, ctypes.POINTER(ctypes.POINTER(Nclx)))),
    "heif_image_get_nclx_color_profile": (Error, (_POINTER, ctypes.POINTER(ctypes.POINTER(Nclx)))),
    "heif_nclx_color_profile_free": (None, (ctypes.POINTER(Nclx),)),
    "heif_decoding_options_alloc": (ctypes.POINTER(Options), ()),
    "heif_decoding_options_free": (None, (ctypes.POINTER(Options),)),
    "heif_decode_image": (Error, (_POINTER, _OUT, _INT, _INT, ctypes.POINTER(Options))),
    "heif_image_handle_decode_image_tile": (
        Error,
        (_POINTER, _OUT, _INT, _INT, ctypes.POINTER(Options), ctypes.c_uint32, ctypes.c_uint32),
    ),
    "heif_image_release": (None, (_POINTER,)),
    "heif_image_get_colorspace": (_INT, (_POINTER,)),
    "heif_image_get_chroma_format": (_INT, (_POINTER,)),
    "heif_image_get_width": (_INT, (_POINTER, _INT)),
    "heif_image_get_height": (_INT, (_POINTER, _INT)),
    "heif_image_get_bits_per_pixel_range": (_INT, (_POINTER, _INT)),
    "heif_image_has_channel": (_INT, (_POINTER, _INT)),
    "heif_image_is_premultiplied_alpha": (_INT, (_POINTER,)),
    "heif_image_get_plane_readonly": (_POINTER, (_POINTER, _INT, ctypes.POINTER(_INT))),
}


@lru_cache(maxsize=1)
def libheif() -> ctypes.CDLL | None:
    """Return the libheif that pillow-heif is linked to; None where it or libavif cannot be called."""
    try:
        import _pillow_heif  # type: ignore[import-not-found]

        library = linked_library(_pillow_heif)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (ImportError, OSError, AttributeError):
        return None
    return library if libavif() else None


def check(error: Error) -> None:
    """Raise MemoryError, TruncatedImage, or OSError with libheif's word."""
    if not error.code:
        return
    if error.code == _MEMORY_ERROR:
        raise MemoryError
    text = (error.message or b"").decode("ascii", "replace")
    if error.subcode == _END_OF_DATA:
        raise TruncatedImage(f"heic: {text}")
    raise OSError(text)
