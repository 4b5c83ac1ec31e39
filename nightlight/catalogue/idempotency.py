"""Idempotency keys: the same key and body give the same image, however often they are sent."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import idempotency
from nightlight_core.ids import ImageId


@dataclass(frozen=True, slots=True)
class IdempotentResult:
    """What was done under a key: the SHA-256 of the request's body, and the image made."""

    fingerprint: str
    image_id: ImageId


class IdempotencyKeys(Rows):
    """Idempotency rows, inside one transaction."""

    def find(self, key_hash: str) -> IdempotentResult | None:
        """Return what was done under the key, or None."""
        query = select(idempotency.c.fingerprint, idempotency.c.image_id).where(idempotency.c.key_hash == key_hash)
        row = self._execute(query).one_or_none()
        return IdempotentResult(row.fingerprint, ImageId(row.image_id)) if row else None

    def remember(self, key_hash: str, remembered: IdempotentResult, now: datetime) -> None:
        """Write the key; raises IntegrityError if another request wrote it first."""
        self._execute(insert(idempotency).values(key_hash=key_hash, **asdict(remembered), created_at=now))

    def forget_before(self, moment: datetime) -> int:
        """Drop keys older than ``moment``; return how many."""
        return self._execute(delete(idempotency).where(idempotency.c.created_at < moment)).rowcount

    def forget_image(self, image_id: ImageId) -> None:
        """Drop the keys that led to an image that is being erased: a fingerprint is a trace of it."""
        self._execute(delete(idempotency).where(idempotency.c.image_id == image_id))
