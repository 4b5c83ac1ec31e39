"""The header of a JPEG: its markers, from the first to the end of the last scan.

libjpeg decodes every JPEG here, and this reader passes over what libjpeg passes over: bytes without meaning between
segments, and segments whose stated length is none. The decoder gets the file up to ``Header.end`` and nothing of what
follows. The reader searches between markers in windows, at the speed of C: a Python loop a byte would itself be as slow
as what it is to prevent.

Source: ITU-T T.81, B.1 and B.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nightlight.imaging.header import Header, u16
from nightlight_core.errors import TruncatedImage

if TYPE_CHECKING:
    from nightlight.imaging.formats import Format
    from nightlight.imaging.header_limits import HeaderTally

# Each step holds the interpreter for some 50 microseconds; for 0.5 ms where every second byte is all ones.
_WINDOW = 1 << 16
_FILL = b"\xff"
_TEM, _SOI, EOI, SOS, APP1, APP2 = 0x01, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2
_RESTARTS = frozenset(range(0xD0, 0xD8))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE, _ARITHMETIC = frozenset({0xC2, 0xC6, 0xCA, 0xCE}), frozenset(range(0xC9, 0xD0)) - {0xCC}
# Markers without a length, as far as their bytes are counted here. libjpeg refuses those that are reserved.
_BARE = frozenset({_TEM, _SOI, 0xC8, *range(0xF0, 0xFE)}) | _RESTARTS
# Segments that libjpeg passes over by their length; it takes a length of less than its own two bytes for two.
_SKIPPED = frozenset({0xDC, 0xFE, *range(0xE0, 0xF0)})
# Segments between scans that have a length.
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD}) | _SKIPPED
# In data a byte of all ones is followed by a zero or is a restart: whatever else follows it is a marker.
_MARK = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_MARK_OR_RESTART = re.compile(rb"\xff[\xc0-\xfe]")
_LEAST_MARKER, _RESTART_INTERVAL, _MOST_LOST = 0xC0, 0xDD, 1 << 20
_BLOCK = 8
_COLOURS = {1: "grey", 3: "rgb", 4: "cmyk"}
# The most components of a scan, the last coefficient of a block, and the most bits by which values may be shifted.
_MOST_COMPONENTS, _LAST, _MOST_SHIFT = 4, 63, 13


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan: its components' ids, the first and last coefficient it codes, and the bits before and after it.

    ``before`` is 0 in the first scan of its coefficients, and ``after`` in the last.
    """

    components: tuple[int, ...]
    first: int
    last: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Scans:
    """The scans of a JPEG, in order; ``blocks``: the number of 8 x 8 blocks of each component by its id."""

    blocks: dict[int, int]
    scans: list[Scan] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Frame:
    """The frame header, and the number of blocks of each component by its id."""

    header: Header
    blocks: dict[int, int]


def read_jpeg_header(view: memoryview, tally: HeaderTally, format_: Format) -> Header:
    """Return what the frame header states and what the scans cost.

    Raises IndexError, ValueError, ImageTooComplex, or TruncatedImage for a file that ends before its first scan.
    """
    return _read(view, tally, format_)[0]


def read_scans(view: memoryview, tally: HeaderTally, format_: Format) -> Scans:
    """Return the scans of a JPEG that the header reader takes. Raises as that does."""
    return _read(view, tally, format_)[1]


def header_segments(view: memoryview, tally: HeaderTally) -> Iterator[tuple[int, int]]:
    """Yield each marker and where its segment begins, with its length, up to and with the first scan's.

    Raises IndexError at the end of the file.
    """
    at = 2
    while True:
        marker, at = _next(view, at, tally)
        tally.segment()
        yield marker, at
        if marker == SOS:
            return
        if marker not in _BARE:
            at += _length(view, at, marker)


def _read(view: memoryview, tally: HeaderTally, format_: Format) -> tuple[Header, Scans]:
    frame, at, interval = None, 0, 0
    try:
        for marker, at in header_segments(view, tally):
            if marker == _RESTART_INTERVAL:
                interval = u16(view, at + 2)
            if marker in _FRAMES:
                if frame is not None:
                    raise ValueError(at)
                frame = _frame(view, at, marker, format_)
            elif marker == EOI or (marker == SOS and frame is None):
                raise ValueError(at)
        if frame is None:  # the first scan ends the loop, and comes behind a frame header
            raise ValueError(at)
        header, scans = _scanned(view, at, frame, interval, tally)
    except IndexError as error:
        if frame is None:
            raise
        raise TruncatedImage(f"{format_}: 0 % of the rows arrived; it ends before its first scan") from error
    return replace(header, pieces=tally.segments + tally.fill_bytes), scans


def _next(view: memoryview, at: int, tally: HeaderTally) -> tuple[int, int]:
    """Return the next marker and where its segment begins; what is passed over counts as fill."""
    while True:
        window = bytes(view[at : at + _WINDOW])
        if not window:
            raise IndexError(at)
        junk = window.find(_FILL)
        if junk:
            tally.fill(len(window) if junk < 0 else junk)
            at += len(window) if junk < 0 else junk
            continue
        run = len(window) - len(window.lstrip(_FILL))
        tally.fill(run - 1)
        at += run
        if run == len(window) == _WINDOW:
            at -= 1  # the marker may stand in the next window
            continue
        marker = view[at]
        at += 1
        if marker == 0:  # an escaped byte
            tally.fill(2)
            continue
        return marker, at


