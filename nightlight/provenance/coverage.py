"""Finds foreign content in a manifest of ours where no signature covers it.

A manifest cannot be signed over its own place, so readers skip its padding: empty blocks of Brotli, room in the box of
the signature (zeros), boxes that the specification lets them ignore. We know what we write there; any other content is
from somebody else.

Sources: RFC 7932 section 9 (Brotli), RFC 9052 (COSE), RFC 8949 (CBOR), ISO 19566-5 (JUMBF), C2PA specification 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import brotli

from nightlight.provenance import cbor
from nightlight.provenance.embed import JPEG_HEAD

# The most bytes of an uncompressed manifest: ours have under 20,000, with a time stamp.
_MOST_OPENED = 200_000
_UUID_REST = bytes.fromhex("00110010800000aa00389b71")
_STORE = b"c2pa" + _UUID_REST + b"\x03c2pa\x00"
_PARTS = (
    b"c2as" + _UUID_REST + b"\x03c2pa.assertions\x00",
    b"c2cl" + _UUID_REST + b"\x03c2pa.claim.v2\x00",
    b"c2cs" + _UUID_REST + b"\x03c2pa.signature\x00",
)
_MANIFEST, _COMPRESSED = b"c2ma" + _UUID_REST, b"c2cm" + _UUID_REST
_LABEL = re.compile(rb"\x03urn:c2pa:[0-9a-f-]{36}\x00")
# What may follow the last block of data: what is left of the block that ends it at a byte, ours that mean nothing, the
# end.
_AFTER = re.compile(rb"[\x00\x01\x03]?\x06*\x03")
# COSE headers that nothing signs: room, and time stamps, which are signed by themselves.
_ROOM, _SIGNED = {"pad", "pad2"}, {"sigTst", "sigTst2", "rVals"}
_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_AVIF_BOXES = {b"ftyp", b"uuid", b"meta", b"mdat"}


class _ForeignContentError(ValueError):
    """There is content where we write none; the message says where."""


class _Box(NamedTuple):
    kind: bytes
    body: bytes


def uncovered_parts(data: bytes, media_type: str, manifest: bytes | None) -> list[str]:
    """Return the places of foreign content in a picture's manifest, or in ``manifest`` if it is given; empty if none.

    Only for manifests of Nightlight.
    """
    try:
        _check_store(manifest if manifest is not None else _within(data, media_type))
    except (_ForeignContentError, cbor.NotCborError) as error:
        return [str(error)]
    return []


def _within(data: bytes, media_type: str) -> bytes:
    """Return the manifest store that a picture holds."""
    if media_type == "image/webp":
        stores = [body for kind, body in _webp_chunks(data) if kind == b"C2PA"]
    elif media_type == "image/jpeg":
        stores = list(_segments(data))
    elif media_type == "image/avif":
        stores = list(_avif(data))
    elif media_type == "image/png":
        stores = [body for kind, body in _png_chunks(data) if kind == b"caBX"]
    else:
        raise _ForeignContentError(f"manifests in {media_type} are not known here")
    if len(stores) != 1:
        raise _ForeignContentError(f"the picture holds {len(stores)} manifests")
    return stores[0]


def _webp_chunks(data: bytes) -> Iterator[_Box]:
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield _Box(data[at : at + 4], data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2


def _png_chunks(data: bytes) -> Iterator[_Box]:
    at = 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield _Box(data[at + 4 : at + 8], data[at + 8 : at + 8 + size])
        at += 12 + size


def _segments(data: bytes) -> Iterator[bytes]:
    """Yield what APP11 segments of a JPEG hold: ours is one segment."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:  # noqa: PLR2004 - a marker; the scan
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + length]
        if data[at + 1] == 0xEB:  # noqa: PLR2004 - APP11
            if not body.startswith(JPEG_HEAD):
                raise _ForeignContentError("a segment beside the manifest's")
            yield body[len(JPEG_HEAD) :]
        at += 2 + length


def _avif(data: bytes) -> Iterator[bytes]:
    """Yield what C2PA's boxes of an AVIF hold; the library hashes no box of free space."""
    at = 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind not in _AVIF_BOXES or size < 8 or at + size > len(data):  # noqa: PLR2004 - a box's head
            raise _ForeignContentError(f"a box {kind!r} that nothing signs")
        if kind == b"uuid":
            # Its id, version and flags, its purpose, and where a Merkle tree would be.
            head = _C2PA_UUID + bytes(4) + b"manifest\x00" + bytes(8)
            body = data[at + 8 : at + size]
            if not body.startswith(head):
                raise _ForeignContentError("a box of somebody else's")
            yield body[len(head) :]
        at += size
    if at != len(data):
        raise _ForeignContentError("something after the last box")


