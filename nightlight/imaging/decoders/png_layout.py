"""Which chunks of a PNG are read, and which data are the pixels of the frame that is shown.

Nothing else in the file is looked at: text is never unpacked, and a chunk that is damaged, unknown or out of its place
is as good as none. The checksums of pixels are not compared, which is as Chromium reads them.

Of an animation (acTL before the pixels) the first frame is shown. That is the picture itself if a frame's description
(fcTL) precedes it; if not, the first frame behind it, with nothing around it where it is smaller than the picture.

Source: W3C PNG, 3rd edition, 5.6 (order of chunks), 11.3.3.3 (iCCP) and 11.3.6 (animations).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from nightlight.imaging.crop import UPRIGHT
from nightlight.imaging.decode_notes import DecodeNote, NoteKind
from nightlight.imaging.exif import PREFIX, exif_orientation
from nightlight.imaging.header import u32
from nightlight.imaging.png_header import MAX_PROFILE_BYTES, AnimationFrame, animation_frame, is_intact, png_chunks

# The colour type of pictures with a palette.
INDEXED = 3
# The most bytes of data that are handed on at once.
PART_BYTES = 1 << 16
# One more than the standard allows, as in Chromium.
_NAME_BYTES = 80
_MOST_ENTRIES = 256
# A frame's data in an animation begin with a sequence number.
_SEQUENCE_BYTES = 4


@dataclass(slots=True)
class PngLayout:
    """What was read.

    ``depth``, ``colour_type`` and ``interlaced``: as IHDR states them. ``palette`` and ``transparency``: the data of
    PLTE and tRNS. ``parts``: where the pixels' data begin and end, chunk by chunk. ``frame``: where they lie in the
    picture; None for the whole of it. ``ended``: the last chunk is there.
    """

    depth: int
    colour_type: int
    interlaced: bool
    palette: bytes = b""
    transparency: bytes = b""
    orientation: int = UPRIGHT
    profile: bytes | None = None
    parts: list[tuple[int, int]] = field(default_factory=list)
    frame: AnimationFrame | None = None
    ended: bool = False
    notes: list[DecodeNote] = field(default_factory=list)


def read_layout(view: memoryview, size: tuple[int, int]) -> PngLayout:  # noqa: C901 - a table of chunks
    """Return the layout of a PNG whose header is good. Raises ValueError where the palette that it needs is damaged."""
    layout, animation = PngLayout(depth=view[24], colour_type=view[25], interlaced=view[28] != 0), _Animation()
    seen: set[bytes] = set()
    for kind, at, length in png_chunks(view):
        end = min(at + length, len(view))
        if kind == b"IEND":
            layout.ended = True
            break
        if kind == b"fcTL" and animation.frame is not None and layout.parts:
            break  # the second frame
        if kind == b"IDAT":
            layout.parts.append((at, end))
        elif kind in {b"fcTL", b"fdAT"}:
            if b"acTL" in seen:
                animation.take(view, kind, (at, end), size, before=not layout.parts)
        elif kind in _READ and kind not in seen and not layout.parts:
            early = kind == b"tRNS" and layout.colour_type == INDEXED and b"PLTE" not in seen
            if not early and is_intact(view, at, length) and _READ[kind](layout, view[at:end]):
                seen.add(kind)
    if layout.colour_type == INDEXED and not layout.palette:
        raise ValueError("no palette, or a damaged one")
    if animation.frame is not None and animation.parts and not animation.begins_with_picture:
        layout.parts, layout.frame = animation.parts, animation.frame
    return layout


@dataclass(slots=True)
class _Animation:
    """The first frame of an animation; ``begins_with_picture``: it is the picture itself."""

    frame: AnimationFrame | None = None
    begins_with_picture: bool = False
    parts: list[tuple[int, int]] = field(default_factory=list)

    def take(
        self, view: memoryview, kind: bytes, place: tuple[int, int], size: tuple[int, int], *, before: bool
    ) -> None:
        """Take a frame's description, or its data, which come before the picture or behind it."""
        begin, end = place
        if kind == b"fdAT":
            if self.frame is None:
                return
            self.parts.append((min(begin + _SEQUENCE_BYTES, end), end))
            return
        frame = animation_frame(view, begin, end - begin, size)
        if frame is not None:
            self.frame = self.frame or frame
            self.begins_with_picture |= before


def data_parts(view: memoryview, parts: list[tuple[int, int]]) -> Iterator[memoryview]:
    """Yield the data of the pixels, in parts of at most PART_BYTES."""
    for begin, end in parts:
        for at in range(begin, end, PART_BYTES):
            yield view[at : min(at + PART_BYTES, end)]


def whole_parts(view: memoryview, parts: list[tuple[int, int]]) -> Iterator[memoryview]:
    """Yield the data of the pixels, chunk by chunk."""
    for begin, end in parts:
        yield view[begin:end]


def _palette(layout: PngLayout, data: memoryview) -> bool:
    layout.palette = bytes(data[: len(data) // 3 * 3][: 3 * 256])
    return True


def _transparency(layout: PngLayout, data: memoryview) -> bool:
    if layout.colour_type == INDEXED and len(data) > _MOST_ENTRIES:
        return False
    layout.transparency = bytes(data[:_MOST_ENTRIES])
    return True


def _exif(layout: PngLayout, data: memoryview) -> bool:
    if bytes(data[: len(PREFIX)]) != PREFIX:  # browsers take no EXIF with a JPEG's prefix from a PNG
        layout.orientation = exif_orientation(data)
    return True


def _profile(layout: PngLayout, data: memoryview) -> bool:
    """Unpack a profile as far as the bound; one that is larger, or cannot be unpacked, is as good as none."""
    name_end = bytes(data[: _NAME_BYTES + 1]).find(b"\0")
    unpacker = zlib.decompressobj()
    try:
        if name_end < 1 or data[name_end + 1] != 0:  # the one method of compression
            raise ValueError(name_end)
        profile = unpacker.decompress(data[name_end + 2 :], MAX_PROFILE_BYTES + 1)
    except (zlib.error, ValueError, IndexError):
        layout.notes.append(DecodeNote(NoteKind.PROFILE_IGNORED))
        return True
    if len(profile) > MAX_PROFILE_BYTES:
        layout.notes.append(DecodeNote(NoteKind.PROFILE_IGNORED, 0, MAX_PROFILE_BYTES))
    else:
        layout.profile = profile
    return True


def _animation(_layout: PngLayout, data: memoryview) -> bool:
    return len(data) >= _SEQUENCE_BYTES and u32(data, 0) > 0  # the number of frames


# The chunks that are read, before the pixels, the first of each kind that is intact; each says whether it counts.
_READ = {b"PLTE": _palette, b"tRNS": _transparency, b"eXIf": _exif, b"iCCP": _profile, b"acTL": _animation}
