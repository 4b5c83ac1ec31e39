"""What an upload is, from its header, before any decoder sees it; and whether it is within the caps.

The magic bytes decide the format; the file's name and the content type that came with it do not count. ``formats``
names each format's header reader, and the estimates of the memory and the CPU time that decoding takes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nightlight.imaging.decode_cost import overhead_s
from nightlight.imaging.decode_memory import frame_bytes, reduced_bytes
from nightlight.imaging.formats import FORMATS, MAGIC_BYTES, USUAL, Format
from nightlight.imaging.header_limits import HeaderBounds, HeaderTally
from nightlight_core.errors import CorruptImage, ImageTooComplex, ImageTooLarge, UnsupportedFormat

if TYPE_CHECKING:
    from nightlight.imaging.header import Header
    from nightlight.settings.pictures import UploadSettings


@dataclass(frozen=True, slots=True)
class UploadCaps:
    """What an upload may be: formats, pixels in all, pixels a side, bytes of memory and CPU seconds to decode it.

    A format may have lower bounds on pixels of its own. ``bounds`` are on what a file holds besides its pixels.
    """

    max_pixels: int = 202_000_000
    max_side: int = 65_500
    max_decode_bytes: int = 125_000_000
    formats: frozenset[Format] = USUAL
    max_decode_s: float = 5.0
    bounds: HeaderBounds = field(default_factory=HeaderBounds)


def upload_caps(limits: UploadSettings) -> UploadCaps:
    """Return what the settings allow an upload to be."""
    optional = {name for name, entry in FORMATS.items() if entry.extra and getattr(limits, entry.extra)}
    bounds = HeaderBounds(limits.max_fill_bytes, limits.max_segments, limits.max_scans)
    return UploadCaps(
        max_pixels=limits.max_pixels,
        max_side=limits.max_side,
        max_decode_bytes=limits.max_decode_bytes,
        formats=USUAL | optional,
        max_decode_s=limits.max_decode_cpu_s,
        bounds=bounds,
    )


def probe(data: bytes | memoryview, caps: UploadCaps, *, edge: int = 2048) -> Header:
    """Return the header of ``data`` if it is of an allowed format and within the caps.

    ``edge`` is the largest edge in pixels that any tier asks for. It decides at which scale a JPEG is decoded. Raises
    UnsupportedFormat, CorruptImage (the header cannot be read), ImageTooLarge or ImageTooComplex.
    """
    view = memoryview(data)
    name = sniff(view, caps.formats)
    header = _read_header(view, name, caps)
    _check_size(header, caps)
    _check_memory(header, caps, edge)
    return _with_time(header, caps, len(view))


def sniff(data: bytes | memoryview, accepted: frozenset[Format] = frozenset(FORMATS)) -> Format:
    """Return the format that the magic bytes name; raise UnsupportedFormat, in words for a user, if it is another."""
    head = bytes(data[:MAGIC_BYTES])
    name = next((name for name, entry in FORMATS.items() if entry.is_magic(head)), None)
    if name in accepted:
        return name
    kind = f"{name.written} pictures cannot be used here." if name else UnsupportedFormat.public
    *kinds, last = (name.written for name in FORMATS if name in accepted)
    raise UnsupportedFormat(f"{kind} Choose a picture in {', '.join(kinds)} or {last}.")


def decode_bytes(header: Header, *, edge: int) -> int:
    """Return the memory in bytes that decoding takes at its peak, beyond the upload itself."""
    entry = FORMATS[header.format]
    reduced = 0 if entry.scales else reduced_bytes(header, edge)
    return frame_bytes(header, edge) + reduced + entry.memory(header, edge)


def decode_s(header: Header, size: int) -> float:
    """Return the CPU seconds that decoding takes, by estimate; ``size`` is the file's in bytes."""
    return overhead_s(header) + FORMATS[header.format].time(header, size)


def _read_header(view: memoryview, name: Format, caps: UploadCaps) -> Header:
    try:
        return FORMATS[name].read_header(view, HeaderTally(caps.bounds), name)
    except (IndexError, ValueError) as error:
        raise CorruptImage(f"{name}: the header cannot be read") from error
    except ImageTooComplex as error:
        raise ImageTooComplex(f"{name}: {error}") from error


def _check_size(header: Header, caps: UploadCaps) -> None:
    width, height, name = header.width, header.height, header.format
    entry = FORMATS[name]
    if width < 1 or height < 1 or (entry.sample_bits is not None and header.bits != entry.sample_bits):
        raise CorruptImage(f"{name}: {width} x {height} pixels, {header.bits} bits a sample")
    side, pixels = min(caps.max_side, entry.max_side), min(caps.max_pixels, entry.max_pixels)
    if max(width, height) > side:
        raise ImageTooLarge(f"{_size(header)}; at most {side:,} pixels a side")
    if width * height > pixels:
        raise ImageTooLarge(f"{_size(header)} are {width * height / 1e6:.1f} megapixels; at most {pixels / 1e6:g}")


def _check_memory(header: Header, caps: UploadCaps, edge: int) -> None:
    needed = decode_bytes(header, edge=edge)
    limit = caps.max_decode_bytes
    if needed > limit:
        taken = f"would take {needed / 1e6:.0f} MB of memory to decode; at most {limit / 1e6:.0f} MB"
        raise ImageTooLarge(f"{_size(header)} {taken}")


def _with_time(header: Header, caps: UploadCaps, size: int) -> Header:
    """Return the header with its estimate of CPU time; raise ImageTooComplex if that is over the cap."""
    seconds = decode_s(header, size)
    if seconds > caps.max_decode_s:
        taken = f"would take {seconds:.1f} seconds of a processor to decode; at most {caps.max_decode_s:g}"
        raise ImageTooComplex(f"{_size(header)} {taken}")
    return replace(header, decode_s=seconds)


def _size(header: Header) -> str:
    """Return what a refusal says of the picture: format, size, and its kind where that decides what it takes."""
    progressive = "progressive " if header.format == Format.JPEG and header.staged else ""
    return f"a {progressive}{header.format.written} of {header.width} x {header.height} pixels"
