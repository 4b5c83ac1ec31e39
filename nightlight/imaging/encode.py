"""Pixels to bytes, the same bytes every time, and a second look that nothing but the picture is in them."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from nightlight.errors import CorruptImage


def encode(image: Image.Image, *, format: str, quality: int, effort: int) -> bytes:  # noqa: A002 - the tiers' word
    """Return ``image`` (RGB) as ``webp`` or ``jpeg`` bytes.

    ``quality`` is 1 to 100; ``effort`` is WebP's method, 0 (fast) to 6 (small). With the same libraries the
    same pixels give the same bytes. Raises CorruptImage if the bytes hold more than a picture needs.
    """
    buffer = BytesIO()
    if format == "webp":
        image.save(buffer, "WEBP", quality=quality, method=effort)
    else:
        image.save(buffer, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
    data = buffer.getvalue()
    foreign = unexpected_parts(data)
    if foreign:
        message = f"the encoder wrote {', '.join(foreign)}; refusing to publish it"
        raise CorruptImage(message)
    return data


# T.81 table B.1: start, tables, baseline frame, scan, end. APP0 is JFIF's header, 14 bytes of structure.
_JPEG_MARKERS = {0xD8: "SOI", 0xDB: "DQT", 0xC0: "SOF0", 0xC4: "DHT", 0xDA: "SOS", 0xE0: "APP0"}
_JFIF_LENGTH = 16


def unexpected_parts(data: bytes) -> list[str]:
    """Return the names of chunks or segments in a rendition that are no part of the bare picture."""
    if data[:4] == b"RIFF":
        return _webp_parts(data)
    return _jpeg_parts(data)


def _webp_parts(data: bytes) -> list[str]:
    foreign = []
    at = 12
    while at < len(data):
        kind = data[at : at + 4]
        if kind != b"VP8 ":
            foreign.append(repr(kind))
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return foreign


def _jpeg_parts(data: bytes) -> list[str]:
    foreign = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker not in _JPEG_MARKERS or (marker == 0xE0 and length != _JFIF_LENGTH):
            foreign.append(f"segment {marker:#04x}")
        if marker == 0xDA:
            break
        at += 2 + length
    if data[-2:] != b"\xff\xd9":
        foreign.append("a trailer")
    return foreign
