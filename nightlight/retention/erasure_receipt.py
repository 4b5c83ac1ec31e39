"""Receipts of erasures: what was deleted, when, and what is left elsewhere; signed, each holding the last one's hash.

A receipt is ``{"payload", "key_id", "signature"}``: the payload is base64 of JSON, the signature Ed25519 over the
format's name and the payload's SHA-256. docs/receipts.md has the exact bytes, and test vectors. Names of objects stand
in it as SHA-256 digests: whoever has a name can look for it, and nobody can read one. Whose erasure it was stands in it
as a keyed hash (retention.erasure_subjects). It names no profile, no age and no person.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightlight_core.errors import ReceiptRefused

if TYPE_CHECKING:
    from nightlight.policy.signing import SigningKey
    from nightlight_core.policy.public_keys import PublicKeys

FORMAT = "nightlight-receipt/1"
ERASED, PROVED, ENDED, ROWS_REMOVED = "erased", "proved again", "hold ended", "rows removed"
MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class DeletedObject:
    """What was deleted under one key of a bucket: version ids and the server's request ids.

    ``left`` is 0 but for versions that the server keeps under an object lock, until the date ``locked_until``; empty
    for a lock without a date.
    """

    bucket: str
    key: str
    versions: Sequence[tuple[str, bool, str]]
    left: int
    locked_until: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what a receipt tells of it."""
        versions = [
            {"version_id": version_id, "marker": marker, "request_id": request_id}
            for version_id, marker, request_id in self.versions
        ]
        told = {"bucket": self.bucket, "key_sha256": subject_digest(self.key), "versions": versions, "left": self.left}
        return told if self.locked_until is None else {**told, "locked_until": self.locked_until}


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt that was opened: what it says, its own hash, that of the one before it, and who signed it."""

    receipt_id: str
    key_id: str
    kind: str
    erased_at: str
    objects: int
    versions: int
    residuals: list[dict[str, str]]
    previous: str
    hash: str
    payload: dict[str, Any]


def subject_digest(name: str) -> str:
    """Return what a receipt says instead of a name: its SHA-256, in hexadecimal."""
    return hashlib.sha256(name.encode()).hexdigest()


def issue_receipt(
    key: SigningKey, statement: Mapping[str, Any], gone: Iterable[DeletedObject], previous: str
) -> tuple[str, dict[str, str]]:
    """Return (hash, envelope) of a receipt that tells ``statement`` and what is gone; it follows ``previous``."""
    payload_fields = {
        "format": FORMAT,
        **statement,
        "objects": [deleted.as_json() for deleted in gone],
        "previous": previous,
    }
    payload = json.dumps(payload_fields, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(payload).hexdigest(), sign_payload(key, payload, FORMAT)


def sign_payload(key: SigningKey, payload: bytes, format_: str) -> dict[str, str]:
    """Return the envelope of a payload of this format."""
    return {
        "payload": base64.b64encode(payload).decode(),
        "key_id": key.key_id,
        "signature": base64.b64encode(key.sign(signed_bytes(payload, format_))).decode(),
    }


def open_envelope(envelope: object, keys: PublicKeys, format_: str, what: str) -> tuple[dict[str, Any], str]:
    """Return (statement, its hash) of an envelope whose signature and format are right.

    Raises ReceiptRefused or PolicyRefused.
    """
    try:
        if not isinstance(envelope, dict) or len(str(envelope.get("payload", ""))) > MAX_BYTES:
            raise ReceiptRefused(f"this is no {what}")
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signature"], validate=True)
        keys.verify(str(envelope["key_id"]), signature, signed_bytes(payload, format_), f"the {what}")
        statement = json.loads(payload)
        if statement.get("format") != format_:
            raise ReceiptRefused(f"this is no {what} of the format {format_}")
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise ReceiptRefused(f"this is no {what} ({type(error).__name__})") from error
    return statement, hashlib.sha256(payload).hexdigest()


def open_receipt(envelope: Any, keys: PublicKeys) -> Receipt:
    """Return a receipt whose signature is right; raise ReceiptRefused or PolicyRefused.

    ``format``, ``receipt_id`` and ``previous`` must be there. Everything else is shown if it is there.
    """
    statement, digest = open_envelope(envelope, keys, FORMAT, "receipt")
    try:
        objects = statement.get("objects", [])
        return Receipt(
            receipt_id=str(statement["receipt_id"]),
            key_id=str(envelope["key_id"]),
            kind=str(statement.get("kind", "")),
            erased_at=str(statement.get("erased_at", "")),
            objects=len(objects),
            versions=sum(len(entry.get("versions", ())) for entry in objects),
            residuals=[left for left in statement.get("residuals", ()) if isinstance(left, dict)],
            previous=str(statement["previous"]),
            hash=digest,
            payload=statement,
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ReceiptRefused(f"this is no receipt ({type(error).__name__})") from error


def chain_faults(chain: Sequence[Receipt]) -> list[str]:
    """Return, in sentences, what is wrong with receipts that should follow each other without a gap."""
    broken = [
        f"{receipt.receipt_id} does not follow {last.receipt_id}: one was left out, or changed"
        for last, receipt in itertools.pairwise(chain)
        if receipt.previous != last.hash
    ]
    return broken + leftovers(chain)


def leftovers(receipts: Sequence[Receipt]) -> list[str]:
    """Return, in sentences, which receipts say that something was not deleted, and not why.

    What S3's own object lock keeps has ``locked_until``: nobody could delete it.
    """

    def kept(entry: Mapping[str, Any]) -> bool:
        return bool(entry.get("left")) and "locked_until" not in entry

    left = [receipt for receipt in receipts if any(map(kept, receipt.payload.get("objects", [])))]
    return [f"{receipt.receipt_id} says that something is left" for receipt in left]


def signed_bytes(payload: bytes, format_: str) -> bytes:
    """Return the bytes that are signed: the format's name too, so that no other signature serves here."""
    return format_.encode() + b"\n" + hashlib.sha256(payload).digest()
