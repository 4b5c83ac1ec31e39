"""Where the data of an AVIF's or HEIC's items lie in the file. Source: ISO/IEC 14496-12, 8.11.3."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from nightlight.imaging.header import integer, u16
from nightlight_core.errors import TruncatedImage

if TYPE_CHECKING:
    from nightlight.imaging.header_limits import HeaderTally

# Each extent's offset and length in bytes from the beginning of the file.
Extents = list[tuple[int, int]]
_LAST_VERSION = 2


def read_locations(view: memoryview, start: int, tally: HeaderTally) -> dict[int, Extents]:
    """Return the extents of every item whose data lie in the file itself, from the content of an ``iloc`` box.

    Raises IndexError or ImageTooComplex.
    """
    version, sizes = view[start], u16(view, start + 4)
    if version > _LAST_VERSION:
        return {}
    offset, length, base = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index = sizes & 15 if version else 0
    wide = 4 if version == _LAST_VERSION else 2
    at, items = start + 6 + wide, dict[int, Extents]()
    for _ in range(integer(view, start + 6, wide)):
        item, method = integer(view, at, wide), 0
        at += wide
        if version:
            method, at = u16(view, at) & 15, at + 2
        begin, count = integer(view, at + 2, base), u16(view, at + 2 + base)
        at += 4 + base
        extents: Extents = []
        for _ in range(count):
            tally.piece()
            at += index
            extents.append((begin + integer(view, at, offset), integer(view, at + offset, length)))
            at += offset + length
        if method == 0:
            items[item] = extents
    return items


def check_extents(view: memoryview, locations: dict[int, Extents], items: Collection[int], format_: str) -> None:
    """Raise TruncatedImage where a part of the items' data lies beyond the end of the file."""
    extents = [extent for item in items for extent in locations.get(item, ())]
    stated = sum(length for _, length in extents)
    arrived = sum(max(0, min(length, len(view) - begin)) for begin, length in extents)
    if arrived < stated:
        share = 100 * arrived // stated
        raise TruncatedImage(f"{format_}: {share} % of the picture's {stated} bytes arrived")
