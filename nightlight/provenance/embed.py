"""Manifests made small, and put into pictures: the same number of bytes in each of them.

A manifest is signed over the whole picture but the place that it takes, so that place is chosen before: the picture
with room in it, then the signature, then the manifest, compressed, and filled up to the room. Certificates, mark and
hash of one picture compress a few bytes better than those of another; nobody can tell by the file.

Sources: C2PA specification 2.2 (compressed manifests; embedding in RIFF and JPEG), ISO 19566-5 (JUMBF boxes), RFC 7932
section 9.2 (Brotli's metadata blocks, which a decoder skips).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import brotli

from nightlight_core.errors import SigningFailed

# Now the one gives less, now the other; the smaller of both differs by a few bytes from picture to picture.
_QUALITIES = (5, 9)
_HEAD_BYTES = 8
_COMPRESSED = b"c2cm"
# Brotli, byte by byte: a metadata block of no length, and the end.
_SKIPPED, _END = b"\x06", b"\x03"
# What goes into one JPEG segment.
MOST_ROOM = 65_000
JPEG_HEAD = b"JP\x02\x11\x00\x00\x00\x01"


class Overflow(SigningFailed):
    """A manifest takes more than the room that was kept for it."""

    def __init__(self, needed: int) -> None:
        """Say how many bytes it takes."""
        super().__init__(f"the manifest takes {needed} bytes")
        self.needed = needed


@dataclass(frozen=True, slots=True)
class Roomy:
    """A picture with room for a manifest: where it begins, and where what is not signed does."""

    data: bytes
    at: int
    room: int
    start: int

    def binding(self) -> dict[str, Any]:
        """Return the data hash assertion: SHA-256 of all but the room and its head."""
        end = self.at + self.room
        digest = hashlib.sha256(self.data[: self.start])
        digest.update(self.data[end:])
        excluded = {"start": self.start, "length": end - self.start}
        said = {"exclusions": [excluded], "name": "jumbf manifest", "alg": "sha256", "hash": list(digest.digest())}
        return {"label": "c2pa.hash.data", "data": {**said, "pad": []}, "created": True}

    def filled(self, manifest: bytes) -> bytes:
        """Return the picture with a manifest of the room's size in it."""
        return self.data[: self.at] + manifest + self.data[self.at + self.room :]


def with_room(data: bytes, media_type: str, room: int) -> Roomy | None:
    """Return a WebP or JPEG picture with room for a manifest of ``room`` bytes (even); None for anything else."""
    if room % 2 or not 0 < room <= MOST_ROOM:
        message = f"no room of {room} bytes can be made"
        raise SigningFailed(message)
    if media_type == "image/webp" and data[8:12] == b"WEBP" and len(data) % 2 == 0:
        chunk = b"C2PA" + room.to_bytes(4, "little") + bytes(room)
        size = len(data) + len(chunk) - 8
        return Roomy(data[:4] + size.to_bytes(4, "little") + data[8:] + chunk, len(data) + 8, room, len(data))
    if media_type == "image/jpeg" and data[2:4] == b"\xff\xe0":
        start = 4 + int.from_bytes(data[4:6], "big")
        head = b"\xff\xeb" + (2 + len(JPEG_HEAD) + room).to_bytes(2, "big") + JPEG_HEAD
        return Roomy(data[:start] + head + bytes(room) + data[start:], start + len(head), room, start)
    return None


def compact(manifest: bytes, room: int | None = None) -> bytes:
    """Return a manifest store with one manifest, compressed, and filled up to ``room`` bytes if that is given.

    Raises Overflow if it takes more, SigningFailed for anything but such a store.
    """
    (_, store), rest = _box(manifest)
    (_, says), inner = _box(store)
    (kind, body), more = _box(inner)
    (_, name), _ = _box(body)
    if rest or more or kind != b"jumb" or not name.startswith(b"c2ma"):
        message = "the signer gave something else than one manifest"
        raise SigningFailed(message)
    packed = min((_packed(inner, quality) for quality in _QUALITIES), key=len)

    def whole(fill: int) -> bytes:
        described = _boxed(b"jumd", _COMPRESSED + name[4:])
        squeezed = _boxed(b"brob", packed + fill * _SKIPPED + _END)
        return _boxed(b"jumb", _boxed(b"jumd", says) + _boxed(b"jumb", described + squeezed))

    small = whole(0)
    if room is None:
        return small
    if len(small) > room:
        raise Overflow(len(small))
    return whole(room - len(small))


def _packed(data: bytes, quality: int) -> bytes:
    """Return Brotli's bytes without their end, so that something can follow."""
    packer = brotli.Compressor(quality=quality, lgwin=16)
    return bytes(packer.process(data) + packer.flush())


def _box(data: bytes) -> tuple[tuple[bytes, bytes], bytes]:
    """Return a box's kind and body, and what comes after it."""
    size = int.from_bytes(data[:4], "big")
    if not _HEAD_BYTES <= size <= len(data):
        message = "the signer gave no manifest"
        raise SigningFailed(message)
    return (data[4:8], data[8:size]), data[size:]


def _boxed(kind: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body
