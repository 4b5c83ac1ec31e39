"""The header of a PNG. Source: W3C PNG, 3rd edition."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nightlight.imaging.header import Header, u32
from nightlight.imaging.png_colour import read_png_colours

if TYPE_CHECKING:
    from nightlight.imaging.formats import Format
    from nightlight.imaging.header_limits import HeaderTally

# A chunk of pixels of this many bytes is no segment: libpng writes pixels in parts of 8,192. 20 MB hold at most 140,000
# chunks of 128 bytes, which are walked in 50 ms.
LEAST_DATA_BYTES = 128
# PNG chunks that Pillow unpacks, each up to so many bytes (PngImagePlugin.MAX_TEXT_CHUNK), and deflate's best ratio.
_PACKED, _MOST_UNPACKED, _MOST_RATIO = frozenset({b"iCCP", b"zTXt", b"iTXt"}), 1 << 20, 1_032


def read_png_header(view: memoryview, tally: HeaderTally, format_: Format) -> Header:
    """Return what IHDR states, and count the chunks that Pillow reads.

    IHDR must come first and its checksum must be right. Pillow reads chunks before and behind the pixels, up to the
    second frame of an animation. Raises IndexError, ValueError or ImageTooComplex.
    """
    if u32(view, 8) != 13 or bytes(view[12:16]) != b"IHDR":
        raise ValueError(8)
    if zlib.crc32(view[12:29]) != u32(view, 29):
        raise ValueError(29)
    colour_type = view[25]
    colour = {0: "grey", 2: "rgb", 3: "palette", 4: "grey", 6: "rgb"}.get(colour_type)
    if colour is None:
        raise ValueError(25)
    frames: list[int] = []
    alpha, pixels, unpacked, pieces, at = colour_type in (4, 6), False, 0, 0, 33
    while at + 8 <= len(view):
        length, chunk = u32(view, at), bytes(view[at + 4 : at + 8])
        if chunk == b"IEND" or (chunk == b"fcTL" and pixels and len(frames) == 1 and frames[0] > 1):
            break
        if chunk not in (b"IDAT", b"fdAT") or length < LEAST_DATA_BYTES:
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
        format_,
        u32(view, 16),
        u32(view, 20),
        view[24],
        colour,
        alpha=alpha,
        animated=bool(frames),
        staged=view[28] != 0,
        pieces=pieces,
        aside_bytes=unpacked,
        **read_png_colours(view, _chunks(view)),
    )


def _chunks(view: memoryview) -> Iterator[tuple[bytes, int, int]]:
    at = 8
    while at + 8 <= len(view):
        length = u32(view, at)
        yield bytes(view[at + 4 : at + 8]), at + 8, length
        at += 12 + length
