"""A JPEG XL, decoded by libjxl to pixels of 8 bits a sample, which are then made smaller strip by strip.

The first frame that is shown is decoded, with all layers under it. libjxl comes with imagecodecs: no package of that
kind lets its caller choose the memory, one thread and the pixels' kind, so libjxl itself is called.

Source: libjxl's ``jxl/decode.h``, ``codestream_header.h``, ``color_encoding.h`` and ``memory_manager.h``, from 0.9 on.
"""

from __future__ import annotations

import ctypes
from contextlib import ExitStack
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from PIL import Image

from nightlight.imaging.decoders.native import address, linked_library
from nightlight.imaging.decoders.opened import OpenedUpload, refusing, view_of
from nightlight.imaging.decoders.strips import StripResizer
from nightlight_core.errors import TruncatedImage

if TYPE_CHECKING:
    from collections.abc import Callable

    from nightlight.imaging.crop import Box
    from nightlight.imaging.decoders.opened import Readable
    from nightlight.imaging.header import Header

_OLDEST, _NEWEST = 9_000, 1_000_000  # 0.9.0, in which signatures changed, to before 1.0.0
# Events, and what else decoding returns.
_BASIC_INFO, _COLOUR_ENCODING, _FULL_IMAGE = 0x40, 0x100, 0x1000
_NEEDS_INPUT, _NEEDS_BUFFER = 2, 5
_BYTES = 2  # the type of samples
_OF_PIXELS = 1  # the colours of what is decoded, not those of what was encoded
_MOST_PROFILE_BYTES = 4_000_000
_MODES = {(1, False): "L", (1, True): "LA", (3, False): "RGB", (3, True): "RGBA"}
_PREMULTIPLIED = {"LA": "La", "RGBA": "RGBa"}
# libjxl's numbers of white point and primaries, to those of ITU-T H.273. Transfers have the same numbers in both.
_PRIMARIES = {(1, 1): 1, (1, 9): 9, (1, 11): 12, (11, 11): 11}
_TRANSFERS = frozenset({1, 8, 13, 16, 17, 18})
_GREY, _SRGB_PRIMARIES = 1, 1


class _Format(ctypes.Structure):
    """``JxlPixelFormat``."""

    _fields_ = (
        ("channels", ctypes.c_uint32),
        ("data_type", ctypes.c_int),
        ("endianness", ctypes.c_int),
        ("align", ctypes.c_size_t),
    )


class _Info(ctypes.Structure):
    """``JxlBasicInfo``, and room for what newer versions add."""

    _fields_ = (
        ("have_container", ctypes.c_int),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("bits", ctypes.c_uint32),
        ("exponent_bits", ctypes.c_uint32),
        ("tone_mapping", ctypes.c_uint32 * 4),
        ("uses_original_profile", ctypes.c_int),
        ("have_preview", ctypes.c_int),
        ("have_animation", ctypes.c_int),
        ("orientation", ctypes.c_int),
        ("colour_channels", ctypes.c_uint32),
        ("extra_channels", ctypes.c_uint32),
        ("alpha_bits", ctypes.c_uint32),
        ("alpha_exponent_bits", ctypes.c_uint32),
        ("alpha_premultiplied", ctypes.c_int),
        ("room", ctypes.c_uint8 * 256),
    )


class _Colours(ctypes.Structure):
    """``JxlColorEncoding``."""

    _fields_ = (
        ("space", ctypes.c_int),
        ("white_point", ctypes.c_int),
        ("white_point_xy", ctypes.c_double * 2),
        ("primaries", ctypes.c_int),
        ("primaries_xy", ctypes.c_double * 6),
        ("transfer", ctypes.c_int),
        ("gamma", ctypes.c_double),
        ("intent", ctypes.c_int),
    )


_POINTER, _INT, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_Allocate = ctypes.CFUNCTYPE(_POINTER, _POINTER, _SIZE)
_Free = ctypes.CFUNCTYPE(None, _POINTER, _POINTER)


