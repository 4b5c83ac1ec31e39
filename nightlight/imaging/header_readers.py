"""What a header says: of PNG, WebP and GIF here, of JPEG in ``jpeg_header``, of AVIF and HEIC in ``isobmff``.

Integers are read at fixed or declared places; nothing is decoded. The work is bounded by what may be counted
(``bounds.Tally``), and beyond that raises ImageTooComplex. What cannot be read raises IndexError or ValueError with
the place.

Sources: W3C PNG 3rd edition, RFC 9649 (WebP), GIF89a.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightlight.imaging.header_limits import Tally

# A chunk of pixels or a frame is no segment if it holds so many bytes: libpng writes pixels in parts of 8,192, and
# 20 MB hold at most 140,000 of these, which are walked in 50 ms.
LEAST_DATA = 128
# PNG chunks that Pillow unpacks, each up to so many bytes (PngImagePlugin.MAX_TEXT_CHUNK), and deflate's best ratio.
_PACKED, _MOST_UNPACKED, _MOST_RATIO = frozenset({b"iCCP", b"zTXt", b"iTXt"}), 1 << 20, 1_032


class Format(StrEnum):
    """The formats of uploads. HEIC is accepted only where the caps say so."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"
    GIF = "gif"
    HEIC = "heic"


@dataclass(frozen=True, slots=True)
class Header:
    """What a header promises.

    ``width`` and ``height`` in pixels as stored; ``bits`` a sample; ``colour`` one of ``grey``, ``rgb``, ``cmyk``
    and ``palette``; ``alpha``: some pixels may be transparent; ``animated``: more than one frame may follow;
    ``staged``: a progressive JPEG or an interlaced PNG or GIF; ``lossless``: WebP's lossless kind;
    ``samples``: of a JPEG or AVIF, how many samples there are for each pixel, chroma subsampling counted.

    What decoding costs besides pixels (see ``effort``): of a JPEG ``blocks`` and ``means``, how often its scans visit
    8 x 8 blocks for more than their mean and for that alone, ``coded_bytes`` in them, and whether it is ``arithmetic``;
    ``pieces``: chunks, sub-blocks and single bytes that a reader takes one by one; ``aside_bytes``: what it unpacks or
    joins beside the pixels. ``decode_s``: the estimate, in CPU seconds of one core.
    """

    format: Format
    width: int
    height: int
    bits: int = 8
    colour: str = "rgb"
    alpha: bool = False
    animated: bool = False
    staged: bool = False
    lossless: bool = False
    samples: float = 3.0
    blocks: int = 0
    means: int = 0
    coded_bytes: int = 0
    arithmetic: bool = False
    pieces: int = 0
    aside_bytes: int = 0
    decode_s: float = 0.0


def png(view: memoryview, tally: Tally) -> Header:
    """Read IHDR, which must come first and whose checksum must be right, and walk the chunks as Pillow does.

    It takes one after the other, before the pixels and behind them, and stops at the second frame of an animation.
    """
    if u32(view, 8) != 13 or bytes(view[12:16]) != b"IHDR":
        raise ValueError(8)
    if zlib.crc32(view[12:29]) != u32(view, 29):
        raise ValueError(29)
    kind = view[25]
    colour = {0: "grey", 2: "rgb", 3: "palette", 4: "grey", 6: "rgb"}.get(kind)
    if colour is None:
        raise ValueError(25)
    frames: list[int] = []
    alpha, pixels, unpacked, pieces, at = kind in (4, 6), False, 0, 0, 33
    while at + 8 <= len(view):
        length, chunk = u32(view, at), bytes(view[at + 4 : at + 8])
        if chunk == b"IEND" or (chunk == b"fcTL" and pixels and len(frames) == 1 and frames[0] > 1):
            break
        if chunk not in (b"IDAT", b"fdAT") or length < LEAST_DATA:
            tally.segment()
        pieces += 1
        pixels |= chunk == b"IDAT"
        alpha |= chunk == b"tRNS" and not pixels
        if chunk == b"acTL":
            frames.append(u32(view, at + 8) if length >= 4 else 0)
        if chunk in _PACKED:
            unpacked += min(_MOST_UNPACKED, length * _MOST_RATIO)
        at += 12 + length
    return Header(
        Format.PNG,
        u32(view, 16),
        u32(view, 20),
        view[24],
        colour,
        alpha=alpha,
        animated=bool(frames),
        staged=view[28] != 0,
        pieces=pieces,
        aside_bytes=unpacked,
    )


def webp(view: memoryview, tally: Tally) -> Header:
    """Read the first chunk, lossy, lossless or extended (RFC 9649, 2.5 to 2.7), and count those behind it."""
    at = 12
    while at + 8 <= len(view):
        size = integer(view, at + 4, 4, "little")
        if bytes(view[at : at + 4]) != b"ANMF" or size < LEAST_DATA:
            tally.segment()
        at += 8 + size + (size & 1)
    kind = bytes(view[12:16])
    if kind == b"VP8X":
        flags = view[20]
        width, height = 1 + integer(view, 24, 3, "little"), 1 + integer(view, 27, 3, "little")
        # Which kind of data follows is not looked for: the dearer one is reckoned with.
        return Header(Format.WEBP, width, height, alpha=bool(flags & 0x10), animated=bool(flags & 0x02), lossless=True)
    if kind == b"VP8L":
        if view[20] != 0x2F:
            raise ValueError(20)
        bits = integer(view, 21, 4, "little")
        return Header(
            Format.WEBP, 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), alpha=bool(bits >> 28 & 1), lossless=True
        )
    if kind == b"VP8 ":
        if bytes(view[23:26]) != b"\x9d\x01\x2a":
            raise ValueError(23)
        return Header(Format.WEBP, integer(view, 26, 2, "little") & 0x3FFF, integer(view, 28, 2, "little") & 0x3FFF)
    raise ValueError(12)


def gif(view: memoryview, tally: Tally) -> Header:
    """Read the logical screen descriptor and walk to the first picture; how many frames follow is not counted."""
    width, height = integer(view, 6, 2, "little"), integer(view, 8, 2, "little")
    try:
        at = 13 + (3 * (2 << (view[10] & 7)) if view[10] & 0x80 else 0)
        while view[at] not in b",;":
            if view[at] != 0x21:  # Pillow passes over it, one byte at a time
                tally.fill(1)
                at += 1
                continue
            tally.segment()
            at += 2
            while view[at]:
                tally.piece()
                at += 1 + view[at]
            at += 1
    except IndexError:
        pass  # cut off before its picture: for the decoder to refuse
    pieces = tally.pieces + tally.fill_bytes
    return Header(Format.GIF, width, height, colour="palette", alpha=True, animated=True, staged=True, pieces=pieces)


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
