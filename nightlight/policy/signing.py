"""Ed25519 signatures over bundles, and over changes that the safety team approves, by key id."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from nightlight_core.errors import PolicyRefused
from nightlight_core.files import read_text
from nightlight_core.policy.public_keys import PublicKeys, base64url_bytes

if TYPE_CHECKING:
    from nightlight.policy.changes import Difference

APPROVAL_FORMAT = "nightlight-approval/2"
# An approval counts for so long, in seconds, unless it says otherwise; and for so long at most.
APPROVAL_S, MAX_APPROVAL_S = 3 * 86_400, 30 * 86_400
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

    @property
    def public_keys(self) -> PublicKeys:
        """Return the public half as a set of one key."""
        return PublicKeys({self.key_id: self.public_key})

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """Return the key in a file (a private OKP JWK, RFC 8037); raise PolicyRefused if there is none."""
        try:
            jwk = json.loads(read_text(path))
            return cls(str(jwk["kid"]), Ed25519PrivateKey.from_private_bytes(base64url_bytes(jwk["d"])))
        except (OSError, ValueError, KeyError, TypeError, binascii.Error) as error:
            raise PolicyRefused(f"{path} does not hold a private Ed25519 JWK ({type(error).__name__})") from error


class ApprovalSubject(NamedTuple):
    """What an approval is for: one version that replaces one policy, and is checked as it was when safety looked.

    ``difference`` is the digest of everything that differs; ``base`` the digest of the policy that is replaced.
    """

    version: int
    base: str
    old_checks: str
    new_checks: str
    difference: str


def approval_subject(difference: Difference, version: int) -> ApprovalSubject:
    """Return what an approval of a difference, as a version, is for."""
    return ApprovalSubject(
        version, difference.old_digest, difference.old_checks, difference.new_checks, difference.digest
    )


def approve(what: ApprovalSubject, key: SigningKey, *, expires_at: int) -> dict[str, str | int]:
    """Return the approval of one change until ``expires_at`` (Unix seconds), as it is kept in a file."""
    statement = {**what._asdict(), "expires_at": expires_at}
    signature = key.sign(_approved(statement))
    return {
        "format": APPROVAL_FORMAT,
        **statement,
        "key_id": key.key_id,
        "signature": base64.b64encode(signature).decode(),
    }


def check_approval(approval: Any, subject: ApprovalSubject, keys: PublicKeys, *, now: float) -> str:
    """Return the id of the key that approved exactly this at ``now`` (Unix seconds), or raise PolicyRefused."""
    try:
        kind = approval["format"]
        key_id = str(approval["key_id"])
        signature = base64.b64decode(approval["signature"], validate=True)
        statement = {name: approval[name] for name in (*ApprovalSubject._fields, "expires_at")}
        unknown = set(approval) - {"format", "key_id", "signature", *statement}
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        message = f"this is no approval ({type(error).__name__}); make one with `nightlight policy approve`"
        raise PolicyRefused(message) from error
    if kind != APPROVAL_FORMAT or unknown:
        raise PolicyRefused("this is no approval (another format); make one with `nightlight policy approve`")
    for name, value in subject._asdict().items():
        if type(statement[name]) is not type(value) or statement[name] != value:
            message = f"the approval is for {name} {str(statement[name])[:12]}, this one is {str(value)[:12]}"
            raise PolicyRefused(message)
    expires_at = statement["expires_at"]
    if type(expires_at) is not int or not now < expires_at <= now + MAX_APPROVAL_S:
        raise PolicyRefused(f"the approval has expired, or is made to last longer than {MAX_APPROVAL_S // 86_400} days")
    keys.verify(key_id, signature, _approved(statement), "the approval")
    return key_id


def _approved(statement: Mapping[str, Any]) -> bytes:
    return f"{APPROVAL_FORMAT}\n{json.dumps(statement, sort_keys=True, separators=(',', ':'))}".encode()
