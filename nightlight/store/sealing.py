"""Sealing originals: each under a key of its own, which only the workers can open and an erasure destroys.

The service makes a data key for an original, encrypts it (AES-256-GCM), seals the data key to the workers' public key
(HPKE, RFC 9180: X25519, HKDF-SHA256, AES-128-GCM) and forgets it; what is sealed stands in the catalogue, not beside
the object. Without that row the object is noise, in every version, replica and backup of it.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from nightlight_core.errors import SealKeyMissing, SettingsRefused, StoreUnavailable
from nightlight_core.keyring import KeyRing

_DATA_KEY_BYTES = 32
_RAW_BYTES = 32
# A data key encrypts one thing once, so one nonce will do.
_NONCE = bytes(12)
_INFO = b"nightlight original/1"
_SAME = b"nightlight vault/1"


def _suite() -> Suite:
    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals to one public key; it cannot open what it sealed."""

    key_id: str
    public: X25519PublicKey = field(repr=False)

    @classmethod
    def parse(cls, text: str, what: str) -> Sealer:
        """Return what seals to ``id:base64`` of a public key; raises SettingsRefused naming ``what``."""
        ring = KeyRing.parse(text, what)
        return cls(ring.signing_id, X25519PublicKey.from_public_bytes(_raw(ring.keys[ring.signing_id], what)))

    def seal(self, data: bytes) -> tuple[bytes, str]:
        """Return (what to store, the sealed key to keep) of an original."""
        data_key = secrets.token_bytes(_DATA_KEY_BYTES)
        sealed = _suite().encrypt(data_key, self.public, _INFO)
        return AESGCM(data_key).encrypt(_NONCE, data, None), f"{self.key_id}:{base64.b64encode(sealed).decode()}"

    def seal_same(self, data: bytes) -> tuple[bytes, str]:
        """Return likewise, and the same bytes to store for the same data: for stores that cannot be looked into.

        The data key is made from the data (convergent encryption). Whoever has the data can tell that it is stored, and
        nobody can open what is stored without the private key or the data.
        """
        data_key = hmac.digest(_SAME, data, "sha256")
        sealed = _suite().encrypt(data_key, self.public, _INFO)
        return AESGCM(data_key).encrypt(_NONCE, data, None), f"{self.key_id}:{base64.b64encode(sealed).decode()}"


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens what was sealed to any of its keys."""

    privates: Mapping[str, X25519PrivateKey] = field(repr=False)

    @classmethod
    def parse(cls, text: str | None, what: str) -> Opener:
        """Return what opens with ``id:base64,id:base64``; nothing where that is unset. Raises SettingsRefused."""
        keys = KeyRing.parse(text, what).keys if text else {}
        return cls({name: X25519PrivateKey.from_private_bytes(_raw(key, what)) for name, key in keys.items()})

    def open(self, data: bytes, sealed_key: str | None) -> bytes:
        """Return an original; what was not sealed is given back as it is.

        Raises SealKeyMissing where this process has no key for it, StoreUnavailable where it does not open.
        """
        if sealed_key is None:
            return data
        key_id, _, encoded = sealed_key.partition(":")
        private = self.privates.get(key_id)
        if private is None:
            raise SealKeyMissing(f"no private key '{key_id}' to open an original with")
        try:
            data_key = _suite().decrypt(base64.b64decode(encoded, validate=True), private, _INFO)
            return AESGCM(data_key).decrypt(_NONCE, data, None)
        except (InvalidTag, ValueError) as error:
            raise StoreUnavailable(f"an original does not open ({type(error).__name__})") from error


def generate_seal_keys() -> tuple[str, str]:
    """Return a new (private, public) pair, in base64 of its raw bytes."""
    private = X25519PrivateKey.generate()
    raw = private.private_bytes_raw(), private.public_key().public_bytes_raw()
    return base64.b64encode(raw[0]).decode(), base64.b64encode(raw[1]).decode()


def _raw(key: bytes, what: str) -> bytes:
    if len(key) != _RAW_BYTES:
        raise SettingsRefused(f"{what}: an X25519 key has {_RAW_BYTES} bytes")
    return key
