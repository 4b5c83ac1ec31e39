"""Tombstones: that somebody was erased, by a keyed hash of who it was, and nothing else.

Without the key nobody can tell whose a tombstone is. A key is dropped once its last tombstone is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, select, text, tuple_, update

from nightlight.catalogue.retention_schema import tombstones
from nightlight.catalogue.rows import Rows

# Keys are few and tombstones many: from each key to the next.
_KEYS = """
WITH RECURSIVE keys (key_id) AS (
  SELECT min(key_id) FROM tombstones
  UNION ALL SELECT (SELECT min(t.key_id) FROM tombstones t WHERE t.key_id > keys.key_id) FROM keys
    WHERE keys.key_id IS NOT NULL)
SELECT key_id FROM keys WHERE key_id IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class ErasureSubject:
    """Who was erased: the HMAC-SHA256 of a profile's id, in hexadecimal, and the id of its key."""

    key_id: str
    digest: str

    @property
    def text(self) -> str:
        """Return both as receipts are looked for by them."""
        return f"{self.key_id}:{self.digest}"


class Tombstones(Rows):
    """Tombstone rows, inside one transaction."""

    def add(self, subject: ErasureSubject, now: datetime) -> None:
        """Write that somebody is erased; of somebody who was erased before, the last time counts."""
        same_row = tombstones.c.key_id == subject.key_id, tombstones.c.hash == subject.digest
        if self._execute(update(tombstones).where(*same_row).values(erased_at=now)).rowcount == 0:
            values = {"key_id": subject.key_id, "hash": subject.digest, "erased_at": now}
            self._execute(insert(tombstones).values(values))

    def erased_at(self, subjects: Iterable[ErasureSubject]) -> datetime | None:
        """Return when somebody was erased last, given under every key that there is; None if never."""
        pairs = [(subject.key_id, subject.digest) for subject in subjects]
        query = select(func.max(tombstones.c.erased_at)).where(
            tuple_(tombstones.c.key_id, tombstones.c.hash).in_(pairs)
        )
        moment: datetime | None = self._execute(query).scalar_one()
        return moment

    def unreadable(self, key_ids: Collection[str], *, since: datetime | None = None) -> dict[str, int]:
        """Return how many tombstones each key wrote that is not among ``key_ids``, of those written ``since``."""
        lost = self._keys() - set(key_ids)
        if not lost:
            return {}
        query = select(tombstones.c.key_id, func.count()).where(tombstones.c.key_id.in_(lost))
        if since is not None:
            query = query.where(tombstones.c.erased_at >= since)
        return {row[0]: row[1] for row in self._execute(query.group_by(tombstones.c.key_id))}

    def _keys(self) -> set[str]:
        """Return the ids of all keys that wrote tombstones, by one look into the index for each."""
        return set(self._connection.scalars(text(_KEYS)))

    def every(self) -> dict[str, datetime]:
        """Return when each was erased, by the text of its subject."""
        return {f"{row.key_id}:{row.hash}": row.erased_at for row in self._execute(select(tombstones))}

    def forget_before(self, moment: datetime) -> int:
        """Drop the tombstones of whoever was erased before a moment; return how many."""
        return self._execute(delete(tombstones).where(tombstones.c.erased_at < moment)).rowcount
