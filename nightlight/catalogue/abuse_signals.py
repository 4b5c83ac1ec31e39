"""Who looks like a scraper and why; and canaries, profiles that nobody has a reason to ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import abuse_signals, canaries
from nightlight_core.ids import ProfileId


@dataclass(frozen=True, slots=True)
class RecordedSignal:
    """A viewer or network, as the platform names it, and one reason; ``times`` counts minutes in which it was seen."""

    kind: str
    who: str
    reason: str
    times: int
    first_at: datetime
    last_at: datetime


class AbuseSignals(Rows):
    """Abuse signals and canaries, inside one transaction."""

    def note(self, kind: str, who: str, reason: str, now: datetime) -> None:
        """Write that somebody was seen once more."""
        same = abuse_signals.c.kind == kind, abuse_signals.c.who == who, abuse_signals.c.reason == reason
        again = update(abuse_signals).where(*same).values(times=abuse_signals.c.times + 1, last_at=now)
        if self._execute(again).rowcount == 0:
            values = {"kind": kind, "who": who, "reason": reason, "times": 1, "first_at": now, "last_at": now}
            self._execute(insert(abuse_signals).values(values))

    def report(self, since: datetime, *, limit: int = 10_000) -> list[RecordedSignal]:
        """Return who was seen since a moment, the last first."""
        query = (
            select(abuse_signals)
            .where(abuse_signals.c.last_at >= since)
            .order_by(abuse_signals.c.last_at.desc())
            .limit(limit)
        )
        return [RecordedSignal(*row) for row in self._execute(query)]

    def forget_before(self, moment: datetime, *, limit: int = 5_000) -> int:
        """Drop about ``limit`` of those who were not seen since a moment, the first first; return how many rows."""
        moments = select(abuse_signals.c.last_at).where(abuse_signals.c.last_at < moment)
        last = self._execute(moments.order_by(abuse_signals.c.last_at).offset(limit - 1).limit(1)).scalar_one_or_none()
        old = abuse_signals.c.last_at < moment if last is None else abuse_signals.c.last_at <= last
        return self._execute(delete(abuse_signals).where(old)).rowcount

    def plant(self, profile_id: ProfileId, now: datetime) -> None:
        """Make a profile a canary."""
        self._execute(insert(canaries).values(profile_id=profile_id, created_at=now))

    def canaries(self, profile_ids: Sequence[str]) -> frozenset[str]:
        """Return those of the profiles that are canaries."""
        query = select(canaries.c.profile_id).where(canaries.c.profile_id.in_(profile_ids))
        return frozenset(row.profile_id for row in self._execute(query))
