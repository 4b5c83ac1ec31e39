"""The header of a GIF. Source: GIF89a."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.imaging.header import Header, integer

if TYPE_CHECKING:
    from nightlight.imaging.formats import Format
    from nightlight.imaging.header_limits import HeaderTally


def read_gif_header(view: memoryview, tally: HeaderTally, format_: Format) -> Header:
    """Return what the logical screen descriptor states, and count what precedes the first picture.

    How many frames follow is not counted. Raises IndexError, ValueError or ImageTooComplex.
    """
    width, height = integer(view, 6, 2, "little"), integer(view, 8, 2, "little")
    try:
        at = 13 + (3 * (2 << (view[10] & 7)) if view[10] & 0x80 else 0)
        while view[at] not in b",;":
            if view[at] != 0x21:  # Pillow skips it, one byte at a time
                tally.fill(1)
                at += 1
                continue
            tally.segment()
            at += 2
            while view[at]:
                tally.piece()
                at += 1 + view[at]
            at += 1
    except IndexError:
        pass  # cut off before its picture, which the decoder refuses
    pieces = tally.pieces + tally.fill_bytes
    return Header(format_, width, height, colour="palette", alpha=True, animated=True, staged=True, pieces=pieces)
