"""The headers of AVIF and HEIC: boxes and the lists in them, read from integers at declared places.

Decoders look each item up among all that they know, so their work grows with the square of the longest list; every
list is therefore bounded here.

Sources: ISO/IEC 14496-12 and 23008-12 with the AV1 Image File Format 1.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from nightlight.imaging.header_readers import Format, Header, integer, u16, u32

if TYPE_CHECKING:
    from nightlight.imaging.header_limits import Tally

# Boxes that hold nothing but boxes, as far as a decoder of pictures goes into them.
_HOLDERS = frozenset({b"iprp", b"ipco", b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts"})
_DEEPEST = 8
# Four channels are the most that a picture has; whatever else a box of bits says is not read.
_MOST_CHANNELS = 16


def avif(view: memoryview, tally: Tally) -> Header:
    """Return the largest image spatial extents (``ispe``) in meta/iprp/ipco, and the most bits a sample (``pixi``).

    A file may hold several items (alpha, thumbnails, grid cells); the decoder allocates for the primary
    one, which is the largest or the grid's whole, so the largest is the safe bound.
    """
    best, bits, alpha, subsampled = (0, 0), 8, False, False
    for path, at, end in _walk(view, tally):
        item = path[-1]
        if path[:-1] != (b"meta", b"iprp", b"ipco"):
            continue
        if item == b"ispe":
            best = max(best, (u32(view, at + 4), u32(view, at + 8)), key=lambda wh: wh[0] * wh[1])
        elif item == b"pixi" and at + 5 < end:
            channels = min(view[at + 4], _MOST_CHANNELS)
            bits = max((bits, *view[at + 5 : min(end, at + 5 + channels)]))
        elif item == b"auxC":
            alpha |= b"alpha" in bytes(view[at : min(end, at + 100)])
        elif item == b"av1C" and not alpha:
            subsampled = view[at + 2] & 0x0C == 0x0C  # AV1 codec ISO media file format binding, 2.3.3
    samples = 1.5 if subsampled and not alpha else 3.0
    return Header(Format.AVIF, *best, bits=bits, alpha=alpha, animated=bytes(view[8:12]) == b"avis", samples=samples)


def heic(view: memoryview, tally: Tally) -> Header:
    """Read as ``avif`` does: both are ISO base media files."""
    return replace(avif(view, tally), format=Format.HEIC)


def _walk(view: memoryview, tally: Tally) -> Iterator[tuple[tuple[bytes, ...], int, int]]:
    """Yield (types from the outermost, content's start, end) of every box that a decoder looks at; count its lists."""
    todo: list[tuple[tuple[bytes, ...], int, int]] = [((), 0, len(view))]
    while todo:
        outer, start, end = todo.pop()
        for kind, at, stop in _boxes(view, start, end, tally):
            path = (*outer, kind)
            yield path, at, stop
            if kind in _LISTS:
                tally.listed(_LISTS[kind](view, at, stop, tally))
            if len(path) >= _DEEPEST:
                continue
            if kind == b"meta":  # a full box: version and flags come first
                todo.append((path, at + 4, stop))
            elif kind in _HOLDERS:
                todo.append((path, at, stop))


def _boxes(view: memoryview, start: int, end: int, tally: Tally) -> Iterator[tuple[bytes, int, int]]:
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


def _counted(view: memoryview, at: int, *, wide_from: int, skip: int = 0) -> int:
    """Return a full box's count: 16 bits, or 32 from a version on."""
    return u32(view, at + 4 + skip) if view[at] >= wide_from else u16(view, at + 4 + skip)


def _items(view: memoryview, at: int, _end: int, _tally: Tally) -> int:
    return _counted(view, at, wide_from=1)


def _locations(view: memoryview, at: int, _end: int, _tally: Tally) -> int:
    return _counted(view, at, wide_from=2, skip=2)


def _associations(view: memoryview, at: int, _end: int, _tally: Tally) -> int:
    return u32(view, at + 4)


def _references(view: memoryview, at: int, end: int, tally: Tally) -> int:
    """Return how many references there are in all, each box of which names those of one item."""
    wide = 4 if view[at] else 2
    return sum(u16(view, start + wide) for _, start, _ in _boxes(view, at + 4, end, tally))


def _entries(view: memoryview, at: int, _end: int, _tally: Tally) -> int:
    return u32(view, at + 4)


# Lists in which a decoder looks things up one by one. Chunks of samples (stsc) are looked up for each chunk.
_LISTS = {
    b"iinf": _items,
    b"iloc": _locations,
    b"ipma": _associations,
    b"iref": _references,
    b"stsc": _entries,
    b"stsd": _entries,
    b"dref": _entries,
}
