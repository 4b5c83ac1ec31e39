"""What each format's header says, read from integers at fixed or declared places; nothing is decoded.

The work is bounded by the number of segments, chunks or boxes walked (``MAX_STEPS``). What cannot be read
raises IndexError or ValueError with the place.

Sources: ITU-T T.81 (JPEG), W3C PNG 3rd edition, RFC 9649 (WebP), ISO/IEC 14496-12 and 23008-12 with the
AV1 Image File Format 1.1 (AVIF, HEIC), GIF89a.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

# A camera JPEG has some 30 segments before its frame header; an AVIF fewer than 50 boxes; a PNG fewer
# than 20 chunks before its pixels.
MAX_STEPS = 2_000


class Format(StrEnum):
    """The formats of uploads. HEIC is accepted only where the caps say so."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"
    GIF = "gif"
    HEIC = "heic"


@dataclass(frozen=True, slots=True)
class Header:
    """What a header promises.

    ``width`` and ``height`` in pixels as stored; ``bits`` a sample; ``colour`` one of ``grey``, ``rgb``, ``cmyk``
    and ``palette``; ``alpha``: some pixels may be transparent; ``animated``: more than one frame may follow;
    ``staged``: a progressive JPEG or an interlaced PNG or GIF; ``lossless``: WebP's lossless kind;
    ``samples``: of a JPEG or AVIF, how many samples there are for each pixel, chroma subsampling counted.
    """

    format: Format
    width: int
    height: int
    bits: int = 8
    colour: str = "rgb"
    alpha: bool = False
    animated: bool = False
    staged: bool = False
    lossless: bool = False
    samples: float = 3.0


def jpeg(view: memoryview) -> Header:
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
            return _jpeg_frame(view, at, marker)
        if marker in (0xD9, 0xDA):  # the end, or a scan, before any frame
            raise ValueError(at)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # no length follows
            continue
        length = _u16(view, at)
        if length < 2:
            raise ValueError(at)
        at += length
    raise ValueError(at)


def _jpeg_frame(view: memoryview, at: int, marker: int) -> Header:
    components = view[at + 7]
    colour = {1: "grey", 3: "rgb", 4: "cmyk"}.get(components)
    if colour is None:
        raise ValueError(at)
    sampling = [(view[at + 9 + 3 * index] >> 4, view[at + 9 + 3 * index] & 15) for index in range(components)]
    if not all(1 <= across <= 4 and 1 <= down <= 4 for across, down in sampling):
        raise ValueError(at)
    most = max(across for across, _ in sampling) * max(down for _, down in sampling)
    return Header(
        Format.JPEG,
        width=_u16(view, at + 5),
        height=_u16(view, at + 3),
        bits=view[at + 2],
        colour=colour,
        staged=marker in (0xC2, 0xC6, 0xCA, 0xCE),
        samples=sum(across * down for across, down in sampling) / most,
    )


def png(view: memoryview) -> Header:
    """Read IHDR, which must come first and whose checksum must be right, and walk to the pixels."""
    if _u32(view, 8) != 13 or bytes(view[12:16]) != b"IHDR":
        raise ValueError(8)
    if zlib.crc32(view[12:29]) != _u32(view, 29):
        raise ValueError(29)
    kind = view[25]
    colour = {0: "grey", 2: "rgb", 3: "palette", 4: "grey", 6: "rgb"}.get(kind)
    if colour is None:
        raise ValueError(25)
    alpha, animated, at = kind in (4, 6), False, 33
    for _ in range(MAX_STEPS):
        chunk = bytes(view[at + 4 : at + 8])
        if chunk == b"IDAT" or len(chunk) < 4:  # a file that ends before its pixels is for the decoder to refuse
            break
        alpha |= chunk == b"tRNS"
        animated |= chunk == b"acTL"
        at += 12 + _u32(view, at)
    else:
        raise ValueError(at)
    return Header(
        Format.PNG,
        _u32(view, 16),
        _u32(view, 20),
        view[24],
        colour,
        alpha=alpha,
        animated=animated,
        staged=view[28] != 0,
    )


def webp(view: memoryview) -> Header:
    """Read the first chunk: lossy, lossless or extended (RFC 9649, 2.5 to 2.7)."""
    kind = bytes(view[12:16])
    if kind == b"VP8X":
        flags = view[20]
        width, height = 1 + _int(view, 24, 3, "little"), 1 + _int(view, 27, 3, "little")
        # Which kind of data follows is not looked for: the dearer one is reckoned with.
        return Header(Format.WEBP, width, height, alpha=bool(flags & 0x10), animated=bool(flags & 0x02), lossless=True)
    if kind == b"VP8L":
        if view[20] != 0x2F:
            raise ValueError(20)
        bits = _int(view, 21, 4, "little")
        return Header(
            Format.WEBP, 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), alpha=bool(bits >> 28 & 1), lossless=True
        )
    if kind == b"VP8 ":
        if bytes(view[23:26]) != b"\x9d\x01\x2a":
            raise ValueError(23)
        return Header(Format.WEBP, _int(view, 26, 2, "little") & 0x3FFF, _int(view, 28, 2, "little") & 0x3FFF)
    raise ValueError(12)


def gif(view: memoryview) -> Header:
    """Read the logical screen descriptor; how many frames follow is not counted."""
    return Header(
        Format.GIF,
        _int(view, 6, 2, "little"),
        _int(view, 8, 2, "little"),
        colour="palette",
        alpha=True,
        animated=True,
        staged=True,
    )


def avif(view: memoryview) -> Header:
    """Return the largest image spatial extents (``ispe``) in meta/iprp/ipco, and the most bits a sample (``pixi``).

    A file may hold several items (alpha, thumbnails, grid cells); the decoder allocates for the primary
    one, which is the largest or the grid's whole, so the largest is the safe bound.
    """
    best, bits, alpha, subsampled = (0, 0), 8, False, False
    for item, at, end in _properties(view):
        if item == b"ispe":
            best = max(best, (_u32(view, at + 4), _u32(view, at + 8)), key=lambda wh: wh[0] * wh[1])
        elif item == b"pixi" and at + 5 < end:
            bits = max(bits, *view[at + 5 : end])
        elif item == b"auxC":
            alpha |= b"alpha" in bytes(view[at : min(end, at + 100)])
        elif item == b"av1C" and not alpha:
            subsampled = view[at + 2] & 0x0C == 0x0C  # AV1 codec ISO media file format binding, 2.3.3
    samples = 1.5 if subsampled and not alpha else 3.0
    return Header(Format.AVIF, *best, bits=bits, alpha=alpha, animated=bytes(view[8:12]) == b"avis", samples=samples)


def heic(view: memoryview) -> Header:
    """Read as ``avif`` does: both are ISO base media files."""
    return replace(avif(view), format=Format.HEIC)


def _properties(view: memoryview) -> Iterator[tuple[bytes, int, int]]:
    for kind, start, end in _boxes(view, 0, len(view)):
        if kind != b"meta":
            continue
        for inner, inner_start, inner_end in _boxes(view, start + 4, end):
            if inner != b"iprp":
                continue
            for part, part_start, part_end in _boxes(view, inner_start, inner_end):
                if part == b"ipco":
                    yield from _boxes(view, part_start, part_end)


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


def _u16(view: memoryview, at: int) -> int:
    return _int(view, at, 2)


def _u32(view: memoryview, at: int) -> int:
    return _int(view, at, 4)


def _int(view: memoryview, at: int, size: int, order: str = "big") -> int:
    piece = view[at : at + size]
    if len(piece) != size:
        raise IndexError(at)
    return int.from_bytes(piece, "little" if order == "little" else "big")
