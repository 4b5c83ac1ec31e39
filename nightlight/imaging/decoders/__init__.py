"""The decoders: bytes to the pixels of one frame, no larger than is needed. They run in the sandbox.

An upload is read with the decoder that its magic bytes name, and with no other: a polyglot is read as what its magic
bytes say, or not at all. A format whose decoder can do more than Pillow's has a class here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nightlight.imaging.decoders.avif import OpenedAvif
from nightlight.imaging.decoders.gif import OpenedGif
from nightlight.imaging.decoders.heic import OpenedHeic
from nightlight.imaging.decoders.heif_functions import libheif
from nightlight.imaging.decoders.jpeg import OpenedJpeg
from nightlight.imaging.decoders.jxl import OpenedJxl, libjxl
from nightlight.imaging.decoders.opened import OpenedUpload
from nightlight.imaging.decoders.plane_rows import libavif
from nightlight.imaging.decoders.png import OpenedPng
from nightlight.imaging.decoders.webp import OpenedWebp, libwebp
from nightlight.imaging.formats import FORMATS, Format

if TYPE_CHECKING:
    from nightlight.imaging.decoders.opened import Readable
    from nightlight.imaging.header import Header

# Formats whose decoder is a library that may not be callable here: then Pillow decodes, in its own memory.
_CLASSES: dict[Format, Callable[[], type[OpenedUpload]]] = {
    Format.JPEG: lambda: OpenedJpeg,
    Format.PNG: lambda: OpenedPng,
    Format.GIF: lambda: OpenedGif,
    Format.WEBP: lambda: OpenedWebp if libwebp() else OpenedUpload,
    Format.AVIF: lambda: OpenedAvif if libavif() else OpenedUpload,
    Format.HEIC: lambda: OpenedHeic if libheif() else OpenedUpload,
    Format.JXL: lambda: OpenedJxl if libjxl() else OpenedUpload,
}


def available_formats() -> frozenset[Format]:
    """Return the formats that can be decoded here; registers the decoders of installed extras with Pillow."""
    installed = [name for name, entry in FORMATS.items() if entry.register is None or entry.register()]
    return frozenset(name for name in installed if FORMATS[name].pillow or _CLASSES[name]() is not OpenedUpload)


def open_upload(data: Readable, header: Header) -> OpenedUpload:
    """Return the first frame of ``data``, opened; ``header`` is what ``probe`` read from the same bytes.

    Raises CorruptImage.
    """
    return _CLASSES.get(header.format, lambda: OpenedUpload)()(data, header)
