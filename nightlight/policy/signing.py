"""Ed25519 signatures over bundles and over differences (the safety team's approval), by key id."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from nightlight.errors import PolicyRefused

APPROVAL_FORMAT = "nightlight-approval/1"
MAX_APPROVAL_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and its id; it does not print."""

    key_id: str
    _key: Ed25519PrivateKey

    def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message`` (64 bytes)."""
        return self._key.sign(message)

    @property
    def public_key(self) -> Ed25519PublicKey:
        """Return the public half."""
        return self._key.public_key()

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """Return the key in a file (a private OKP JWK, RFC 8037); raise PolicyRefused if there is none."""
        try:
            jwk = json.loads(path.read_text("utf-8"))
            return cls(str(jwk["kid"]), Ed25519PrivateKey.from_private_bytes(_bytes(jwk["d"])))
        except (OSError, ValueError, KeyError, TypeError, binascii.Error) as error:
            message = f"{path} does not hold a private Ed25519 JWK ({type(error).__name__})"
            raise PolicyRefused(message) from error


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """Public keys by id."""

    keys: dict[str, Ed25519PublicKey]

    @classmethod
    def read(cls, path: Path) -> PublicKeys:
        """Return the keys in a JWKS file; raise PolicyRefused if there are none."""
        try:
            found = json.loads(path.read_text("utf-8"))["keys"]
            keys = {
                str(jwk["kid"]): Ed25519PublicKey.from_public_bytes(_bytes(jwk["x"]))
                for jwk in found
                if jwk.get("crv") == "Ed25519"
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            message = f"{path} does not hold a JWKS of Ed25519 keys ({type(error).__name__})"
            raise PolicyRefused(message) from error
        if not keys:
            message = f"{path} holds no Ed25519 key"
            raise PolicyRefused(message)
        return cls(keys)

    @classmethod
    def of(cls, key: SigningKey) -> PublicKeys:
        """Return the public half of one private key."""
        return cls({key.key_id: key.public_key})

    def verify(self, key_id: str, signature: bytes, message: bytes, what: str) -> None:
        """Raise PolicyRefused unless one of these keys, by its id, signed ``message``."""
        key = self.keys.get(key_id)
        if key is None:
            detail = f"{what} is signed by a key that is not trusted for it"
            raise PolicyRefused(detail)
        try:
            key.verify(signature, message)
        except InvalidSignature:
            detail = f"the signature of {what} is wrong"
            raise PolicyRefused(detail) from None


def approve(difference_digest: str, key: SigningKey) -> dict[str, str]:
    """Return the approval of one difference, as it is kept in a file."""
    signature = key.sign(_approved(difference_digest))
    return {
        "format": APPROVAL_FORMAT,
        "difference": difference_digest,
        "key_id": key.key_id,
        "signature": base64.b64encode(signature).decode(),
    }


def check_approval(approval: Any, difference_digest: str, keys: PublicKeys) -> str:
    """Return the id of the key that approved exactly this difference, or raise PolicyRefused."""
    try:
        kind = str(approval["format"])
        key_id = str(approval["key_id"])
        signature = base64.b64decode(approval["signature"], validate=True)
        approved = str(approval["difference"])
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        message = f"this is no approval ({type(error).__name__})"
        raise PolicyRefused(message) from error
    if kind != APPROVAL_FORMAT:
        message = "this is no approval (another format)"
        raise PolicyRefused(message)
    if approved != difference_digest:
        message = f"the approval is for difference {approved[:12]}, this one is {difference_digest[:12]}"
        raise PolicyRefused(message)
    keys.verify(key_id, signature, _approved(difference_digest), "the approval")
    return key_id


def _approved(difference_digest: str) -> bytes:
    return f"{APPROVAL_FORMAT}\n{difference_digest}".encode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
