"""The header of an AVIF or HEIC, both of which are ISO base media files: boxes, and the lists in them.

Decoders look each item up among all items, so their work grows with the square of the longest list. Every list is
therefore bounded here.

Sources: ISO/IEC 14496-12 and 23008-12 with the AV1 Image File Format 1.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nightlight.imaging.header import Header, integer, u16, u32

if TYPE_CHECKING:
    from nightlight.imaging.formats import Format
    from nightlight.imaging.header_limits import HeaderTally

# Boxes that hold nothing but boxes, among those that a decoder of pictures opens.
_HOLDERS = frozenset({b"iprp", b"ipco", b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts"})
_DEEPEST = 8
# A picture has at most four channels; a box that states more is read no further than this.
_MOST_CHANNELS = 16


def read_isobmff_header(view: memoryview, tally: HeaderTally, format_: Format) -> Header:
    """Return the largest image spatial extents (``ispe``) in meta/iprp/ipco, and the most bits a sample (``pixi``).

    A file may hold several items (alpha, thumbnails, grid cells). The decoder allocates for the primary one, which is
    the largest item or the grid's whole, so the largest is the safe bound. Raises IndexError, ValueError or
    ImageTooComplex.
    """
    largest, bits, alpha, subsampled = (0, 0), 8, False, False
    for path, at, end in _walk(view, tally):
        item = path[-1]
        if path[:-1] != (b"meta", b"iprp", b"ipco"):
            continue
        if item == b"ispe":
            largest = max(largest, (u32(view, at + 4), u32(view, at + 8)), key=lambda extent: extent[0] * extent[1])
        elif item == b"pixi" and at + 5 < end:
            channels = min(view[at + 4], _MOST_CHANNELS)
            bits = max((bits, *view[at + 5 : min(end, at + 5 + channels)]))
        elif item == b"auxC":
            alpha |= b"alpha" in bytes(view[at : min(end, at + 100)])
        elif item == b"av1C" and not alpha:
            subsampled = view[at + 2] & 0x0C == 0x0C  # AV1 codec ISO media file format binding, 2.3.3
    samples = 1.5 if subsampled and not alpha else 3.0
    return Header(format_, *largest, bits=bits, alpha=alpha, animated=bytes(view[8:12]) == b"avis", samples=samples)


def _walk(view: memoryview, tally: HeaderTally) -> Iterator[tuple[tuple[bytes, ...], int, int]]:
    """Yield (types from the outermost, content's start, end) of every box that a decoder looks at; count its lists."""
    todo: list[tuple[tuple[bytes, ...], int, int]] = [((), 0, len(view))]
    while todo:
        outer, start, end = todo.pop()
        for kind, at, stop in _boxes(view, start, end, tally):
            path = (*outer, kind)
            yield path, at, stop
            if kind in _LISTS:
                tally.check_list(_LISTS[kind](view, at, stop, tally))
            if len(path) >= _DEEPEST:
                continue
            if kind == b"meta":  # a full box: version and flags come first
                todo.append((path, at + 4, stop))
            elif kind in _HOLDERS:
                todo.append((path, at, stop))


def _boxes(view: memoryview, start: int, end: int, tally: HeaderTally) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, content's start, end) of the boxes between two offsets."""
    while start + 8 <= end:
        tally.segment()
        size, header = u32(view, start), 8
        if size == 1:
            size, header = integer(view, start + 8, 8), 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            raise ValueError(start)
        yield bytes(view[start + 4 : start + 8]), start + header, start + size
        start += size


# A full box's count has 16 bits, or 32 from a version on.
def _items(view: memoryview, at: int, _end: int, _tally: HeaderTally) -> int:
    return u32(view, at + 4) if view[at] >= 1 else u16(view, at + 4)


def _locations(view: memoryview, at: int, _end: int, _tally: HeaderTally) -> int:
    return u32(view, at + 6) if view[at] >= 2 else u16(view, at + 6)


def _references(view: memoryview, at: int, end: int, tally: HeaderTally) -> int:
    """Return how many references there are in all, each box of which names those of one item."""
    wide = 4 if view[at] else 2
    return sum(u16(view, start + wide) for _, start, _ in _boxes(view, at + 4, end, tally))


def _entries(view: memoryview, at: int, _end: int, _tally: HeaderTally) -> int:
    return u32(view, at + 4)


# Lists in which a decoder looks things up one by one. Chunks of samples (stsc) are looked up for each chunk.
_LISTS = {
    b"iinf": _items,
    b"iloc": _locations,
    b"ipma": _entries,
    b"iref": _references,
    b"stsc": _entries,
    b"stsd": _entries,
    b"dref": _entries,
}
