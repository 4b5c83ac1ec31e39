"""Signatures of events, by the Standard Webhooks specification (version 1.0.0).

What is signed is ``{id}.{timestamp}.{body}``, with every key that is set: so a receiver that knows one of them
verifies, and keys are rotated while nobody waits.

::

    signature   key                                             text of the key
    v1          HMAC-SHA256, a secret of 24 to 64 bytes         whsec_ and base64; both sides have it
    v1a         Ed25519, whose public half is served as a JWKS  whsk_ and base64 of the private key's 32 bytes
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nightlight_core.errors import SettingsRefused
from nightlight_core.live_files import fingerprint, public_fingerprint

SECRET_PREFIX, KEY_PREFIX = "whsec_", "whsk_"
# As the specification says; and no more keys than headers of a few hundred bytes hold.
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
_KEY_BYTES = 32
MAX_KEYS = 4
# Ids under which processes report them; keys of a kind are told apart by their hash.
_SECRET_ID, _KEY_ID = "v1", "v1a"


@dataclass(frozen=True, slots=True)
class EventSigner:
    """Signs with the keys of this moment: they are read again when their files change."""

    secrets: Callable[[], Sequence[bytes]] = lambda: ()
    private_keys: Callable[[], Sequence[Ed25519PrivateKey]] = lambda: ()

    def headers(self, message_id: str, moment: int, body: bytes) -> dict[str, str]:
        """Return the headers of a delivery at ``moment``, in Unix seconds."""
        signed = f"{message_id}.{moment}.".encode() + body
        signatures = [f"v1,{_base64(hmac.digest(secret, signed, 'sha256'))}" for secret in self.secrets()]
        signatures += [f"v1a,{_base64(key.sign(signed))}" for key in self.private_keys()]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(moment),
            "webhook-signature": " ".join(signatures),
        }

    def public_keys(self) -> dict[str, str]:
        """Return the public halves: base64url by key id, which is the key's thumbprint (RFC 7638)."""
        encoded = [_base64url(key.public_key().public_bytes_raw()) for key in self.private_keys()]
        return {thumbprint(x): x for x in encoded}


def jwks(public_keys: dict[str, str]) -> dict[str, list[dict[str, str]]]:
    """Return public keys as a JWK Set (RFC 7517, RFC 8037)."""
    common = {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA"}
    return {"keys": [{**common, "kid": key_id, "x": x} for key_id, x in public_keys.items()]}


def thumbprint(x: str) -> str:
    """Return the thumbprint (RFC 7638) of an Ed25519 public key, whose base64url is ``x``."""
    return _base64url(hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest())


def parse_secrets(text: str, what: str) -> tuple[bytes, ...]:
    """Return the secrets of a setting, each ``whsec_...``; raise SettingsRefused naming ``what``."""
    lengths = range(MIN_SECRET_BYTES, MAX_SECRET_BYTES + 1)
    return _parsed(text, what, SECRET_PREFIX, lengths, f"{MIN_SECRET_BYTES} to {MAX_SECRET_BYTES}")


def parse_private_keys(text: str, what: str) -> tuple[Ed25519PrivateKey, ...]:
    """Return the private keys of a setting, each ``whsk_...``; raise SettingsRefused naming ``what``."""
    keys = _parsed(text, what, KEY_PREFIX, range(_KEY_BYTES, _KEY_BYTES + 1), str(_KEY_BYTES))
    return tuple(Ed25519PrivateKey.from_private_bytes(raw) for raw in keys)


def secret_ids(secrets: Sequence[bytes]) -> list[str]:
    """Return the ids of secrets, as processes report them."""
    return [fingerprint(_SECRET_ID, secret) for secret in secrets]


def private_key_ids(keys: Sequence[Ed25519PrivateKey]) -> list[str]:
    """Return the ids of private keys, as processes report them: by their public halves."""
    return [public_fingerprint(_KEY_ID, key.public_key().public_bytes_raw()) for key in keys]


def _parsed(text: str, what: str, prefix: str, lengths: range, in_words: str) -> tuple[bytes, ...]:
    parts = [part for part in re.split(r"[\s,]+", text) if part]
    keys = [_decoded(part, prefix) for part in parts]
    if not keys or any(len(key) not in lengths for key in keys):
        raise SettingsRefused(f"each key of {what} must be '{prefix}' and the base64 of {in_words} bytes")
    if len(keys) > MAX_KEYS or len(set(keys)) < len(keys):
        raise SettingsRefused(f"{what} has at most {MAX_KEYS} keys, each of them once")
    return tuple(keys)


def _decoded(part: str, prefix: str) -> bytes:
    try:
        return base64.b64decode(part.removeprefix(prefix), validate=True) if part.startswith(prefix) else b""
    except ValueError:
        return b""


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
