"""What a PNG says of its colours by numbers: cICP, sRGB, gAMA and cHRM. Source: W3C PNG, 3rd edition, 11.3.2."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from nightlight.imaging.header import u32

if TYPE_CHECKING:
    from collections.abc import Iterable

# An sRGB chunk names a rendering intent of so many; with another it counts for nothing.
_INTENTS = 4
# Bytes of each chunk.
_LENGTHS = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}


def read_png_colours(view: memoryview, chunks: Iterable[tuple[bytes, int, int]]) -> dict[str, Any]:
    """Return the fields of ``Header`` that the chunks before the pixels state.

    ``chunks``: each chunk's type, where its data begin, and their length. Of chunks of one kind the first counts; what
    is damaged, or of another length, counts for nothing.
    """
    fields: dict[str, Any] = {}
    for chunk, at, length in chunks:
        if chunk == b"IDAT":
            break
        if _LENGTHS.get(chunk) != length or at + length + 4 > len(view):
            continue
        if zlib.crc32(view[at - 4 : at + length]) != u32(view, at + length):
            continue
        if chunk == b"sRGB":
            fields["srgb"] = fields.get("srgb", False) or view[at] < _INTENTS
        elif chunk == b"gAMA":
            fields.setdefault("gamma", u32(view, at))
        elif chunk == b"cHRM":
            fields.setdefault("chromaticities", tuple(u32(view, at + place) for place in range(0, 32, 4)))
        elif not view[at + 2] and view[at + 3] == 1:  # RGB of the full range: a PNG holds nothing else
            fields.setdefault("cicp", (view[at], view[at + 1], view[at + 2]))
    return fields
