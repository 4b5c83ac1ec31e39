"""An upload that is open in the sandbox: what its decoder says of it, and its pixels once they are loaded.

``OpenedUpload`` reads with Pillow. A format that can do better (decode to a scale, by rows, in part) has a class of its
own in a file of this package, which ``nightlight.imaging.decoders`` names.
"""

from __future__ import annotations

import mmap
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from PIL import AvifImagePlugin, Image, ImageFile

from nightlight.imaging.crop import SIDEWAYS
from nightlight.imaging.exif import exif_orientation
from nightlight.imaging.formats import FORMATS, JPEG_PIXELS
from nightlight_core.errors import CorruptImage

if TYPE_CHECKING:
    from nightlight.imaging.crop import Box
    from nightlight.imaging.decode_notes import DecodeNote
    from nightlight.imaging.header import Header

    # A memory map reads like a file, though its type does not say so.
    Readable = IO[bytes] | mmap.mmap

ImageFile.LOAD_TRUNCATED_IMAGES = False
# The header is within the caps before a decoder is asked; beyond the largest of them Pillow warns, and that refuses.
Image.MAX_IMAGE_PIXELS = JPEG_PIXELS
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


class OpenedUpload:
    """The first frame of an upload.

    ``size``: (width, height) in pixels as stored. ``orientation``: EXIF's, 1 to 8. ``icc_profile``: the file's own, or
    None. ``cicp``: as the header states it, or, once the pixels are loaded, as they themselves do; else None.
    ``notes``: what the operator's log is to say of it.
    """

    cicp: tuple[int, int, int] | None = None
    notes: Sequence[DecodeNote] = ()
    _image: Image.Image

    def __init__(self, data: Readable, header: Header) -> None:
        """Open ``data``, whose header ``probe`` has read. Raises CorruptImage."""
        self._header, self.cicp = header, header.cicp
        with refusing(header):
            self._image = Image.open(cast("IO[bytes]", data), formats=FORMATS[header.format].pillow)
            if not _fits(self._image.size, header):
                raise CorruptImage(f"{header.format}: the decoder sees {self._image.size}, the header said otherwise")
            self._open()
            self.size = self._image.size
            exif = self._image.info.get("exif")
            self.orientation = exif_orientation(exif if isinstance(exif, bytes) else b"")

    def _open(self) -> None:
        """Read as much as the orientation needs: the whole, since a PNG's may come after its pixels."""
        self._image.load()

    @property
    def icc_profile(self) -> bytes | None:
        """Return the ICC profile of the file; None without one."""
        profile = self._image.info.get("icc_profile")
        return profile if isinstance(profile, bytes) and profile else None

    def load(self, box: Box, *, edge: int) -> tuple[Image.Image, Box]:
        """Return the picture (any mode, perhaps smaller than it is stored), and ``box`` in its pixels.

        ``box``: what is kept, in pixels as stored. ``edge``: the pixels that its shorter side needs. Raises
        CorruptImage.
        """
        with refusing(self._header):
            self._load(box, edge)
        across, down = self._image.width / self.size[0], self._image.height / self.size[1]
        return self._image, (box[0] * across, box[1] * down, box[2] * across, box[3] * down)

    def _load(self, box: Box, edge: int) -> None:
        """Load the pixels that are not loaded yet."""


def view_of(data: Readable) -> memoryview:
    """Return the bytes of an upload; of a memory map without copying them."""
    if isinstance(data, mmap.mmap):
        return memoryview(data)
    data.seek(0)
    return memoryview(data.read())


@contextmanager
def refusing(header: Header) -> Iterator[None]:
    """Turn whatever a decoder raises on bytes that it cannot read into CorruptImage."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except DECODER_ERRORS as error:
        raise CorruptImage(f"{header.format}: {type(error).__name__}: {error}") from error


def _fits(size: tuple[int, int], header: Header) -> bool:
    """Say whether a decoder sees the size that the header states.

    Where the header states the size of coded blocks, the picture is a part of them. Some decoders have turned it
    upright already.
    """
    promised = (header.width, header.height)
    if FORMATS[header.format].exact_size:
        return size == promised or (header.orientation in SIDEWAYS and size == promised[::-1])
    return any(
        abs(size[0] - width) < CODED_BLOCK and abs(size[1] - height) < CODED_BLOCK
        for width, height in (promised, promised[::-1])
    )
