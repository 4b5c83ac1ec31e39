"""Pixels to bytes: the same bytes every time, checked to hold nothing but the picture.

The only other content allowed is our own opt-out: XMP that prohibits data mining (PLUS Data Mining, IPTC Photo
Metadata), in tiers whose pictures carry their manifests.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from PIL import Image

from nightlight.imaging.webp_codec import encode_webp
from nightlight_core.errors import CorruptImage

# A byte budget is met by lowering the quality, at most down to this and in at most so many tries.
LEAST_QUALITY = 20
TRIES = 5

# Up to this effort libwebp gets one segment, which spares it a look at every block: 28 % of the time. At equal size the
# PSNR of 10 photographs of 1024 pixels is the same, and their SSIM 0.001 less. A quality of 80 then takes about as many
# bytes as 82 with four segments.
_ONE_SEGMENT, _SEGMENTS = 2, 4

OPT_OUT = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" '
    b'plus:DataMining="http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED"/></rdf:RDF></x:xmpmeta>'
)
# The parts that the opt-out takes in each format: all that `unexpected_parts` may find then.
_OPT_OUT_PARTS = {"webp": ["b'VP8X'", "b'XMP '"], "avif": ["item b'mime'"], "jpeg": ["segment 0xe1"]}


def encode(
    image: Image.Image,
    *,
    format: str,  # noqa: A002 - the name of the tiers' field
    quality: int,
    effort: int,
    max_bytes: int | None = None,
    opt_out: bool = False,
) -> bytes:
    """Return ``image`` (RGB) as ``webp``, ``jpeg`` or ``avif`` bytes.

    ``quality`` is 1 to 100; ``effort`` is 0 (fast) to 6 (small). Where ``max_bytes`` is given and the picture
    takes more, the quality is lowered until it fits, but not under LEAST_QUALITY: the budget is a target. ``opt_out``
    puts OPT_OUT in. With the same libraries the same pixels give the same bytes. Raises CorruptImage if the bytes hold
    more than that and what a picture needs.
    """
    xmp = OPT_OUT if opt_out else None
    data = _encoded(image, format, quality, effort, xmp)
    low, high = min(LEAST_QUALITY, quality), quality
    fits = max_bytes is None or len(data) <= max_bytes
    best = data
    if max_bytes is not None and not fits:
        best = _encoded(image, format, low, effort, xmp)
        for _ in range(TRIES - 2):
            middle = (low + high) // 2
            data = _encoded(image, format, middle, effort, xmp)
            if len(data) <= max_bytes:
                low, best = middle, data
            else:
                high = middle
    foreign = unexpected_parts(best)
    if foreign != (_OPT_OUT_PARTS[format] if opt_out else []) or best.count(OPT_OUT) != opt_out:
        raise CorruptImage(f"the encoder wrote {', '.join(foreign)}; refusing to publish it")
    return best


def _encoded(image: Image.Image, format_: str, quality: int, effort: int, xmp: bytes | None) -> bytes:
    buffer = BytesIO()
    more: dict[str, Any] = {"xmp": xmp} if xmp is not None else {}
    if format_ == "webp":
        segments = 1 if effort <= _ONE_SEGMENT else _SEGMENTS
        data = encode_webp(image, quality=quality, effort=effort, segments=segments, xmp=xmp)
        if data is not None:
            return data
        image.save(buffer, "WEBP", quality=quality, method=effort, **more)
    elif format_ == "avif":
        # One thread: more would give other bytes on another machine. Its speed runs from 10 down to 0.
        image.save(buffer, "AVIF", quality=quality, speed=10 - effort, max_threads=1, subsampling="4:2:0", **more)
    else:
        image.save(buffer, "JPEG", quality=quality, optimize=True, subsampling="4:2:0", **more)
    return buffer.getvalue()


# T.81 table B.1: start, tables, baseline frame, scan, end. APP0 is JFIF's header, 14 bytes of structure.
_JPEG_MARKERS = {0xD8: "SOI", 0xDB: "DQT", 0xC0: "SOF0", 0xC4: "DHT", 0xDA: "SOS", 0xE0: "APP0"}
_JFIF_LENGTH = 16


def unexpected_parts(data: bytes) -> list[str]:
    """Return the names of chunks or segments in a rendition that are no part of the bare picture."""
    if data[:4] == b"RIFF":
        return _webp_parts(data)
    if data[4:8] == b"ftyp":
        return list(_foreign_boxes(data, 0, len(data), _AVIF_BOXES))
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


# Boxes of a still AVIF (ISO/IEC 23008-12, AV1 Image File Format 1.1) that describe nothing but its pixels.
_AVIF_BOXES = {
    b"ftyp": {}, b"mdat": {},
    b"meta": {b"hdlr": {}, b"pitm": {}, b"iloc": {}, b"iinf": {b"infe": {}}, b"iref": {b"cdsc": {}},
              b"iprp": {b"ipco": {b"ispe": {}, b"pixi": {}, b"av1C": {}, b"colr": {}}, b"ipma": {}}},
}  # fmt: skip
# Bytes before a full box's children: version and flags, and for `iinf` a count.
_AVIF_SKIP = {b"meta": 4, b"iinf": 6, b"iref": 4}


def _foreign_boxes(data: bytes, at: int, end: int, known: dict[bytes, dict[bytes, Any]]) -> Iterator[str]:
    while at + 8 <= end:
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind not in known or size < 8 or at + size > end:
            yield f"box {kind!r}"
            return
        body = at + 8 + _AVIF_SKIP.get(kind, 0)
        if kind == b"infe" and data[at + 16 : at + 20] != b"av01":
            yield f"item {data[at + 16 : at + 20]!r}"
        if kind == b"colr" and data[body : body + 4] != b"nclx":
            yield "an ICC profile"
        if known[kind]:
            yield from _foreign_boxes(data, body, at + size, known[kind])
        at += size
    if at != end:
        yield "a trailer"


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
