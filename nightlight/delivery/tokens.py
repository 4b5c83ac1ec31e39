"""Signed URLs: ``/a/{name}.webp?e={expiry}&k={key id}&s={signature}``.

The signature is HMAC-SHA256 over path, expiry and key id, cut to 128 bits. The expiry is rounded to a
bucket, with an offset of each name's own, so that everybody who is given the same rendition at about the
same time gets the same URL (caches hit) and not all URLs of a page expire at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Protocol

from nightlight.keyring import KeyRing

_SIGNATURE_BYTES = 16
# base64url of 16 bytes is 22 characters and two of padding, which are left out.
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]{22}")
_EXPIRY = re.compile(r"[1-9][0-9]{9}")


class Signs(Protocol):
    """What makes the URLs that decisions give."""

    def url(self, path: str, *, now: int, life_s: int) -> tuple[str, int]:
        """Return (URL, expiry in Unix seconds) for ``path``, valid for at most ``life_s`` and at least half of it."""
        ...


class UrlSigner:
    """Makes and checks signed URLs."""

    __slots__ = ("_base_url", "_ring")

    def __init__(self, ring: KeyRing, base_url: str) -> None:
        """Sign with ``ring``; ``base_url`` is the scheme and host that viewers fetch from."""
        self._ring = ring
        self._base_url = base_url.rstrip("/")

    def url(self, path: str, *, now: int, life_s: int) -> tuple[str, int]:
        """Return (URL, expiry in Unix seconds) for ``path``, valid for at most ``life_s`` and at least half of it."""
        expiry = bucketed_expiry(path, now=now, life_s=life_s)
        key_id = self._ring.signing_id
        signature = _sign(self._ring.keys[key_id], path, expiry, key_id)
        return f"{self._base_url}{path}?e={expiry}&k={key_id}&s={signature}", expiry

    def verify(self, path: str, expiry: str, key_id: str, signature: str, *, now: int) -> int | None:
        """Return the seconds that the URL has left, or None if it is forged, malformed or expired.

        The comparison takes the same time wherever the first difference is; expiry is looked at only
        after the signature, so that a forged URL says nothing about clocks.
        """
        if not (_EXPIRY.fullmatch(expiry) and _SIGNATURE.fullmatch(signature)):
            return None
        key = self._ring.keys.get(key_id)
        if key is None:
            return None
        wanted = _sign(key, path, int(expiry), key_id)
        left = int(expiry) - now
        if not hmac.compare_digest(wanted, signature) or left <= 0:
            return None
        return left


def bucketed_expiry(path: str, *, now: int, life_s: int) -> int:
    """Return the expiry: the end of the bucket after this one, at most ``life_s`` from ``now``."""
    begin, bucket = bucket_of(path, now=now, life_s=life_s)
    return begin + 2 * bucket - (2 * bucket - life_s if 2 * bucket > life_s else 0)


def bucket_of(path: str, *, now: int, life_s: int) -> tuple[int, int]:
    """Return (begin, length) of the bucket of time that ``now`` is in: half of ``life_s`` long.

    Buckets begin at an offset that is the path's own.
    """
    bucket = max(1, life_s // 2)
    offset = int.from_bytes(hashlib.blake2s(path.encode(), digest_size=4).digest(), "big") % bucket
    return (now + offset) // bucket * bucket - offset, bucket


def _sign(key: bytes, path: str, expiry: int, key_id: str) -> str:
    digest = hmac.digest(key, f"{path}\n{expiry}\n{key_id}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).rstrip(b"=").decode()