def _check_store(store: bytes) -> None:
    (kind, body), *others = _boxes(store, "the manifest store")
    described, *manifests = _boxes(body, "the manifest store")
    if kind != b"jumb" or others or described != (b"jumd", _STORE) or len(manifests) != 1:
        raise _ForeignContentError("something beside the manifest")
    described, *inner = _boxes(manifests[0].body, "the manifest")
    _labelled(described, _COMPRESSED if inner[0].kind == b"brob" else _MANIFEST)
    if inner[0].kind == b"brob":
        if len(inner) != 1:
            raise _ForeignContentError("something beside the compressed manifest")
        (opened, *others) = _boxes(_decompressed(inner[0].body), "the compressed manifest")
        if others:
            raise _ForeignContentError("something beside the manifest")
        described, *inner = _boxes(opened.body, "the manifest")
        _labelled(described, _MANIFEST)
    if len(inner) != len(_PARTS):
        raise _ForeignContentError(f"a manifest of {len(inner)} parts")
    for part, expected in zip(inner, _PARTS, strict=True):
        described, *content = _boxes(part.body, "the manifest")
        if described != (b"jumd", expected):
            raise _ForeignContentError("a part of the manifest that is described otherwise than ours")
        if expected is not _PARTS[0] and [box.kind for box in content] != [b"cbor"]:
            raise _ForeignContentError("something beside the claim or its signature")
    _check_signature(_boxes(inner[-1].body, "the signature")[1].body)


def _labelled(described: _Box, kind: bytes) -> None:
    """Refuse a manifest's description with anything but its label, by which the claim is found."""
    if described.kind != b"jumd" or not (
        described.body.startswith(kind) and _LABEL.fullmatch(described.body[len(kind) :])
    ):
        raise _ForeignContentError("a manifest that is described otherwise than ours")


def _decompressed(packed: bytes) -> bytes:
    """Return the uncompressed bytes of one block of data, then empty blocks, then the end; refuse anything else."""
    head = int.from_bytes(packed[:3], "little")
    # A window of 16 bits, not the last block, its length in four half-bytes: as our compressor begins.
    length = (head >> 4 & 0xFFFF) + 1
    if head & 0xF or not 1 < length <= _MOST_OPENED:
        raise _ForeignContentError("compressed otherwise than ours")
    opened, at = bytearray(), 0
    try:
        decompressor = brotli.Decompressor()
        while at < len(packed) and len(opened) < length:  # a byte at a time: where it ends is what counts
            opened += decompressor.process(packed[at : at + 1])
            at += 1
    except brotli.error as error:
        raise _ForeignContentError("compressed otherwise than ours") from error
    if len(opened) != length or not _AFTER.fullmatch(packed[at:]):
        raise _ForeignContentError("something in the room that fills the manifest up")
    return bytes(opened)


def _check_signature(signature: bytes) -> None:
    """Refuse a COSE signature with anything in its unsigned headers but empty room and time stamps."""
    parts = cbor.decode_cbor(signature)
    if not isinstance(parts, list) or len(parts) != 4 or not isinstance(parts[1], dict):  # noqa: PLR2004 - RFC 9052
        raise _ForeignContentError("a signature of another form")
    unsigned: dict[Any, Any] = parts[1]
    for name, value in unsigned.items():
        if name in _ROOM and isinstance(value, bytes) and not any(value):
            continue
        if name not in _SIGNED:
            raise _ForeignContentError(f"something in the signature's unsigned header {name!r}")


def _boxes(data: bytes, where: str) -> list[_Box]:
    boxes, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if not 8 <= size <= len(data) - at:  # noqa: PLR2004 - a box's head
            raise _ForeignContentError(f"something in {where} that is no box")
        boxes.append(_Box(data[at + 4 : at + 8], data[at + 8 : at + size]))
        at += size
    if not boxes or (boxes[0].kind == b"jumd" and len(boxes) == 1):
        raise _ForeignContentError(f"nothing in {where}")
    return boxes
