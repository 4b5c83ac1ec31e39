"""The header of a PNG, and the walk over its chunks. Source: W3C PNG, 3rd edition."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.imaging.header import Header, u32
from nightlight.imaging.png_colour import read_png_colours

if TYPE_CHECKING:
    from nightlight.imaging.formats import Format
    from nightlight.imaging.header_limits import HeaderTally

# A chunk of pixels of this many bytes is no segment: libpng writes pixels in parts of 8,192. 64 MB hold at most 460,000
# chunks of 128 bytes, which are walked in half a second.
LEAST_DATA_BYTES = 128
# The most bytes to which a colour profile is unpacked, and deflate's best ratio.
MAX_PROFILE_BYTES, _MOST_RATIO = 1 << 20, 1_032
_PIXELS = frozenset({b"IDAT", b"fdAT"})
_SIGNATURE_BYTES, _FRAME_CONTROL_BYTES = 8, 26
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_COLOURS = {0: "grey", 2: "rgb", 3: "palette", 4: "grey", 6: "rgb"}


@dataclass(frozen=True, slots=True)
class AnimationFrame:
    """The place of an animation's frame in the picture, in pixels, by its fcTL."""

    width: int
    height: int
    left: int
    top: int


def png_chunks(view: memoryview) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's type, where its data begin, and their length; the last may reach beyond the file."""
    at, end = _SIGNATURE_BYTES, len(view)
    while at + 8 <= end:
        length = u32(view, at)
        yield bytes(view[at + 4 : at + 8]), at + 8, length
        at += 12 + length


def is_intact(view: memoryview, at: int, length: int) -> bool:
    """Say whether the chunk whose data begin at a place is there whole, with the checksum that it states."""
    end = at + length
    return end + 4 <= len(view) and zlib.crc32(view[at - 4 : end]) == u32(view, end)


def animation_frame(view: memoryview, at: int, length: int, size: tuple[int, int]) -> AnimationFrame | None:
    """Return the frame that an fcTL chunk places in a picture of ``size``; None if it is damaged or does not fit."""
    if length != _FRAME_CONTROL_BYTES or not is_intact(view, at, length):
        return None
    frame = AnimationFrame(*(u32(view, at + offset) for offset in (4, 8, 12, 16)))
    fits = frame.left + frame.width <= size[0] and frame.top + frame.height <= size[1]
    return frame if frame.width and frame.height and fits else None


def read_png_header(view: memoryview, tally: HeaderTally, format_: Format) -> Header:
    """Return what IHDR states, and count the chunks that are passed over.

    IHDR must come first and its checksum must be right. Chunks are walked before and behind the pixels, up to the
    second frame of an animation. Raises IndexError, ValueError or ImageTooComplex.
    """
    if u32(view, 8) != 13 or bytes(view[12:16]) != b"IHDR":
        raise ValueError(8)
    if zlib.crc32(view[12:29]) != u32(view, 29):
        raise ValueError(29)
    bits, colour_type = view[24], view[25]
    if bits not in _DEPTHS.get(colour_type, ()) or any(view[26:28]) or view[28] > 1:
        raise ValueError(24)
    colour = _COLOURS[colour_type]
    size = (u32(view, 16), u32(view, 20))
    content = _walk(view, tally, size)
    return Header(
        format_,
        *size,
        bits,
        colour,
        alpha=content.alpha or colour_type in (4, 6),
        animated=content.animated,
        staged=view[28] != 0,
        coded_bytes=content.coded,
        pieces=content.pieces,
        aside_bytes=content.profile,
        **read_png_colours(view, png_chunks(view)),
    )


@dataclass(slots=True)
class _Content:
    """What the chunks say of the picture, and how much they hold."""

    alpha: bool = False
    animated: bool = False
    pixels: bool = False
    frames: int = 0
    pieces: int = 0
    coded: int = 0
    profile: int = 0


def _walk(view: memoryview, tally: HeaderTally, size: tuple[int, int]) -> _Content:
    """Return what the chunks say, up to the last or to the second frame of an animation."""
    content = _Content()
    for chunk, at, length in png_chunks(view):
        if chunk == b"IEND" or (chunk == b"fcTL" and content.pixels and content.frames):
            break
        if chunk not in _PIXELS or length < LEAST_DATA_BYTES:
            tally.segment()
        content.pieces += 1
        if chunk in _PIXELS:
            content.pixels |= chunk == b"IDAT"
            content.coded += min(length, len(view) - at)
        elif chunk == b"fcTL" and content.animated:
            frame = animation_frame(view, at, length, size)
            content.frames += frame is not None
            content.alpha |= frame is not None and (frame.width, frame.height) != size
        elif not content.pixels:
            _take(content, view, chunk, at, length)
    return content


def _take(content: _Content, view: memoryview, chunk: bytes, at: int, length: int) -> None:
    """Take what a chunk before the pixels says."""
    if chunk == b"tRNS":
        content.alpha = True
    elif chunk == b"acTL":
        content.animated |= length >= 4 and u32(view, at) > 0
    elif chunk == b"iCCP" and not content.profile:
        content.profile = min(MAX_PROFILE_BYTES, length * _MOST_RATIO)
