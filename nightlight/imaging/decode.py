"""Bytes to pixels: one format, one frame, no larger than is needed."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from PIL import AvifImagePlugin, Image, ImageFile

from nightlight.imaging.header_readers import Format, Header
from nightlight.imaging.probe import dct_scale
from nightlight_core.errors import CorruptImage

if TYPE_CHECKING:
    import mmap

    from nightlight.imaging.crop import Box

    # A memory map reads like a file, though its type does not say so.
    Readable = IO[bytes] | mmap.mmap

# Pillow's name for each format of the allow-list. Nothing else is ever tried: a polyglot is read as what
# its magic bytes say, or not at all. "JPEG" reads the first picture of a multi-picture file.
PILLOW_FORMATS: dict[Format, tuple[str, ...]] = {
    Format.JPEG: ("JPEG",),
    Format.PNG: ("PNG",),
    Format.WEBP: ("WEBP",),
    Format.AVIF: ("AVIF",),
    Format.GIF: ("GIF",),
    Format.HEIC: ("HEIF",),  # by an optional package; see ``available``
}

ImageFile.LOAD_TRUNCATED_IMAGES = False
# A decoder in the cage may not start threads.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

# HEVC codes at most so many pixels a side at once (ITU-T H.265, 7.4.3.2.1: CtbSizeY).
CODED_BLOCK = 64

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


def available() -> frozenset[Format]:
    """Return the formats that can be decoded here; registers the HEIC decoder where its package is installed."""
    try:
        import pillow_heif
    except ImportError:
        return frozenset(Format) - {Format.HEIC}
    pillow_heif.options.DECODE_THREADS = 1
    pillow_heif.register_heif_opener(thumbnails=False)
    return frozenset(Format)


def opened(data: Readable, header: Header) -> tuple[Image.Image, int]:
    """Return the first frame of ``data`` and its EXIF orientation (1 to 8). A JPEG is not decoded yet.

    ``header`` is what ``probe`` read from the same bytes. The mode and size are whatever the file holds.
    Raises CorruptImage.
    """
    with _refusing(header):
        image = Image.open(cast("IO[bytes]", data), formats=PILLOW_FORMATS[header.format])
        if not _fits(image.size, header):
            message = f"{header.format}: the decoder sees {image.size}, the header said otherwise"
            raise CorruptImage(message)
        if header.format is not Format.JPEG:
            image.load()  # a PNG's orientation may come after its pixels
        return image, _orientation(image)


def _fits(size: tuple[int, int], header: Header) -> bool:
    """Say whether a decoder sees the size that the header promised.

    HEIC's header gives it as coded, in whole blocks, of which the picture is a part; and its decoder has turned
    the picture already.
    """
    promised = (header.width, header.height)
    if header.format is not Format.HEIC:
        return size == promised
    return any(
        abs(size[0] - width) < CODED_BLOCK and abs(size[1] - height) < CODED_BLOCK
        for width, height in (promised, promised[::-1])
    )


def scaled(image: Image.Image, box: Box, header: Header, *, edge: int) -> tuple[Image.Image, Box]:
    """Return the picture, loaded, and ``box`` in its pixels.

    A JPEG is decoded at the smallest DCT scale (see ``dct_scale``). Raises CorruptImage.
    """
    whole = image.size
    with _refusing(header):
        if header.format is Format.JPEG:
            scale = dct_scale(header, edge=edge, side=min(box[2] - box[0], box[3] - box[1]))
            image.draft(None, (header.width // scale, header.height // scale))
        image.load()
    across, down = image.width / whole[0], image.height / whole[1]
    return image, (box[0] * across, box[1] * down, box[2] * across, box[3] * down)


@contextmanager
def _refusing(header: Header) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UNREADABLE as error:
        message = f"{header.format}: {type(error).__name__}: {error}"
        raise CorruptImage(message) from error


def _orientation(image: Image.Image) -> int:
    """Return EXIF's (or, without it, XMP's) orientation; anything unreadable or out of range is upright."""
    try:
        value = image.getexif().get(_ORIENTATION, UPRIGHT)
    except UNREADABLE:
        return UPRIGHT
    return value if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT  # noqa: PLR2004 - EXIF's range
