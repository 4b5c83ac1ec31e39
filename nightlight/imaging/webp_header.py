"""The header of a WebP. Source: RFC 9649, sections 2.5 to 2.7."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.imaging.header import Header, integer

if TYPE_CHECKING:
    from nightlight.imaging.formats import Format
    from nightlight.imaging.header_limits import HeaderTally

# A frame of this many bytes is no segment, as in ``png_header``.
LEAST_DATA_BYTES = 128


def read_webp_header(view: memoryview, tally: HeaderTally, format_: Format) -> Header:
    """Return what the first chunk states, lossy, lossless or extended, and count those behind it.

    Raises IndexError, ValueError or ImageTooComplex.
    """
    at = 12
    while at + 8 <= len(view):
        size = integer(view, at + 4, 4, "little")
        if bytes(view[at : at + 4]) != b"ANMF" or size < LEAST_DATA_BYTES:
            tally.segment()
        at += 8 + size + (size & 1)
    first = bytes(view[12:16])
    if first == b"VP8X":
        flags = view[20]
        width, height = 1 + integer(view, 24, 3, "little"), 1 + integer(view, 27, 3, "little")
        # Which kind of data follows is not read: the estimates are of the dearer one.
        return Header(format_, width, height, alpha=bool(flags & 0x10), animated=bool(flags & 0x02))
    if first == b"VP8L":
        if view[20] != 0x2F:
            raise ValueError(20)
        bits = integer(view, 21, 4, "little")
        return Header(format_, 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), alpha=bool(bits >> 28 & 1))
    if first == b"VP8 ":
        if bytes(view[23:26]) != b"\x9d\x01\x2a":
            raise ValueError(23)
        return Header(format_, integer(view, 26, 2, "little") & 0x3FFF, integer(view, 28, 2, "little") & 0x3FFF)
    raise ValueError(12)