class _MemoryManager(ctypes.Structure):
    """``JxlMemoryManager``."""

    _fields_ = (("opaque", ctypes.c_void_p), ("allocate", _Allocate), ("free", _Free))


_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "JxlDecoderVersion": (ctypes.c_uint32, ()),
    "JxlDecoderCreate": (_POINTER, (ctypes.POINTER(_MemoryManager),)),
    "JxlDecoderDestroy": (None, (_POINTER,)),
    "JxlDecoderSubscribeEvents": (_INT, (_POINTER, _INT)),
    "JxlDecoderSetKeepOrientation": (_INT, (_POINTER, _INT)),
    "JxlDecoderSetInput": (_INT, (_POINTER, _POINTER, _SIZE)),
    "JxlDecoderProcessInput": (_INT, (_POINTER,)),
    "JxlDecoderGetBasicInfo": (_INT, (_POINTER, ctypes.POINTER(_Info))),
    "JxlDecoderGetColorAsEncodedProfile": (_INT, (_POINTER, _INT, ctypes.POINTER(_Colours))),
    "JxlDecoderGetICCProfileSize": (_INT, (_POINTER, _INT, ctypes.POINTER(_SIZE))),
    "JxlDecoderGetColorAsICCProfile": (_INT, (_POINTER, _INT, _POINTER, _SIZE)),
    "JxlDecoderSetImageOutBuffer": (_INT, (_POINTER, ctypes.POINTER(_Format), _POINTER, _SIZE)),
}


@lru_cache(maxsize=1)
def libjxl() -> ctypes.CDLL | None:
    """Return the libjxl that imagecodecs is linked to; None where it is not installed, or cannot be called."""
    try:
        import imagecodecs._jpegxl as module

        library = linked_library(module)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (ImportError, OSError, AttributeError):
        return None
    return library if _OLDEST <= library.JxlDecoderVersion() < _NEWEST else None


class OpenedJxl(OpenedUpload):
    """The first frame of a JPEG XL; its pixels are decoded once they are asked for."""

    def __init__(self, data: Readable, header: Header) -> None:
        """Read the codestream's header; no pixels yet. Raises CorruptImage, TruncatedImage or MemoryError."""
        self._header, self.orientation = header, header.orientation
        self.size = (header.width, header.height)
        self._profile: bytes | None = None
        with refusing(header), ExitStack() as held:
            self._decoder = _Decoder(view_of(data), held)
            self._info = self._decoder.info
            stated = (self._info.width, self._info.height, self._info.orientation)
            if stated != (*self.size, header.orientation):
                raise ValueError(f"the decoder sees {stated}, the header {self.size}")
            self.cicp = self._decoder.numbers()
            if self.cicp is None:
                self._profile = self._decoder.profile()
            self._held = held.pop_all()

    @property
    def icc_profile(self) -> bytes | None:
        """Return the ICC profile of the pixels; None where numbers say what they are."""
        return self._profile

    def load(self, box: Box, *, edge: int) -> tuple[Image.Image, Box]:
        """Return the part that is kept at the frame's size, and the box of all of it. Raises as OpenedUpload."""
        resizer, width = StripResizer(self.size, box, edge), self.size[0]
        with refusing(self._header), self._held:
            mode = _MODES[self._info.colour_channels, self._info.alpha_bits > 0]
            row_bytes = len(mode) * width
            pixels: Any = memoryview(self._decoder.pixels(len(mode), row_bytes * self.size[1]))
            if self._info.alpha_premultiplied:
                mode = _PREMULTIPLIED.get(mode, mode)
            for top, bottom in resizer.strips(row_bytes):
                rows = pixels[top * row_bytes : bottom * row_bytes]
                resizer.add(Image.frombuffer(mode, (width, bottom - top), rows, "raw", mode, 0, 1))
            self._image = resizer.finish()
        return self._image, (0.0, 0.0, float(self._image.width), float(self._image.height))


