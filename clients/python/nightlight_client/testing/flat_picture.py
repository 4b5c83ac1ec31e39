"""Pictures that stand for renditions: squares of one colour, as PNG files (ISO/IEC 15948)."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = 2


@lru_cache(maxsize=256)
def flat_picture(edge: int, colour: bytes) -> bytes:
    """Return a PNG file of ``edge`` times ``edge`` pixels in one colour (three bytes: red, green, blue)."""
    header = struct.pack(">IIBBBBB", edge, edge, 8, _RGB, 0, 0, 0)
    rows = (b"\0" + colour * edge) * edge
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
