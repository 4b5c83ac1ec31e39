"""Compresses manifests and embeds them into pictures, with the same number of bytes in each picture.

A manifest is signed over the whole picture except the place of the manifest, so that place is reserved first. Then the
manifest is signed, compressed, and padded to the room. The certificates, watermark and hash of one picture compress a
few bytes better than those of another; the padding hides that.

Sources: C2PA specification 2.2 (compressed manifests; embedding in RIFF and JPEG), ISO 19566-5 (JUMBF boxes), RFC 7932
section 9.2 (Brotli's metadata blocks, which a decoder skips).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import brotli

from nightlight_core.errors import SigningFailed

# Sometimes the one is smaller, sometimes the other; the smaller of both differs by a few bytes between pictures.
_QUALITIES = (5, 9)
_HEAD_BYTES = 8
_COMPRESSED = b"c2cm"
# Brotli, byte by byte: a metadata block of no length, and the end.
_SKIPPED, _END = b"\x06", b"\x03"
# The most that one JPEG segment holds.
MAX_ROOM = 65_000
JPEG_HEAD = b"JP\x02\x11\x00\x00\x00\x01"


class ManifestTooLarge(SigningFailed):
    """A manifest takes more than the room that was reserved for it."""

    def __init__(self, needed: int) -> None:
        """Keep how many bytes it takes."""
        super().__init__(f"the manifest takes {needed} bytes")
        self.needed = needed


@dataclass(frozen=True, slots=True)
class ReservedPicture:
    """A picture with room for a manifest.

    ``at``: where the room begins. ``room``: its bytes. ``start``: where the unsigned part begins, which ends with the
    room.
    """

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
        binding = {"exclusions": [excluded], "name": "jumbf manifest", "alg": "sha256", "hash": list(digest.digest())}
        return {"label": "c2pa.hash.data", "data": {**binding, "pad": []}, "created": True}

    def with_manifest(self, manifest: bytes) -> bytes:
        """Return the picture with a manifest, which has the size of the room."""
        return self.data[: self.at] + manifest + self.data[self.at + self.room :]


def reserve_room(data: bytes, media_type: str, room: int) -> ReservedPicture | None:
    """Return a WebP or JPEG picture with ``room`` bytes (even) for a manifest; None for another format."""
    if room % 2 or not 0 < room <= MAX_ROOM:
        raise SigningFailed(f"no room of {room} bytes can be made")
    if media_type == "image/webp" and data[8:12] == b"WEBP" and len(data) % 2 == 0:
        chunk = b"C2PA" + room.to_bytes(4, "little") + bytes(room)
        size = len(data) + len(chunk) - 8
        return ReservedPicture(data[:4] + size.to_bytes(4, "little") + data[8:] + chunk, len(data) + 8, room, len(data))
    if media_type == "image/jpeg" and data[2:4] == b"\xff\xe0":
        start = 4 + int.from_bytes(data[4:6], "big")
        head = b"\xff\xeb" + (2 + len(JPEG_HEAD) + room).to_bytes(2, "big") + JPEG_HEAD
        return ReservedPicture(data[:start] + head + bytes(room) + data[start:], start + len(head), room, start)
    return None


def compact_manifest(manifest: bytes, room: int | None = None) -> bytes:
    """Return a manifest store with one manifest, compressed, and padded to ``room`` bytes if that is given.

    Raises Overflow if it takes more, SigningFailed for anything but such a store.
    """
    (_, store), rest = _box(manifest)
    (_, description), inner = _box(store)
    (kind, body), more = _box(inner)
    (_, name), _ = _box(body)
    if rest or more or kind != b"jumb" or not name.startswith(b"c2ma"):
        raise SigningFailed("the signer gave something else than one manifest")
    packed = _smallest(inner)

    def padded(fill: int) -> bytes:
        described = _boxed(b"jumd", _COMPRESSED + name[4:])
        squeezed = _boxed(b"brob", packed + fill * _SKIPPED + _END)
        return _boxed(b"jumb", _boxed(b"jumd", description) + _boxed(b"jumb", described + squeezed))

    small = padded(0)
    if room is None:
        return small
    if len(small) > room:
        raise ManifestTooLarge(len(small))
    return padded(room - len(small))


@lru_cache(maxsize=2)
def _smallest(data: bytes) -> bytes:
    """Return the shortest of what Brotli makes; kept, since a manifest is measured first and padded then."""
    return min((_packed(data, quality) for quality in _QUALITIES), key=len)


def _packed(data: bytes, quality: int) -> bytes:
    """Return Brotli's bytes without their end, so that padding can follow."""
    packer = brotli.Compressor(quality=quality, lgwin=16)
    return bytes(packer.process(data) + packer.flush())


def _box(data: bytes) -> tuple[tuple[bytes, bytes], bytes]:
    """Return a box's kind and body, and what comes after it."""
    size = int.from_bytes(data[:4], "big")
    if not _HEAD_BYTES <= size <= len(data):
        raise SigningFailed("the signer gave no manifest")
    return (data[4:8], data[8:size]), data[size:]


def _boxed(kind: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body
