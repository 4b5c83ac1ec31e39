"""Signed URLs: ``/a/{name}.webp?e={expiry}&k={key id}&s={signature}``.

The signature is HMAC-SHA256 over path, expiry and key id, cut to 128 bits, by a key that is derived from the ring's for
the day on which the URL expires: so the keys of some days can be delegated to a process that decides by itself, and
are worth nothing afterwards. The expiry is rounded to a bucket, with an offset of each name's own, so that everybody
who is given the same rendition at about the same time gets the same URL (caches hit) and not all URLs of a page expire
at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Protocol

from nightlight_core.errors import Unavailable
from nightlight_core.keyring import KeyRing
from nightlight_core.mac import mac

_SIGNATURE_BYTES = 16
# base64url of 16 bytes is 22 characters and two of padding, which are left out.
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]{22}")
DAY_S = 86_400
_MOST_DAYS, _FAR_S = 64, 30 * DAY_S
_EXPIRY = re.compile(r"[1-9][0-9]{9}")


class UrlSigner(Protocol):
    """What signs the URLs of decisions."""

    def url(self, path: str, *, now: int, life_s: int) -> tuple[str, int]:
        """Return (URL, expiry in Unix seconds) for ``path``, valid for at most ``life_s`` and at least half of it."""
        ...


class RingDayKeys:
    """The keys of every day, derived from a ring; a day is a whole number of days since 1970, in UTC."""

    __slots__ = ("_derived", "_ring", "signing_id")

    def __init__(self, ring: KeyRing) -> None:
        """Derive from ``ring``."""
        self.use(ring)

    def use(self, ring: KeyRing) -> None:
        """Derive from another ring from now on."""
        self._ring = ring  # before what is derived: nothing of the ring before may be kept beyond it
        self._derived: dict[tuple[str, int], bytes] = {}
        self.signing_id = ring.signing_id

    def key(self, key_id: str, day: int) -> bytes | None:
        """Return the key of a day; None for an id that is not in the ring."""
        known = self._derived
        derived = known.get((key_id, day))
        if derived is not None:
            return derived
        root = self._ring.keys.get(key_id)
        if root is None:
            return None
        if len(known) >= _MOST_DAYS:
            known.clear()
        derived = known[key_id, day] = hmac.digest(root, f"day\n{day}".encode(), "sha256")
        return derived


class DelegatedDayKeys:
    """The keys of some days, delegated to a process that holds no ring. They never print."""

    __slots__ = ("_days", "signing_id")

    def __init__(self, signing_id: str, days: Mapping[int, bytes]) -> None:
        """Sign as ``signing_id`` with the keys of ``days``."""
        self.signing_id, self._days = signing_id, dict(days)

    def key(self, key_id: str, day: int) -> bytes | None:
        """Return the key of a day, None where it was not delegated."""
        return self._days.get(day) if key_id == self.signing_id else None


DayKeys = RingDayKeys | DelegatedDayKeys


class HmacUrlSigner:
    """Signs URLs by HMAC, and verifies them."""

    __slots__ = ("_base_url", "_keys", "_max_life_s")

    def __init__(self, keys: DayKeys | KeyRing, base_url: str, *, max_life_s: int = DAY_S) -> None:
        """Sign with ``keys``; ``base_url`` is the scheme and host that viewers fetch from.

        No URL is valid for longer than ``max_life_s``: edges forget after a day what was revoked.
        """
        self._max_life_s = min(max_life_s, DAY_S)
        self._keys = RingDayKeys(keys) if isinstance(keys, KeyRing) else keys
        self._base_url = base_url.rstrip("/")

    def url(self, path: str, *, now: int, life_s: int) -> tuple[str, int]:
        """Return (URL, expiry in Unix seconds) for ``path``, valid for at most ``life_s`` and at least half of it.

        Raises Unavailable where the key of the day on which it would expire is not there.
        """
        expiry = bucketed_expiry(path, now=now, life_s=min(life_s, self._max_life_s))
        key_id = self._keys.signing_id
        key = self._keys.key(key_id, expiry // DAY_S)
        if key is None:
            raise Unavailable("no key was delegated for the day on which this URL would expire")
        signature = _sign(key, path, expiry, key_id)
        return f"{self._base_url}{path}?e={expiry}&k={key_id}&s={signature}", expiry

    def verify(self, path: str, expiry: str, key_id: str, signature: str, *, now: int) -> int | None:
        """Return the seconds that the URL has left, or None if it is forged, malformed or expired.

        The comparison takes the same time wherever the first difference is; expiry is looked at only
        after the signature, so that a forged URL says nothing about clocks.
        """
        if not (_EXPIRY.fullmatch(expiry) and _SIGNATURE.fullmatch(signature)):
            return None
        left = int(expiry) - now
        # A day's key is derived for days that a URL of ours can expire on, and for no others that somebody names.
        key = self._keys.key(key_id, int(expiry) // DAY_S if abs(left) < _FAR_S else 0)
        if key is None:
            return None
        expected = _sign(key, path, int(expiry), key_id)
        if not hmac.compare_digest(expected, signature) or left <= 0:
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
    digest = mac(key)(f"{path}\n{expiry}\n{key_id}".encode())
    return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).rstrip(b"=").decode()
