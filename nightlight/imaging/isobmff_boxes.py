"""The boxes of an ISO base media file, and how long the lists in them are. Source: ISO/IEC 14496-12, 4.2."""

from __future__ import annotations

from collections.abc import Iterator

from nightlight.imaging.header import integer, u16, u32
from nightlight.imaging.header_limits import UNBOUNDED, HeaderTally
from nightlight_core.errors import TruncatedImage

# Boxes that hold nothing but boxes, among those that a decoder of pictures opens.
_HOLDERS = frozenset({b"iprp", b"ipco", b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts"})
_NEEDED = frozenset({b"meta", b"moov"})
_DEEPEST = 8


def walk(view: memoryview, tally: HeaderTally) -> Iterator[tuple[tuple[bytes, ...], int, int]]:
    """Yield (types from the outermost, content's start, end) of every box that a decoder looks at; count its lists."""
    todo: list[tuple[tuple[bytes, ...], int, int]] = [((), 0, len(view))]
    while todo:
        outer, start, end = todo.pop()
        for kind, at, stop in boxes(view, start, end, tally, outermost=not outer):
            path = (*outer, kind)
            if kind in _LISTS:
                tally.check_list(_LISTS[kind](view, at, stop, tally))
            yield path, at, stop
            if len(path) >= _DEEPEST:
                continue
            if kind == b"meta":  # a full box: version and flags come first
                todo.append((path, at + 4, stop))
            elif kind in _HOLDERS:
                todo.append((path, at, stop))


def boxes(
    view: memoryview,
    start: int,
    end: int,
    tally: HeaderTally,
    *,
    listed: bool = False,
    outermost: bool = False,
    cut: bool = False,
) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, content's start, end) of the boxes between two offsets; those of a list count as its parts.

    ``outermost``: the boxes are those of the file. The last of them may reach beyond its end: decoders look no further
    than what the picture needs. ``cut``: the last may end too early, and counts. Raises IndexError or ValueError, or
    TruncatedImage where the picture needs the outermost box that is cut off.
    """
    while start + 8 <= end:
        if listed:
            tally.piece()
        else:
            tally.segment()
        size, header = u32(view, start), 8
        if size == 1:
            size, header = integer(view, start + 8, 8), 16
        elif size == 0:
            size = end - start
        if size < header:
            raise ValueError(start)
        if start + size > end and not cut:
            if not (outermost and start):
                raise ValueError(start)
            if bytes(view[start + 4 : start + 8]) in _NEEDED:
                raise TruncatedImage("0 % of the rows arrived; it ends before its pixels")
            return
        yield bytes(view[start + 4 : start + 8]), start + header, min(start + size, end)
        start += size


def is_cut_off(view: memoryview) -> bool:
    """Say whether the last box of a file reaches beyond its end."""
    tally, end = HeaderTally(UNBOUNDED), 0
    for _, _, end in boxes(view, 0, len(view), tally, outermost=True):  # noqa: B007 - the last end
        pass
    return end < len(view)


# A full box's count has 16 bits, or 32 from a version on.
def _items(view: memoryview, at: int, _end: int, _tally: HeaderTally) -> int:
    return u32(view, at + 4) if view[at] >= 1 else u16(view, at + 4)


def _locations(view: memoryview, at: int, _end: int, _tally: HeaderTally) -> int:
    return u32(view, at + 6) if view[at] >= 2 else u16(view, at + 6)


def _references(view: memoryview, at: int, end: int, tally: HeaderTally) -> int:
    """Return how many references there are in all, each box of which names those of one item."""
    wide = 4 if view[at] else 2
    return sum(u16(view, start + wide) for _, start, _ in boxes(view, at + 4, end, tally))


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
