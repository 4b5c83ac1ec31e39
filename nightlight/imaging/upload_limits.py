"""The largest pictures of each kind that caps allow: what the documentation says, reckoned from what refuses."""

from __future__ import annotations

import math
from dataclasses import replace

from nightlight.imaging.formats import FORMATS, Format
from nightlight.imaging.header import Header
from nightlight.imaging.probe import UploadCaps, decode_bytes, decode_s

# The largest edge of a tier of the default policy.
EDGE = 1024
# Kinds of each format, the usual first: their name, a header of the kind, and the bytes of a pixel in the file that
# cameras and phones write at high quality, for the estimate of CPU time.
KINDS: tuple[tuple[str, Header, float], ...] = (
    ("JPEG", Header(Format.JPEG, 1, 1, samples=1.5), 0.3),
    ("JPEG, progressive 4:2:0", Header(Format.JPEG, 1, 1, samples=1.5, staged=True), 0.3),
    ("JPEG, progressive 4:4:4", Header(Format.JPEG, 1, 1, samples=3.0, staged=True), 0.3),
    ("PNG", Header(Format.PNG, 1, 1), 2.0),
    ("PNG with transparency", Header(Format.PNG, 1, 1, alpha=True), 2.0),
    ("PNG, palette", Header(Format.PNG, 1, 1, colour="palette"), 0.5),
    ("GIF", Header(Format.GIF, 1, 1, colour="palette", alpha=True), 0.5),
    ("WebP", Header(Format.WEBP, 1, 1), 0.3),
    ("WebP with transparency", Header(Format.WEBP, 1, 1, alpha=True), 0.3),
    ("WebP, lossless", Header(Format.WEBP, 1, 1, lossless=True), 1.0),
    ("AVIF", Header(Format.AVIF, 1, 1, samples=1.5), 0.15),
    ("AVIF, 10 bits", Header(Format.AVIF, 1, 1, samples=1.5, bits=10), 0.15),
    ("AVIF 4:4:4 with transparency", Header(Format.AVIF, 1, 1, samples=3.0, alpha=True), 0.15),
    ("HEIC in tiles", Header(Format.HEIC, 1, 1, samples=1.5, tile=(512, 512)), 0.15),
    ("HEIC", Header(Format.HEIC, 1, 1, samples=1.5), 0.15),
    ("HEIC, 10 bits", Header(Format.HEIC, 1, 1, samples=1.5, bits=10), 0.15),
    ("JPEG XL", Header(Format.JXL, 1, 1), 0.2),
    ("JPEG XL with transparency", Header(Format.JXL, 1, 1, alpha=True, samples=4.0), 0.2),
    ("JPEG XL, lossless", Header(Format.JXL, 1, 1, lossless=True), 1.0),
)


def most_pixels(sample: Header, bytes_a_pixel: float, caps: UploadCaps, *, edge: int = EDGE) -> int:
    """Return the pixels of the largest picture with sides of 4 and 3 that is like ``sample`` and within the caps."""
    entry = FORMATS[sample.format]
    most = min(caps.max_pixels, entry.max_pixels)
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        width, height = math.isqrt(middle * 4 // 3), math.isqrt(middle * 3 // 4)
        header = replace(sample, width=width, height=height, coded=width * height * (1 + sample.alpha))
        size = int(width * height * bytes_a_pixel)
        coded = replace(header, coded_bytes=size) if sample.format is Format.JPEG else header
        within = decode_bytes(header, edge=edge) <= caps.max_decode_bytes and decode_s(coded, size) <= caps.max_decode_s
        low, high = (middle, high) if within else (low, middle - 1)
    return low


def megapixels(caps: UploadCaps, *, edge: int = EDGE) -> dict[str, float]:
    """Return the megapixels of the largest picture of each kind of the formats that are accepted, rounded down."""
    return {
        kind: math.floor(most_pixels(sample, size, caps, edge=edge) / 1e5) / 10
        for kind, sample, size in KINDS
        if sample.format in caps.formats
    }


def in_words(caps: UploadCaps) -> str:
    """Return the megapixels of the usual kind of each format in one phrase, the largest first."""
    largest: dict[Format, float] = {}
    for (_, sample, _), pixels in zip(
        KINDS, megapixels(replace(caps, formats=frozenset(Format))).values(), strict=True
    ):
        if sample.format in caps.formats:
            largest.setdefault(sample.format, pixels)
    ordered = sorted(largest, key=lambda name: -largest[name])
    return ", ".join(f"{name.written} {math.floor(largest[name])}" for name in ordered)
