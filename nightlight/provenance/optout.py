"""The opt-out that stands in a picture itself: XMP that prohibits data mining (PLUS Data Mining, IPTC Photo Metadata).

The packet is put between the parts of a bare picture by hand, so that nothing else can come with it. In AVIF it would
be an item among others; there the manifest alone says it.
"""

from __future__ import annotations

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" '
    b'plus:DataMining="http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED"/></rdf:RDF></x:xmpmeta>'
)
_JPEG_NAME = b"http://ns.adobe.com/xap/1.0/\x00"
_HEAD, _XMP_FLAG = 12, 0x04


def with_opt_out(data: bytes, media_type: str, *, width: int, height: int) -> bytes:
    """Return a bare WebP or JPEG picture of this size with the packet in it; anything else is given back as it is."""
    if media_type == "image/webp" and data[_HEAD : _HEAD + 4] == b"VP8 ":
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        extended = _chunk(b"VP8X", bytes([_XMP_FLAG, 0, 0, 0]) + size)
        body = b"WEBP" + extended + data[_HEAD:] + _chunk(b"XMP ", XMP)
        return b"RIFF" + len(body).to_bytes(4, "little") + body
    if media_type == "image/jpeg" and data[2:4] == b"\xff\xe0":
        after = 4 + int.from_bytes(data[4:6], "big")
        segment = _JPEG_NAME + XMP
        return data[:after] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[after:]
    return data


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + b"\x00" * (len(body) % 2)
