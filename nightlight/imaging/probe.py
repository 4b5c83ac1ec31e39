"""What an upload says of itself, from its first bytes, before any decoder sees it.

The magic bytes decide the format; the file's name and the content type that came with it do not count.
Only integers at fixed or declared places are read: nothing is decoded, and the work is bounded by the
number of segments, chunks or boxes walked (``MAX_STEPS``).

Sources: ITU-T T.81 (JPEG), W3C PNG 3rd edition, RFC 9649 (WebP), ISO/IEC 14496-12 and 23008-12 with the
AV1 Image File Format 1.1 (AVIF), GIF89a.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from nightlight.errors import CorruptImage, ImageTooLarge, UnsupportedFormat

# A camera JPEG has some 30 segments before its frame header; an AVIF fewer than 50 boxes.
MAX_STEPS = 2_000


class Format(StrEnum):
    """The allow-list of upload formats."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"
    GIF = "gif"


@dataclass(frozen=True, slots=True)
class Header:
    """What the header promises: format, and width and height in pixels as stored (before orientation)."""

    format: Format
    width: int
    height: int


def probe(data: bytes | memoryview, *, max_pixels: int, max_side: int) -> Header:
    """Return the header of ``data`` if it is of an allowed format and within the caps.

    Raises UnsupportedFormat, CorruptImage (the header cannot be read) or ImageTooLarge.
    """
    view = memoryview(data)
    kind = sniff(view)
    try:
        width, height = _SIZES[kind](view)
    except (IndexError, ValueError) as error:
        message = f"{kind}: the header cannot be read"
        raise CorruptImage(message) from error
    if width < 1 or height < 1:
        message = f"{kind}: {width} x {height} pixels"
        raise CorruptImage(message)
    if width > max_side or height > max_side or width * height > max_pixels:
        message = f"{kind}: {width} x {height} pixels; at most {max_pixels} pixels and {max_side} a side"
        raise ImageTooLarge(message)
    return Header(kind, width, height)


def sniff(data: bytes | memoryview) -> Format:
    """Return the format that the magic bytes name, or raise UnsupportedFormat."""
    head = bytes(data[:64])
    if head[:3] == b"\xff\xd8\xff":
        return Format.JPEG
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return Format.PNG
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Format.WEBP
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return Format.GIF
    if head[4:8] == b"ftyp" and _avif_brand(head):
        return Format.AVIF
    message = f"no format of the allow-list begins with {head[:12]!r}"
    raise UnsupportedFormat(message)


def _avif_brand(head: bytes) -> bool:
    size = int.from_bytes(head[:4], "big")
    brands = [head[8:12]] + [head[at : at + 4] for at in range(16, min(size, len(head)), 4)]
    return b"avif" in brands or b"avis" in brands


def _u16(view: memoryview, at: int) -> int:
    return _int(view, at, 2)


def _u32(view: memoryview, at: int) -> int:
    return _int(view, at, 4)


def _int(view: memoryview, at: int, size: int, order: str = "big") -> int:
    piece = view[at : at + size]
    if len(piece) != size:
        raise IndexError(at)
    return int.from_bytes(piece, "little" if order == "little" else "big")


def _jpeg(view: memoryview) -> tuple[int, int]:
    """Walk marker segments to the frame header (SOFn): T.81 B.2.2."""
    at = 2
    for _ in range(MAX_STEPS):
        if view[at] != 0xFF:
            raise ValueError(at)
        while view[at] == 0xFF:  # fill bytes
            at += 1
        marker = view[at]
        at += 1
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _u16(view, at + 5), _u16(view, at + 3)
        if marker in (0xD9, 0xDA):  # the end, or a scan, before any frame
            raise ValueError(at)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # no length follows
            continue
        length = _u16(view, at)
        if length < 2:
            raise ValueError(at)
        at += length
    raise ValueError(at)


def _png(view: memoryview) -> tuple[int, int]:
    """Read IHDR, which must come first and whose checksum must be right."""
    if _u32(view, 8) != 13 or bytes(view[12:16]) != b"IHDR":
        raise ValueError(8)
    if zlib.crc32(view[12:29]) != _u32(view, 29):
        raise ValueError(29)
    return _u32(view, 16), _u32(view, 20)


def _webp(view: memoryview) -> tuple[int, int]:
    """Read the first chunk: lossy, lossless or extended (RFC 9649, 2.5 to 2.7)."""
    kind = bytes(view[12:16])
    if kind == b"VP8X":
        return 1 + _int(view, 24, 3, "little"), 1 + _int(view, 27, 3, "little")
    if kind == b"VP8L":
        if view[20] != 0x2F:
            raise ValueError(20)
        bits = _int(view, 21, 4, "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        if bytes(view[23:26]) != b"\x9d\x01\x2a":
            raise ValueError(23)
        return _int(view, 26, 2, "little") & 0x3FFF, _int(view, 28, 2, "little") & 0x3FFF
    raise ValueError(12)


def _gif(view: memoryview) -> tuple[int, int]:
    """Read the logical screen descriptor."""
    return _int(view, 6, 2, "little"), _int(view, 8, 2, "little")


def _avif(view: memoryview) -> tuple[int, int]:
    """Return the largest image spatial extents (``ispe``) in meta/iprp/ipco.

    A file may hold several items (alpha, thumbnails, grid cells); the decoder allocates for the primary
    one, which is the largest or the grid's whole, so the largest is the safe bound.
    """
    best = (0, 0)
    for kind, start, end in _boxes(view, 0, len(view)):
        if kind != b"meta":
            continue
        for inner, inner_start, inner_end in _boxes(view, start + 4, end):
            if inner != b"iprp":
                continue
            for part, part_start, part_end in _boxes(view, inner_start, inner_end):
                if part != b"ipco":
                    continue
                for item, at, _ in _boxes(view, part_start, part_end):
                    if item == b"ispe":
                        size = _u32(view, at + 4), _u32(view, at + 8)
                        best = max(best, size, key=lambda wh: wh[0] * wh[1])
    return best


def _boxes(view: memoryview, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, content start, end) of the ISO base media boxes between two offsets."""
    for _ in range(MAX_STEPS):
        if start + 8 > end:
            return
        size = _u32(view, start)
        header = 8
        if size == 1:
            size = _int(view, start + 8, 8)
            header = 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            raise ValueError(start)
        yield bytes(view[start + 4 : start + 8]), start + header, start + size
        start += size
    raise ValueError(start)


_SIZES = {Format.JPEG: _jpeg, Format.PNG: _png, Format.WEBP: _webp, Format.AVIF: _avif, Format.GIF: _gif}
