"""The audit log: what was done, when, by which caller. It can only grow, and it names no person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, insert, select, text

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import audit
from nightlight_core.ids import ImageId

# No transaction stays open for so long.
_LONGEST = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the log; ``detail`` holds words and numbers, never a profile id."""

    at: datetime
    event: str
    image_id: ImageId | None
    actor: str
    detail: dict[str, str | int]


class AuditLog(Rows):
    """Audit rows, inside one transaction."""

    def append(
        self,
        event: str,
        *,
        now: datetime,
        actor: str,
        image_id: ImageId | None = None,
        detail: Mapping[str, str | int] | None = None,
    ) -> int:
        """Add one line and return its number; it stands or falls with the transaction."""
        values = {"at": now, "event": event, "image_id": image_id, "actor": actor, "detail": dict(detail or {})}
        return self._count(insert(audit).values(values).returning(audit.c.entry_id))

    def append_above(
        self, number: int, event: str, *, now: datetime, actor: str, detail: Mapping[str, str | int]
    ) -> int:
        """Do the same with a number above another, for the lines that follow too; by who owns the table."""
        values = {"at": now, "event": event, "actor": actor, "detail": dict(detail)}
        entry_id = max(number, self.last()) + 1
        self._execute(insert(audit).values(entry_id=entry_id, **values))
        if self._connection.dialect.name == "postgresql":
            query = text("SELECT setval(pg_get_serial_sequence('audit', 'entry_id'), :number)")
            self._execute(query, {"number": entry_id})
        return entry_id

    def last(self) -> int:
        """Return the number of the last line; 0 before the first."""
        return self._count(select(func.coalesce(func.max(audit.c.entry_id), 0)))

    def last_at(self, *, but: str) -> datetime | None:
        """Return when the last line was written, leaving out those of the actor ``but``."""
        query = select(audit.c.at).where(audit.c.actor != but).order_by(audit.c.entry_id.desc()).limit(1)
        moment: datetime | None = self._execute(query).scalar_one_or_none()
        return moment

    def last_detail(self, event: str) -> dict[str, str | int]:
        """Return what the last line of an event says; empty where there is none."""
        query = select(audit.c.detail).where(audit.c.event == event).order_by(audit.c.entry_id.desc()).limit(1)
        return dict(self._execute(query).scalar_one_or_none() or {})

    def has(self, number: int) -> bool:
        """Say whether the line with this number was written: it, and what was changed with it, may be seen.

        A line that is not here counts if a later one is older than a day: it was dropped, since no transaction lasts
        that long.
        """
        query = select(audit.c.entry_id, audit.c.at).where(audit.c.entry_id >= number)
        row = self._execute(query.order_by(audit.c.entry_id).limit(1)).one_or_none()
        return row is not None and (row.entry_id == number or row.at < datetime.now(UTC) - _LONGEST)

    def of_image(self, image_id: ImageId) -> list[AuditEntry]:
        """Return the lines about one image, the oldest first."""
        query = (
            select(audit.c.at, audit.c.event, audit.c.image_id, audit.c.actor, audit.c.detail)
            .where(audit.c.image_id == image_id)
            .order_by(audit.c.entry_id)
        )
        return [AuditEntry(*row) for row in self._execute(query)]
