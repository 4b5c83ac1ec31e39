"""Receipts of erasures, in one chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from nightlight.catalogue.retention_schema import erasures, receipt_head, receipts
from nightlight.catalogue.rows import Rows
from nightlight_core.ids import ImageId

Envelope = dict[str, str]


class ReceiptChain(Rows):
    """Receipt rows, inside one transaction."""

    def head(self) -> str:
        """Return the hash of the last receipt, empty before the first; it is held until the transaction ends."""
        last_hash: str = self._execute(select(receipt_head.c.hash).with_for_update()).scalar_one()
        return last_hash

    def last(self) -> str:
        """Return the same, and hold nothing."""
        last_hash: str = self._execute(select(receipt_head.c.hash)).scalar_one()
        return last_hash

    def length(self) -> tuple[int, str]:
        """Return how many receipts there are, and the hash of the last: of one moment, since it is one query."""
        count = select(func.count()).select_from(receipts).scalar_subquery()
        row = self._execute(select(count, receipt_head.c.hash)).one()
        return int(row[0]), str(row[1])

    def add(
        self,
        receipt_id: str,
        image_id: ImageId | None,
        digest: str,
        envelope: Envelope,
        now: datetime,
        *,
        subject: str | None = None,
    ) -> None:
        """Add a receipt whose hash is ``digest`` to the chain; the head is held.

        ``subject`` says whose it was (tombstones.ErasureSubject.text); ``image_id`` is None for a profile's own.
        """
        row = {
            "receipt_id": receipt_id, "image_id": image_id or "", "hash": digest, "envelope": envelope,
            "created_at": now, "subject": subject,
        }  # fmt: skip
        self._execute(insert(receipts).values(row))
        self._execute(update(receipt_head).values(hash=digest))

    def noted(self, image_id: ImageId) -> dict[str, Any]:
        """Return what an erasure that has not ended found before it deleted it."""
        query = select(erasures.c.objects).where(erasures.c.image_id == image_id)
        row = self._execute(query.with_for_update()).one_or_none()
        return dict(row.objects) if row is not None else {}

    def note(self, image_id: ImageId, objects: Mapping[str, Any]) -> None:
        """Write what an erasure has found, in place of what was noted before."""
        self.drop_note(image_id)
        self._execute(insert(erasures).values(image_id=image_id, objects=dict(objects)))

    def drop_note(self, image_id: ImageId) -> None:
        """Forget what was noted: it is in a receipt."""
        self._execute(delete(erasures).where(erasures.c.image_id == image_id))

    def of_image(self, image_id: ImageId) -> list[Envelope]:
        """Return the receipts of an image, the oldest first."""
        query = select(receipts.c.envelope).where(receipts.c.image_id == image_id).order_by(receipts.c.sequence)
        return [row.envelope for row in self._execute(query)]

    def of_owner(self, subjects: Sequence[str], since: datetime) -> list[tuple[ImageId, Envelope]]:
        """Return (image, receipt) of somebody's pictures that were erased since a moment, the oldest first.

        ``subjects`` are who that is, under each key.
        """
        query = select(receipts.c.image_id, receipts.c.envelope).where(
            receipts.c.subject.in_(subjects), receipts.c.image_id != "", receipts.c.created_at >= since
        )
        rows = self._execute(query.order_by(receipts.c.sequence))
        return [(ImageId(row.image_id), row.envelope) for row in rows]

    def hashes(self, among: Sequence[str]) -> set[str]:
        """Return those of ``among`` that are hashes of receipts in the chain."""
        return set(self._execute(select(receipts.c.hash).where(receipts.c.hash.in_(among))).scalars())

    def after(self, sequence: int, *, limit: int) -> list[tuple[int, Envelope]]:
        """Return (number, receipt) of those after a number, in the order of the chain."""
        query = select(receipts.c.sequence, receipts.c.envelope).where(receipts.c.sequence > sequence)
        rows = self._execute(query.order_by(receipts.c.sequence).limit(limit))
        return [(row.sequence, row.envelope) for row in rows]