def _scanned(view: memoryview, at: int, frame: _Frame, interval: int, tally: HeaderTally) -> tuple[Header, Scans]:
    """Return the header with what its scans, the first of which begins at ``at``, make a decoder do.

    ``interval``: the blocks from one restart to the next, 0 without restarts, as it stands before the first scan.
    """
    scans = Scans(frame.blocks)
    progressive, staged = frame.header.staged, frame.header.staged
    begin, end, closed, marker = at, len(view), False, SOS
    try:
        while True:
            if marker == SOS:
                tally.scan()
                scans.scans.append(_scan(view, at, frame, progressive=progressive))
                # Components apart: the whole picture's coefficients are kept.
                staged |= len(scans.scans[-1].components) < len(frame.blocks)
                end = len(view)
            elif marker == _RESTART_INTERVAL:
                interval = u16(view, at + 2)
            at = _marker(view, at if marker == _TEM else at + _length(view, at, marker), interval, tally)
            tally.segment()
            if marker == SOS:
                end = at - 1
            marker = view[at]
            at += 1
            if marker == EOI:
                end, closed = at, True
            if not staged or not (marker in _TABLES or marker in {SOS, _TEM}):
                break  # the picture has its one scan; or what follows is none of it
    except (IndexError, ValueError):
        # Cut off, or no scan of this frame: the decoder gets what came before.
        if not scans.scans:
            raise
    visits = [(scan.last > 0, sum(frame.blocks[part] for part in scan.components)) for scan in scans.scans]
    header = replace(
        frame.header,
        staged=staged,
        end=end,
        closed=closed,
        coded_bytes=end - begin,
        blocks=sum(count for beyond, count in visits if beyond),
        means=sum(count for beyond, count in visits if not beyond),
    )
    return header, scans


def _scan(view: memoryview, at: int, frame: _Frame, *, progressive: bool) -> Scan:
    """Return the scan whose header begins at a place; raise ValueError for what libjpeg refuses."""
    count = view[at + 2]
    components = tuple(view[at + 3 + 2 * index] for index in range(count))
    first, last, bits = view[at + 3 + 2 * count], view[at + 4 + 2 * count], view[at + 5 + 2 * count]
    before, after = bits >> 4, bits & 15
    if not 1 <= count <= _MOST_COMPONENTS or u16(view, at) != 6 + 2 * count:
        raise ValueError(at)
    if any(component not in frame.blocks for component in components):
        raise ValueError(at)
    if progressive:
        one_kind = last == 0 if first == 0 else count == 1
        refines = before in (0, after + 1)
        if not (one_kind and first <= last <= _LAST and after <= _MOST_SHIFT and refines):
            raise ValueError(at)
        return Scan(components, first, last, before, after)
    return Scan(components, 0, _LAST, 0, 0)


def _marker(view: memoryview, at: int, interval: int, tally: HeaderTally) -> int:
    """Return where the next marker's code is, behind data."""
    while True:
        code = _search(_MARK, view, at, tally)
        if not interval or view[code] >= _LEAST_MARKER:
            return code
        # libjpeg goes on at the next restart, if there is one before the data end; it is looked for nearby.
        try:
            at = _search(_MARK_OR_RESTART, view[: code + _MOST_LOST], code, tally)
        except IndexError:
            return code
        if view[at] not in _RESTARTS:
            return code
        tally.fill(2)


def _search(pattern: re.Pattern[bytes], view: memoryview, at: int, tally: HeaderTally) -> int:
    """Return where the code of the next marker of a pattern is. Raises IndexError where there is none."""
    while True:
        end = at + _WINDOW
        mark = pattern.search(view, at, end)
        if mark is not None:
            tally.fill(_run(view[at : mark.start()]))
            return mark.start() + 1
        if end > len(view):
            raise IndexError(at)
        tally.fill(max(0, _run(view[at:end]) - 1))
        at = end - 1


def _run(window: memoryview) -> int:
    """Return the number of bytes of all ones at the end of a window."""
    if not window or window[-1] != _FILL[0]:
        return 0
    return len(window) - len(bytes(window).rstrip(_FILL))


def _length(view: memoryview, at: int, marker: int) -> int:
    length = u16(view, at)
    if length < 2 and marker not in _SKIPPED:
        raise ValueError(at)
    return max(2, length)


def _frame(view: memoryview, at: int, marker: int, format_: Format) -> _Frame:
    count = view[at + 7]
    colour = _COLOURS.get(count)
    if colour is None:
        raise ValueError(at)
    parts = [bytes(view[at + 8 + 3 * index : at + 11 + 3 * index]) for index in range(count)]
    sampling = [(part[1] >> 4, part[1] & 15) for part in parts]
    if not all(1 <= across <= 4 and 1 <= down <= 4 for across, down in sampling):
        raise ValueError(at)
    height, width = u16(view, at + 3), u16(view, at + 5)
    widest, tallest = max(across for across, _ in sampling), max(down for _, down in sampling)
    blocks = {
        part[0]: -(-width * across // (widest * _BLOCK)) * -(-height * down // (tallest * _BLOCK))
        for part, (across, down) in zip(parts, sampling, strict=True)
    }
    header = Header(
        format_,
        width=width,
        height=height,
        bits=view[at + 2],
        colour=colour,
        staged=marker in _PROGRESSIVE,
        samples=sum(across * down for across, down in sampling) / (widest * tallest),
        arithmetic=marker in _ARITHMETIC,
    )
    return _Frame(header, blocks)
