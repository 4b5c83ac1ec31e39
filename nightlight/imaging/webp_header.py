"""The header of a WebP. Source: RFC 9649, sections 2.5 to 2.7."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.imaging.header import Header, integer
from nightlight_core.errors import TruncatedImage

if TYPE_CHECKING:
    from nightlight.imaging.formats import Format
    from nightlight.imaging.header_limits import HeaderTally

# A frame of this many bytes is no segment, as in ``png_header``.
LEAST_DATA_BYTES = 128
PROFILE, _ALPHA, _ANIMATION = 0x20, 0x10, 0x02
# Before the chunks of an animation's frame: its place, its size, its duration and two flags.
_FRAME_HEAD = 16


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk: its name, where its payload begins and ends in the file, and whether all of it is there."""

    name: bytes
    begin: int
    end: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """The first frame: the bytes from its alpha or its pixels on, its size, and its place on the canvas, in pixels."""

    begin: int
    end: int
    width: int
    height: int
    lossless: bool
    alpha: bool
    left: int = 0
    top: int = 0


def read_webp_header(view: memoryview, tally: HeaderTally, format_: Format) -> Header:
    """Return what the first chunk and the first frame state, and count the chunks.

    Raises IndexError, ValueError, ImageTooComplex, or TruncatedImage where the first frame is cut off.
    """
    for chunk in chunks(view, 12, len(view)):
        if chunk.name != b"ANMF" or chunk.end - chunk.begin < LEAST_DATA_BYTES:
            tally.segment()
        else:
            tally.piece()
    frame = first_frame(view, tally)
    width, height, flags = canvas(view) or (frame.width, frame.height, 0)
    covered = (frame.left, frame.top, frame.width, frame.height) == (0, 0, width, height)
    beyond = frame.left + frame.width > width or frame.top + frame.height > height
    if beyond or (not flags & _ANIMATION and not covered):
        raise ValueError(24)  # libwebp refuses it too
    return Header(
        format_,
        width,
        height,
        alpha=frame.alpha or not covered,
        animated=bool(flags & _ANIMATION),
        lossless=frame.lossless,
    )


def canvas(view: memoryview) -> tuple[int, int, int] | None:
    """Return the width, the height and the flags of an extended file; None for a simple one."""
    if bytes(view[12:16]) != b"VP8X":
        return None
    return 1 + integer(view, 24, 3, "little"), 1 + integer(view, 27, 3, "little"), view[20]


def chunks(view: memoryview, begin: int, end: int) -> Iterator[Chunk]:
    """Yield the chunks between two offsets; a chunk that reaches beyond them is the last, and is not whole."""
    at = begin
    while at + 8 <= end:
        stop = at + 8 + integer(view, at + 4, 4, "little")
        yield Chunk(bytes(view[at : at + 4]), at + 8, min(stop, end), stop <= end)
        at = stop + (stop & 1)


def first_frame(view: memoryview, tally: HeaderTally | None = None) -> Frame:
    """Return the first frame of a still or animated file; count the chunks within an animation's frame.

    Raises IndexError, ValueError, ImageTooComplex or TruncatedImage.
    """
    parts, left, top = chunks(view, 12, len(view)), 0, 0
    extended = canvas(view)
    flags = extended[2] if extended else 0
    if flags & _ANIMATION:
        holder = next((chunk for chunk in parts if chunk.name == b"ANMF"), None)
        if holder is None:
            raise TruncatedImage("the file ends before its first frame")
        _check_whole(holder, view)
        at = holder.begin
        left, top = 2 * integer(view, at, 3, "little"), 2 * integer(view, at + 3, 3, "little")
        parts = chunks(view, at + _FRAME_HEAD, holder.end)
    begin = None
    for chunk in parts:
        if tally is not None and flags & _ANIMATION:
            tally.segment()
        if chunk.name == b"ALPH" and begin is None:
            begin = chunk.begin - 8
        if chunk.name in (b"VP8 ", b"VP8L"):
            _check_whole(chunk, view)
            width, height, alpha = _stated(view, chunk)
            # What an extended file's flags do not announce is not used, as in Chromium.
            if extended and not flags & _ALPHA:
                begin, alpha = None, False
            lossless = chunk.name == b"VP8L"
            start = chunk.begin - 8 if begin is None or lossless else begin
            return Frame(start, chunk.end, width, height, lossless, alpha or start == begin, left, top)
    raise TruncatedImage("the file ends before its pixels")


def _check_whole(chunk: Chunk, view: memoryview) -> None:
    if not chunk.whole:
        stated = integer(view, chunk.begin - 4, 4, "little")
        share = 100 * (chunk.end - chunk.begin) // max(1, stated)
        raise TruncatedImage(f"{share} % of the picture's {stated} bytes arrived")


def _stated(view: memoryview, chunk: Chunk) -> tuple[int, int, bool]:
    """Return the width, the height and whether there is alpha, from the beginning of the pixels."""
    at = chunk.begin
    if chunk.name == b"VP8L":
        if view[at] != 0x2F:
            raise ValueError(at)
        bits = integer(view, at + 1, 4, "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), bool(bits >> 28 & 1)
    if bytes(view[at + 3 : at + 6]) != b"\x9d\x01\x2a":
        raise ValueError(at + 3)
    return integer(view, at + 6, 2, "little") & 0x3FFF, integer(view, at + 8, 2, "little") & 0x3FFF, False
