"""What an upload says of itself, from its first bytes, before any decoder sees it, and what it would cost.

The magic bytes decide the format; the file's name and the content type that came with it do not count.
``headers`` reads each format's own integers; here they are held against the caps. Among the caps is the
memory that decoding would take, which the header gives away: see ``decode_bytes``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nightlight.imaging import header_readers, isobmff, jpeg_header
from nightlight.imaging.decode_cost import decode_s
from nightlight.imaging.header_limits import Bounds, Tally
from nightlight.imaging.header_readers import Format, Header
from nightlight_core.errors import CorruptImage, ImageTooComplex, ImageTooLarge, UnsupportedFormat

if TYPE_CHECKING:
    from nightlight.settings import IntakeSettings


USUAL = frozenset(Format) - {Format.HEIC}


@dataclass(frozen=True, slots=True)
class Caps:
    """What an upload may be: formats, pixels in all, pixels a side, bytes of memory and CPU seconds to decode it.

    ``bounds`` are on what a file holds besides its pixels.
    """

    max_pixels: int = 50_000_000
    max_side: int = 16_384
    max_decode_bytes: int = 125_000_000
    formats: frozenset[Format] = USUAL
    max_decode_s: float = 2.0
    bounds: Bounds = field(default_factory=Bounds)


def caps_of(limits: IntakeSettings) -> Caps:
    """Return what the settings allow an upload to be."""
    formats = frozenset(Format) if limits.heic else USUAL
    bounds = Bounds(limits.max_fill_bytes, limits.max_segments, limits.max_scans)
    return Caps(limits.max_pixels, limits.max_side, limits.max_decode_bytes, formats, limits.max_decode_cpu_s, bounds)


_READERS = {
    Format.JPEG: jpeg_header.jpeg,
    Format.PNG: header_readers.png,
    Format.WEBP: header_readers.webp,
    Format.AVIF: isobmff.avif,
    Format.HEIC: isobmff.heic,
    Format.GIF: header_readers.gif,
}
# Decoders here take 8 bits of a JPEG's sample (T.81's extended process has 12 as well).
_JPEG_BITS = 8


def probe(data: bytes | memoryview, caps: Caps, *, edge: int = 2048) -> Header:
    """Return the header of ``data`` if it is of an allowed format and within the caps.

    ``edge`` is the largest edge in pixels that any tier asks for, which decides how much of a JPEG has to be
    decoded. Raises UnsupportedFormat, CorruptImage (the header cannot be read), ImageTooLarge or ImageTooComplex.
    """
    view = memoryview(data)
    kind = sniff(view)
    if kind not in caps.formats:
        message = f"{kind} is not accepted here"
        raise UnsupportedFormat(message)
    try:
        header = _READERS[kind](view, Tally(caps.bounds))
    except (IndexError, ValueError) as error:
        message = f"{kind}: the header cannot be read"
        raise CorruptImage(message) from error
    except ImageTooComplex as error:
        message = f"{kind}: {error}"
        raise ImageTooComplex(message) from error
    width, height = header.width, header.height
    if width < 1 or height < 1 or (kind is Format.JPEG and header.bits != _JPEG_BITS):
        message = f"{kind}: {width} x {height} pixels, {header.bits} bits a sample"
        raise CorruptImage(message)
    if width > caps.max_side or height > caps.max_side or width * height > caps.max_pixels:
        message = f"{kind}: {width} x {height} pixels; at most {caps.max_pixels} pixels and {caps.max_side} a side"
        raise ImageTooLarge(message)
    cost = decode_bytes(header, edge=edge)
    if cost > caps.max_decode_bytes:
        most = caps.max_decode_bytes
        message = f"{kind}: {width} x {height} pixels of this kind take {cost} bytes to decode; at most {most}"
        raise ImageTooLarge(message)
    seconds = decode_s(header, len(view))
    if seconds > caps.max_decode_s:
        limit = f"at most {caps.max_decode_s:g}"
        message = f"{kind}: {width} x {height} pixels of this kind take {seconds:.1f} CPU s to decode; {limit}"
        raise ImageTooComplex(message)
    return replace(header, decode_s=seconds)


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
    if head[4:8] == b"ftyp":
        brands = _brands(head)
        if brands & {b"avif", b"avis"}:
            return Format.AVIF
        if brands & {b"heic", b"heix"}:
            return Format.HEIC
    message = f"no format of the allow-list begins with {head[:12]!r}"
    raise UnsupportedFormat(message)


def _brands(head: bytes) -> set[bytes]:
    size = int.from_bytes(head[:4], "big")
    return {head[8:12]} | {head[at : at + 4] for at in range(16, min(size, len(head)), 4)}


def dct_scale(header: Header, *, edge: int, side: float | None = None) -> int:
    """Return by how much (1, 2, 4 or 8) a JPEG is made smaller while it is decoded.

    It is the most that leaves ``edge`` pixels on the shorter side of what is kept, ``side`` pixels long in
    the file; but a small crop of a very large picture gives way to what the whole would cost.
    """
    kept = min(header.width, header.height) if side is None else side
    scale = 8
    while scale > 1 and kept / scale < edge:
        scale //= 2
    whole = replace(header, staged=False)
    while scale < 8 and _pixels_bytes(whole, scale) > SCALED_BYTES:
        scale *= 2
    return scale


# The most that a JPEG's pixels may take at the scale that is chosen for a small crop: 16 megapixels in RGB.
SCALED_BYTES = 64_000_000
# Bytes for each pixel at the peak of Pillow's decoding and our first resize, by format: measured with
# bench/memory.py, rounded up. Pillow keeps RGB in 4 bytes. A palette is looked up into RGB or RGBA, and
# transparent pixels are multiplied by their alpha before they are averaged, in another copy. For WebP
# there are libwebp's canvas twice, Pillow's copy and the picture. AVIF and HEIC have planes, RGBA, a copy and
# the picture; more than 8 bits double the planes.
_PER_PIXEL = {"grey": 1, "rgb": 4, "cmyk": 5, "palette": 5}
_DEEP_GREY = 5
_ALPHA = {"grey": 9, "rgb": 9, "palette": 9}
_GIF = 10
_WEBP = 17
_SUBSAMPLED, _ISOBMFF, _ISOBMFF_DEEP = 9, 11, 15
# The frame, and what is between it and the decoded picture, by the pixel of the largest square.
_FRAME = 14
# A picture more than four times the frame's size is first reduced by a whole factor that leaves twice its size.
_REDUCED_GAP = 2


def decode_bytes(header: Header, *, edge: int) -> int:
    """Return the memory in bytes that decoding takes at its peak, beyond the upload itself."""
    pixels = header.width * header.height
    frame = _FRAME * min(edge, header.width, header.height) ** 2 + _reduced_bytes(header, edge)
    if header.format is Format.JPEG:
        cost = _pixels_bytes(header, dct_scale(header, edge=edge))
        # A progressive JPEG's coefficients are all kept, 2 bytes each, whatever the scale.
        return frame + cost + (int(pixels * header.samples * 2) if header.staged else 0)
    deep = header.bits > 8
    if header.format is Format.PNG:
        if header.alpha:
            return frame + pixels * _ALPHA[header.colour]
        return frame + (pixels * _DEEP_GREY if deep and header.colour == "grey" else _pixels_bytes(header, 1))
    isobmff = _ISOBMFF_DEEP if deep else _ISOBMFF if header.samples > 2 else _SUBSAMPLED
    return frame + pixels * {Format.WEBP: _WEBP, Format.GIF: _GIF}.get(header.format, isobmff)


def _reduced_bytes(header: Header, edge: int) -> int:
    factor = int(min(header.width, header.height) / edge / _REDUCED_GAP)
    if factor < 2 or header.format is Format.JPEG:
        return 0
    return (header.width // factor + 1) * (header.height // factor + 1) * (1 if header.colour == "grey" else 4)


def _pixels_bytes(header: Header, scale: int) -> int:
    return -(-header.width // scale) * -(-header.height // scale) * _PER_PIXEL[header.colour]
