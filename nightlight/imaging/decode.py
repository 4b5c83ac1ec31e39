"""Bytes to pixels: one format, one frame, no larger than is needed."""

from __future__ import annotations

import math
import struct
import warnings
from io import BytesIO

from PIL import Image, ImageFile

from nightlight.errors import CorruptImage
from nightlight.imaging.probe import Format, Header

# Pillow's name for each format of the allow-list. Nothing else is ever tried: a polyglot is read as what
# its magic bytes say, or not at all. "JPEG" reads the first picture of a multi-picture file.
PILLOW_FORMATS: dict[Format, tuple[str, ...]] = {
    Format.JPEG: ("JPEG",),
    Format.PNG: ("PNG",),
    Format.WEBP: ("WEBP",),
    Format.AVIF: ("AVIF",),
    Format.GIF: ("GIF",),
}

ImageFile.LOAD_TRUNCATED_IMAGES = False

# What Pillow and its codecs raise on bytes that they cannot read.
UNREADABLE = (
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

# EXIF orientation (tag 0x0112) of pixels that are upright already.
UPRIGHT = 1
_ORIENTATION = 0x0112


def decode(data: bytes, header: Header, *, edge: int) -> tuple[Image.Image, int]:
    """Return the first frame of ``data``, loaded, and its EXIF orientation (1 to 8).

    ``header`` is what ``probe`` read from the same bytes; ``edge`` is the side in pixels of the square
    that is needed. A JPEG is decoded at the smallest DCT scale (1/1, 1/2, 1/4, 1/8) that still gives it.
    The mode and size are whatever the file holds. Raises CorruptImage.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(BytesIO(data), formats=PILLOW_FORMATS[header.format])
            if image.size != (header.width, header.height):
                message = f"{header.format}: the decoder sees {image.size}, the header said otherwise"
                raise CorruptImage(message)
            side = min(image.size)
            if header.format is Format.JPEG and edge < side:
                wanted = tuple(math.ceil(length * edge / side) for length in image.size)
                image.draft(None, (wanted[0], wanted[1]))
            image.load()
    except UNREADABLE as error:
        message = f"{header.format}: {type(error).__name__}: {error}"
        raise CorruptImage(message) from error
    return image, _orientation(image)


def _orientation(image: Image.Image) -> int:
    """Return EXIF's (or, without it, XMP's) orientation; anything unreadable or out of range is upright."""
    try:
        value = image.getexif().get(_ORIENTATION, UPRIGHT)
    except UNREADABLE:
        return UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT  # noqa: PLR2004 - EXIF's range
