"""The header of a JPEG: its markers, from the first to the end of the file.

Pillow reads the markers up to the first scan, byte by byte where they mean nothing to it; libjpeg reads all of them.
This reader follows both, so that neither meets more than was counted. It searches between markers in windows, at the
speed of C: a Python loop a byte would itself be as slow as what it is to prevent.

Source: ITU-T T.81, B.1 and B.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nightlight.imaging.header import Header, u16

if TYPE_CHECKING:
    from nightlight.imaging.formats import Format
    from nightlight.imaging.header_limits import HeaderTally

# Each step holds the interpreter for some 50 microseconds.
_WINDOW = 1 << 16
_FILL = b"\xff"
_TEM, _SOI, _EOI, _SOS, _APP1 = 0x01, 0xD8, 0xD9, 0xDA, 0xE1
# Copying takes so much less than unpacking.
_COPIES = 8
_EXIF = b"Exif\0\0"
_RESTARTS = frozenset(range(0xD0, 0xD8))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE, _ARITHMETIC = frozenset({0xC2, 0xC6, 0xCA, 0xCE}), frozenset(range(0xC9, 0xD0)) - {0xCC}
# Markers whose payload Pillow does not skip: it goes through it byte by byte, up to the next marker.
_NOT_SKIPPED = frozenset({0xC8, *range(0xF0, 0xFE)})
# Markers between scans that have a length and are passed over.
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})
# In data a byte of all ones is followed by a zero or is a restart: whatever else follows it is a marker.
_MARK = b"\xff\x01"
_CLASSES = bytes(0xFF if byte == 0xFF else 0 if byte == 0 or byte in _RESTARTS else 1 for byte in range(256))
_BLOCK = 8
_COLOURS = {1: "grey", 3: "rgb", 4: "cmyk"}


@dataclass(frozen=True, slots=True)
class _Frame:
    """The frame header, with the number of 8 x 8 blocks of each component by its id."""

    header: Header
    blocks: dict[int, int]


def read_jpeg_header(view: memoryview, tally: HeaderTally, format_: Format) -> Header:
    """Return what the frame header states and what the scans cost. Raises IndexError, ValueError or ImageTooComplex."""
    at, frame, exif, joined = 2, None, 0, 0
    try:
        while True:
            marker, at = _next(view, at, tally)
            tally.segment()
            if marker in _FRAMES:
                frame = _frame(view, at, marker, format_)
            elif marker == _EOI or (marker == _SOS and frame is None):
                raise ValueError(at)
            elif marker == _SOS and frame is not None:
                break
            elif marker in _NOT_SKIPPED or marker in _RESTARTS or marker in (_TEM, _SOI):
                continue
            length = _length(view, at)
            if marker == _APP1 and bytes(view[at + 2 : at + 8]) == _EXIF:
                exif += length
                joined += exif // _COPIES  # Pillow adds part to part, and copies what it has each time
            at += length
    except IndexError:
        if frame is None:
            raise
        return frame.header  # cut off behind its size: for the decoder to refuse
    header = replace(frame.header, aside_bytes=joined, pieces=tally.segments + tally.fill_bytes)
    return _scanned(view, at, replace(frame, header=header), tally)


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


def _scanned(view: memoryview, at: int, frame: _Frame, tally: HeaderTally) -> Header:
    """Return the header with what its scans, the first of which begins at ``at``, make a decoder do."""
    header, begin = frame.header, at
    visits = plain = 0
    marker = _SOS
    try:
        while marker != _EOI:
            if marker == _SOS:
                tally.scan()
                parts = view[at + 2]
                visited = [frame.blocks[view[at + 3 + 2 * index]] for index in range(parts)]
                if view[at + 4 + 2 * parts]:  # beyond the mean of each block
                    visits += sum(visited)
                else:
                    plain += sum(visited)
                if parts < len(frame.blocks):  # the whole picture's coefficients are kept
                    header = replace(header, staged=True)
            elif marker not in _TABLES and marker != _TEM:
                break  # an error for the decoder
            if marker != _TEM:
                at += _length(view, at)
            at = _marker(view, at, tally)
            marker = view[at]
            tally.segment()
            at += 1
    except (IndexError, KeyError, ValueError):
        pass  # cut off, or no scan of this frame: the decoder gets no further either
    return replace(header, blocks=visits, means=plain, coded_bytes=min(at, len(view)) - begin)


def _marker(view: memoryview, at: int, tally: HeaderTally) -> int:
    """Return where the next marker's code is, behind data."""
    while True:
        window = bytes(view[at : at + _WINDOW])
        offset = window.translate(_CLASSES).find(_MARK)
        if offset >= 0:
            tally.fill(offset - len(window[:offset].rstrip(_FILL)))
            return at + offset + 1
        if len(window) < _WINDOW:
            raise IndexError(at)
        tally.fill(max(0, len(window) - len(window.rstrip(_FILL)) - 1))
        at += _WINDOW - 1


def _length(view: memoryview, at: int) -> int:
    length = u16(view, at)
    if length < 2:
        raise ValueError(at)
    return length


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