class _Decoder:
    """libjxl's decoder, without threads, with memory that it may be refused."""

    def __init__(self, view: memoryview, held: ExitStack) -> None:
        """Read the header. Raises OSError, TruncatedImage or MemoryError; ``held`` keeps what must be freed."""
        library = libjxl()
        if library is None:
            raise OSError("no libjxl with these functions")
        start, length = held.enter_context(address(view))
        self._library, self._refused = library, False
        self._manager = _MemoryManager(None, _Allocate(self._allocate), _LIBC_FREE)
        self._decoder = library.JxlDecoderCreate(ctypes.byref(self._manager))
        if not self._decoder:
            raise MemoryError
        held.callback(library.JxlDecoderDestroy, self._decoder)
        self._call(library.JxlDecoderSubscribeEvents, _BASIC_INFO | _COLOUR_ENCODING | _FULL_IMAGE)
        self._call(library.JxlDecoderSetKeepOrientation, 1)  # the frame is turned when it is small
        self._call(library.JxlDecoderSetInput, start, length)
        self._until(_BASIC_INFO)
        self.info = _Info()
        self._call(library.JxlDecoderGetBasicInfo, ctypes.byref(self.info))
        self._until(_COLOUR_ENCODING)

    def _allocate(self, _opaque: int, size: int) -> int | None:
        memory: int | None = _malloc(size)
        self._refused |= memory is None
        return memory

    def _call(self, function: Callable[..., int], *arguments: Any) -> None:
        if function(self._decoder, *arguments):
            raise OSError(f"{function.__name__} failed")

    def _until(self, event: int) -> None:
        """Go on to an event. Raises OSError, TruncatedImage, or MemoryError if memory was refused."""
        status = self._library.JxlDecoderProcessInput(self._decoder)
        if status == event:
            return
        if self._refused:
            raise MemoryError
        if status == _NEEDS_INPUT:
            raise TruncatedImage("jxl: the file ends before its picture")
        raise OSError(f"libjxl's status {status}")

    def numbers(self) -> tuple[int, int, int] | None:
        """Return primaries and transfer of the pixels by ITU-T H.273, and a matrix of 0; None for another space."""
        colours = _Colours()
        if self._library.JxlDecoderGetColorAsEncodedProfile(self._decoder, _OF_PIXELS, ctypes.byref(colours)):
            return None
        shape = _SRGB_PRIMARIES if colours.space == _GREY else colours.primaries
        primaries = _PRIMARIES.get((colours.white_point, shape))
        return (primaries, colours.transfer, 0) if primaries and colours.transfer in _TRANSFERS else None

    def profile(self) -> bytes | None:
        """Return the ICC profile of the pixels; None without one."""
        size = _SIZE()
        if self._library.JxlDecoderGetICCProfileSize(self._decoder, _OF_PIXELS, ctypes.byref(size)):
            return None
        if not 0 < size.value <= _MOST_PROFILE_BYTES:
            return None
        buffer = ctypes.create_string_buffer(size.value)
        self._call(self._library.JxlDecoderGetColorAsICCProfile, _OF_PIXELS, buffer, size.value)
        return buffer.raw

    def pixels(self, channels: int, count: int) -> bytearray:
        """Return the ``count`` bytes of all pixels."""
        pixels = bytearray(count)
        self._until(_NEEDS_BUFFER)
        with address(memoryview(pixels)) as (target, size):
            description = _Format(channels, _BYTES, 0, 0)
            self._call(self._library.JxlDecoderSetImageOutBuffer, ctypes.byref(description), target, size)
            self._until(_FULL_IMAGE)
        return pixels


_libc = ctypes.CDLL(None)
_malloc, _free = _libc.malloc, _libc.free
_malloc.restype, _malloc.argtypes = _POINTER, (_SIZE,)
_free.restype, _free.argtypes = None, (_POINTER,)
_LIBC_FREE = _Free(lambda _opaque, memory: _free(memory))
