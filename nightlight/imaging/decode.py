"""Bytes to pixels: one format, one frame, no larger than is needed.

Pillow reads an upload with the decoders that ``formats.FORMATS`` names for its magic bytes, and with no other: a
polyglot is read as what its magic bytes say, or not at all.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from PIL import AvifImagePlugin, Image, ImageFile

from nightlight.imaging.crop import UPRIGHT
from nightlight.imaging.decode_memory import dct_scale
from nightlight.imaging.formats import FORMATS, Format
from nightlight_core.errors import CorruptImage

if TYPE_CHECKING:
    import mmap

    from nightlight.imaging.crop import Box
    from nightlight.imaging.header import Header

    # A memory map reads like a file, though its type does not say so.
    Readable = IO[bytes] | mmap.mmap

ImageFile.LOAD_TRUNCATED_IMAGES = False
# A sandboxed decoder may not start threads.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

# HEVC codes at most so many pixels a side at once (ITU-T H.265, 7.4.3.2.1: CtbSizeY).
CODED_BLOCK = 64

# What Pillow and its codecs raise on bytes that they cannot read.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
    RuntimeError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)

_ORIENTATION = 0x0112


def available_formats() -> frozenset[Format]:
    """Return the formats that can be decoded here; registers the decoders of installed extras with Pillow."""
    return frozenset(name for name, entry in FORMATS.items() if entry.register is None or entry.register())


def open_picture(data: Readable, header: Header) -> tuple[Image.Image, int]:
    """Return the first frame of ``data`` and its EXIF orientation (1 to 8).

    ``header`` is what ``probe`` read from the same bytes. The mode and size are whatever the file holds. A format that
    scales while it decodes is not decoded yet: see ``load_scaled``. Raises CorruptImage.
    """
    entry = FORMATS[header.format]
    with _refusing(header):
        image = Image.open(cast("IO[bytes]", data), formats=entry.pillow)
        if not _fits(image.size, header):
            raise CorruptImage(f"{header.format}: the decoder sees {image.size}, the header said otherwise")
        if not entry.scales:
            image.load()  # a PNG's orientation may come after its pixels
        return image, _orientation(image)


def _fits(size: tuple[int, int], header: Header) -> bool:
    """Say whether a decoder sees the size that the header states.

    Where the header states the size of coded blocks, the picture is a part of them, and its decoder has turned it
    upright already.
    """
    promised = (header.width, header.height)
    if FORMATS[header.format].exact_size:
        return size == promised
    return any(
        abs(size[0] - width) < CODED_BLOCK and abs(size[1] - height) < CODED_BLOCK
        for width, height in (promised, promised[::-1])
    )


def load_scaled(image: Image.Image, box: Box, header: Header, *, edge: int) -> tuple[Image.Image, Box]:
    """Return the picture, loaded, and ``box`` in its pixels.

    A format that scales while it decodes is decoded as small as suffices (see ``dct_scale``). Raises CorruptImage.
    """
    stored = image.size
    with _refusing(header):
        if FORMATS[header.format].scales:
            scale = dct_scale(header, edge=edge, side=min(box[2] - box[0], box[3] - box[1]))
            image.draft(None, (header.width // scale, header.height // scale))
        image.load()
    across, down = image.width / stored[0], image.height / stored[1]
    return image, (box[0] * across, box[1] * down, box[2] * across, box[3] * down)


@contextmanager
def _refusing(header: Header) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except DECODER_ERRORS as error:
        raise CorruptImage(f"{header.format}: {type(error).__name__}: {error}") from error


def _orientation(image: Image.Image) -> int:
    """Return EXIF's (or, without it, XMP's) orientation; anything unreadable or out of range is upright."""
    try:
        value = image.getexif().get(_ORIENTATION, UPRIGHT)
    except DECODER_ERRORS:
        return UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT  # noqa: PLR2004 - EXIF's range
