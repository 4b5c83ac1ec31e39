"""What a header reader returns, and the integers that it reads.

Each format has a reader, named in ``formats.FORMATS``. A reader takes integers at fixed or declared places and decodes
nothing. It counts what it meets with a ``header_limits.HeaderTally``, which raises ImageTooComplex beyond its bounds.
It raises IndexError or ValueError, with the offset, for what it cannot read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightlight.imaging.formats import Format


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of an upload states.

    ``width`` and ``height``: pixels as stored. ``bits``: bits a sample. ``colour``: ``grey``, ``rgb``, ``cmyk`` or
    ``palette``. ``alpha``: some pixels may be transparent. ``animated``: more than one frame may follow. ``staged``: a
    progressive JPEG, or an interlaced PNG or GIF. ``samples``: samples a pixel of a JPEG, AVIF or HEIC, chroma
    subsampling counted, or of a JPEG XL, every channel counted.

    How colours are coded, where the file says so without an ICC profile: ``cicp``: colour primaries, transfer
    characteristics and matrix coefficients by the numbers of ITU-T H.273 (PNG's cICP, the nclx of an AVIF or HEIC);
    ``srgb``: a PNG's sRGB chunk; ``gamma`` and ``chromaticities``: its gAMA and cHRM, times 100,000 (x and y of white,
    red, green and blue).

    For ``decode_memory``: ``lossless``: a WebP's pixels refer to those before them, so all are kept; a JPEG XL's are
    coded as they are. ``tile``: the
    width and height of the parts of a HEIC that can be decoded by themselves; None for a picture that is decoded whole.
    ``coded``: the pixels that an AVIF or HEIC decodes in all, alpha included.

    Of an AVIF or HEIC: ``aperture``: what is kept of the coded picture: left, top, and the coded width and height; None
    for all of it. ``orientation``: how it (or a JPEG XL) is turned, as EXIF's, 1 to 8. ``track``: there is no primary
    item, and the first frame of a sequence is shown.

    What the decoders of some formats go by: ``end``: where the coded data of a JPEG ends; what follows is not decoded.
    ``closed``: the mark that ends the picture stands there; without it an upload may have been cut off.
    ``frame_pixels``: pixels of the frame that is decoded, where the picture around it may be larger; 0 for the whole.

    The other fields are for ``decode_cost``. Of a JPEG: ``blocks`` and ``means`` count the visits of its scans to 8 x 8
    blocks, for more than the mean and for the mean alone; ``arithmetic``: it is coded so. ``coded_bytes``: the bytes of
    its scans, or of a PNG's pixels. ``pieces``: chunks, sub-blocks and single bytes that a reader takes one by one.
    ``aside_bytes``: bytes that a reader unpacks or joins beside the pixels. ``decode_s``: the estimate in CPU seconds
    of one core, which ``probe`` fills in.
    """

    format: Format
    width: int
    height: int
    bits: int = 8
    colour: str = "rgb"
    alpha: bool = False
    animated: bool = False
    staged: bool = False
    samples: float = 3.0
    lossless: bool = False
    tile: tuple[int, int] | None = None
    coded: int = 0
    aperture: tuple[int, int, int, int] | None = None
    orientation: int = 1
    track: bool = False
    cicp: tuple[int, int, int] | None = None
    srgb: bool = False
    gamma: int | None = None
    chromaticities: tuple[int, ...] | None = None
    end: int = 0
    closed: bool = True
    frame_pixels: int = 0
    blocks: int = 0
    means: int = 0
    coded_bytes: int = 0
    arithmetic: bool = False
    pieces: int = 0
    aside_bytes: int = 0
    decode_s: float = 0.0


def u16(view: memoryview, at: int) -> int:
    """Return the big-endian integer of two bytes at a place; raises IndexError past the end."""
    return integer(view, at, 2)


def u32(view: memoryview, at: int) -> int:
    """Return the big-endian integer of four bytes at a place; raises IndexError past the end."""
    return integer(view, at, 4)


def integer(view: memoryview, at: int, size: int, order: str = "big") -> int:
    """Return the unsigned integer of ``size`` bytes at a place; raises IndexError past the end."""
    piece = view[at : at + size]
    if len(piece) != size:
        raise IndexError(at)
    return int.from_bytes(piece, "little" if order == "little" else "big")
