"""Ed25519 public keys by id, read from a JWKS file, and the signatures they verify."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from nightlight_core.errors import PolicyRefused
from nightlight_core.files import read_text

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """Public keys by id."""

    keys: dict[str, Ed25519PublicKey]

    @classmethod
    def read(cls, path: Path) -> PublicKeys:
        """Return the keys in a JWKS file; raise PolicyRefused if there are none."""
        try:
            keys = {
                str(jwk["kid"]): Ed25519PublicKey.from_public_bytes(base64url_bytes(jwk["x"]))
                for jwk in json.loads(read_text(path))["keys"]
                if jwk.get("crv") == "Ed25519"
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise PolicyRefused(f"{path} does not hold a JWKS of Ed25519 keys ({type(error).__name__})") from error
        if not keys:
            raise PolicyRefused(f"{path} holds no Ed25519 key")
        return cls(keys)

    def verify(self, key_id: str, signature: bytes, message: bytes, what: str) -> None:
        """Raise PolicyRefused unless one of these keys, by its id, signed ``message``."""
        key = self.keys.get(key_id)
        if key is None:
            raise PolicyRefused(f"{what} is signed by a key that is not trusted for it")
        try:
            key.verify(signature, message)
        except InvalidSignature:
            raise PolicyRefused(f"the signature of {what} is wrong") from None


def base64url_bytes(text: str) -> bytes:
    """Return the bytes of base64url text without padding (RFC 7515); raise ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
