"""Who was erased, as tombstones and receipts say it: a hash that only the holder of the key can make.

HMAC-SHA256 (RFC 2104) of the profile's id. Ids of profiles can be guessed, so a plain hash would name them. A key's id
holds a hash of the key, so that another key under the same name is known for another.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.catalogue.tombstones import ErasureSubject

if TYPE_CHECKING:
    from nightlight_core.ids import ProfileId
    from nightlight_core.keyring import KeyRing

_SUBJECT = b"nightlight-erasure/1\n"
_KEY = b"nightlight-erasure-key/1"
_KEY_HEX = 8


@dataclass(slots=True)
class SubjectHasher:
    """Hashes profile ids. The ring's first key writes; all are looked for. Another ring may take its place."""

    ring: KeyRing

    def subject(self, profile_id: ProfileId) -> ErasureSubject:
        """Return what a new tombstone says of a profile."""
        return self.every(profile_id)[0]

    def every(self, profile_id: ProfileId) -> list[ErasureSubject]:
        """Return what tombstones may say of a profile, under each key, the newest first."""
        message = _SUBJECT + profile_id.encode()
        return [ErasureSubject(_key_id(name, key), _mac(key, message)) for name, key in self.ring.keys.items()]

    @property
    def key_ids(self) -> frozenset[str]:
        """Return the ids of the keys that there are."""
        return frozenset(_key_id(name, key) for name, key in self.ring.keys.items())


def _key_id(name: str, key: bytes) -> str:
    return f"{name}-{_mac(key, _KEY)[:_KEY_HEX]}"


def _mac(key: bytes, message: bytes) -> str:
    return hmac.digest(key, message, "sha256").hex()
