"""Receipts of erasures, added to the chain in the transaction of what they tell."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from nightlight.retention.erasure_receipt import DeletedObject, issue_receipt, subject_digest
from nightlight_core.ids import ImageId

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.tombstones import ErasureSubject
    from nightlight.policy.signing import SigningKey

# What stays, and until when: a date, or words.
Residual = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Erasure:
    """What a receipt tells of. ``image_id`` is None for a profile's own row; ``subject`` says whose erasure it was.

    ``owner`` says whose picture it was, in the catalogue alone: a profile that is kept was not erased.
    ``stays`` is what is kept besides the deployment's residuals. ``ended`` is a hold that ends.
    """

    kind: str
    image_id: ImageId | None
    asked_at: datetime
    gone: Sequence[DeletedObject] = ()
    subject: ErasureSubject | None = None
    key_destroyed: bool = False
    rows_removed: bool = False
    stays: Sequence[Residual] = ()
    ended: str = ""
    owner: ErasureSubject | None = None


@dataclass(slots=True)
class ReceiptIssuer:
    """Makes receipts. ``residuals`` says where copies stay for how many days: backups, say.

    Another key may take the place of ``key`` while a process runs.
    """

    key: SigningKey
    residuals: tuple[tuple[str, int], ...]

    def write(self, tx: Transaction, erasure: Erasure, now: datetime) -> None:
        """Add the receipt of an erasure to the chain, in the caller's transaction."""
        image_id, subject = erasure.image_id, erasure.subject
        receipt_id = secrets.token_hex(16)
        content: dict[str, Any] = {
            "receipt_id": receipt_id,
            "kind": erasure.kind,
            "asked_at": erasure.asked_at.isoformat(),
            "erased_at": now.isoformat(),
            "residuals": [{"what": what, "until": until} for what, until in self._residuals(tx, erasure, now)],
            "key_destroyed": erasure.key_destroyed,
            "rows_removed": erasure.rows_removed,
        }
        if image_id is not None:
            content["subject_sha256"] = subject_digest(image_id)
        if subject is not None:
            content["profile"] = {"key_id": subject.key_id, "hmac_sha256": subject.digest}
        payload, envelope = issue_receipt(self.key, content, erasure.gone, tx.receipts.head())
        whose = subject or erasure.owner
        named = whose.text if whose is not None else None
        tx.receipts.add(receipt_id, image_id, payload, envelope, now, subject=named)

    def write_statement(
        self, tx: Transaction, subject: str, kind: str, facts: Mapping[str, Any], *, asked_at: datetime, now: datetime
    ) -> None:
        """Add a receipt of something that erases nothing to the chain; it tells ``facts``. Likewise."""
        receipt_id = secrets.token_hex(16)
        content = {
            "receipt_id": receipt_id,
            "kind": kind,
            "subject_sha256": subject_digest(subject),
            "asked_at": asked_at.isoformat(),
            "erased_at": now.isoformat(),
            "residuals": [],
            **facts,
        }
        payload, envelope = issue_receipt(self.key, content, (), tx.receipts.head())
        tx.receipts.add(receipt_id, ImageId(subject), payload, envelope, now)

    def _residuals(self, tx: Transaction, erasure: Erasure, now: datetime) -> list[Residual]:
        """Return what stays: copies elsewhere, what the caller names, a hold, and versions under an object lock."""
        stays = [(what, until_date(now, days)) for what, days in self.residuals] + list(erasure.stays)
        held_until = tx.legal_holds.until(erasure.image_id, but=erasure.ended) if erasure.image_id else None
        if held_until is not None:
            stays.append(("hold", held_until or "it is ended"))
        locked = {(gone.bucket, gone.locked_until) for gone in erasure.gone if gone.locked_until is not None}
        stays += [(f"object lock on {bucket}", until or "it is lifted") for bucket, until in sorted(locked)]
        return stays


def until_date(now: datetime, days: float) -> str:
    """Return the day, in UTC, that is so many days after a moment."""
    return (now + timedelta(days=days)).date().isoformat()
