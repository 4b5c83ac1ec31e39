"""The header of a GIF, up to the data of its first frame. Source: GIF89a."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.imaging.header import Header, integer
from nightlight_core.errors import TruncatedImage

if TYPE_CHECKING:
    from nightlight.imaging.formats import Format
    from nightlight.imaging.header_limits import HeaderTally

_EXTENSION, _FRAME, _TRAILER = 0x21, 0x2C, 0x3B
_CONTROL, _CONTROL_BYTES = 0xF9, 4
_HAS_TABLE, _TABLE_BITS, _TRANSPARENT, _INTERLACED = 0x80, 7, 1, 0x40


@dataclass(frozen=True, slots=True)
class GifFrame:
    """The first frame.

    ``screen``: (width, height) of the picture: the logical screen, enlarged as far as this frame reaches, as browsers
    have it. ``place``: left, top, width and height on it. ``palette``: colours, 3 bytes each. ``transparent``: the
    index of no colour, or None. ``data_at``: where its coded data begin.
    """

    screen: tuple[int, int]
    place: tuple[int, int, int, int]
    interlaced: bool
    palette: bytes
    transparent: int | None
    data_at: int


def read_gif_header(view: memoryview, tally: HeaderTally, format_: Format) -> Header:
    """Return what is stated up to the first frame, and count what precedes it; how many frames follow is not counted.

    Raises IndexError, ValueError, ImageTooComplex, or TruncatedImage for a file that ends before its first frame.
    """
    frame = first_frame(view, tally, format_)
    return Header(
        format_,
        *frame.screen,
        colour="palette",
        alpha=True,
        animated=True,
        staged=True,
        frame_pixels=frame.place[2] * frame.place[3],
        pieces=tally.pieces + tally.fill_bytes,
    )


def first_frame(view: memoryview, tally: HeaderTally, format_: Format) -> GifFrame:
    """Return the first frame of a GIF. Raises as the header reader does."""
    width, height = integer(view, 6, 2, "little"), integer(view, 8, 2, "little")
    try:
        palette, at = _table(view, 13, view[10])
        transparent = None
        while view[at] != _FRAME:
            if view[at] == _TRAILER:
                raise ValueError(at)
            if view[at] != _EXTENSION:  # no block at all
                tally.fill(1)
                at += 1
                continue
            tally.segment()
            if view[at + 1] == _CONTROL and view[at + 2] == _CONTROL_BYTES:
                transparent = view[at + 6] if view[at + 3] & _TRANSPARENT else None
            at += 2
            while view[at]:
                tally.piece()
                at += 1 + view[at]
            at += 1
        left, top, across, down = (integer(view, at + offset, 2, "little") for offset in (1, 3, 5, 7))
        flags = view[at + 9]
        own, at = _table(view, at + 10, flags)
        view[at]
    except IndexError as error:
        raise TruncatedImage(f"{format_}: 0 % of the rows arrived; it ends before its first frame") from error
    if not (across and down):
        raise ValueError(at)
    screen = (max(width, left + across), max(height, top + down))
    interlaced = bool(flags & _INTERLACED)
    return GifFrame(screen, (left, top, across, down), interlaced, own or palette, transparent, at)


def _table(view: memoryview, at: int, flags: int) -> tuple[bytes, int]:
    """Return the colour table that begins at a place if the flags announce it, and where it ends."""
    if not flags & _HAS_TABLE:
        return b"", at
    end = at + 3 * (2 << (flags & _TABLE_BITS))
    if end > len(view):
        raise IndexError(at)
    return bytes(view[at:end]), end
