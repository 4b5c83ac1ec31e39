"""Events for the platform: written with what they tell of, delivered after it, and kept for a time once taken.

::

    state      taken_at   next_at
    waiting    none       when it is tried next
    given up   none       never: its retries are over
    taken      a moment   never

An event that was taken, or given up, can be made to wait again until it is forgotten. Those of whoever is erased go
with their rows, whatever their state.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, case, delete, func, insert, or_, select, update

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import events
from nightlight_core.ids import ImageId, ProfileId

# What events are called.
CHANGED, TAKEN_DOWN, RESTORED = "picture.changed", "picture.taken_down", "picture.restored"
SET_ASIDE = "takedown.set_aside"
WAITING, GIVEN_UP, TAKEN = "waiting", "given_up", "taken"
# Later than any delivery.
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Event:
    """Something changed about a profile's picture; ``attempts`` counts deliveries that failed.

    ``kind`` is what it is called, ``image_id`` the image that it is about where it is about one. One about a takedown
    notice has its ``takedown_id``, and no profile.
    """

    event_id: str
    profile_id: ProfileId
    created_at: datetime
    attempts: int
    kind: str = CHANGED
    image_id: ImageId | None = None
    takedown_id: str | None = None


@dataclass(frozen=True, slots=True)
class EventRecord(Event):
    """An event with what became of it: ``last_outcome`` is a word of ``flows.webhooks.post``."""

    next_at: datetime = NEVER
    taken_at: datetime | None = None
    last_at: datetime | None = None
    last_outcome: str | None = None
    last_status: int | None = None

    @property
    def state(self) -> str:
        """Say whether it waits, was given up, or was taken."""
        if self.taken_at is not None:
            return TAKEN
        return GIVEN_UP if self.next_at >= NEVER else WAITING


_OF_EVENT = tuple(events.c[field.name] for field in fields(Event))
_OF_RECORD = tuple(events.c[field.name] for field in fields(EventRecord))
_STATES: dict[str, ColumnElement[bool]] = {
    WAITING: events.c.taken_at.is_(None) & (events.c.next_at < NEVER),
    GIVEN_UP: events.c.taken_at.is_(None) & (events.c.next_at >= NEVER),
    TAKEN: events.c.taken_at.is_not(None),
}


class Events(Rows):
    """Event rows, inside one transaction."""

    def add(
        self, profile_id: ProfileId, now: datetime, *, kind: str = CHANGED, image_id: ImageId | None = None
    ) -> None:
        """Write an event, due at once."""
        self._add(Event(secrets.token_hex(16), profile_id, now, 0, kind, image_id))

    def add_about_notice(self, takedown_id: str, now: datetime, *, kind: str) -> None:
        """Write an event about a takedown notice, due at once."""
        self._add(Event(secrets.token_hex(16), ProfileId(""), now, 0, kind, None, takedown_id))

    def _add(self, event: Event) -> None:
        self._execute(insert(events).values(**asdict(event), next_at=event.created_at))

    def claim(self, now: datetime, *, limit: int, claim_s: float) -> list[Event]:
        """Take up to ``limit`` events that are due for ``claim_s`` seconds, after which they are due again."""
        query = (
            select(*_OF_EVENT)
            .where(events.c.next_at <= now)
            .order_by(events.c.next_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claimed = [Event(*row) for row in self._execute(query)]
        if claimed:
            claimed_rows = events.c.event_id.in_([event.event_id for event in claimed])
            self._execute(update(events).where(claimed_rows).values(next_at=now + timedelta(seconds=claim_s)))
        return claimed

    def drop_due(self, now: datetime, *, limit: int) -> None:
        """Drop events that are due: there is nobody to be told."""
        due = select(events.c.event_id).where(events.c.next_at <= now).limit(limit).scalar_subquery()
        self._execute(delete(events).where(events.c.event_id.in_(due)))

    def taken(self, event_id: str, now: datetime, *, status: int | None = None) -> None:
        """Write that the platform has taken an event."""
        self._write(event_id, taken_at=now, next_at=NEVER, last_at=now, last_outcome=TAKEN, last_status=status)

    def failed(
        self, event_id: str, now: datetime, *, until: datetime | None, outcome: str, status: int | None = None
    ) -> None:
        """Count a delivery that failed; try again at ``until``, or never where that is None."""
        counted = {"attempts": events.c.attempts + 1, "next_at": until or NEVER}
        self._write(event_id, **counted, last_at=now, last_outcome=outcome, last_status=status)

    def release(self, event_ids: Collection[str], until: datetime) -> None:
        """Have claimed events that were not tried due again at ``until``."""
        if event_ids:
            self._execute(update(events).where(events.c.event_id.in_(event_ids)).values(next_at=until))

    def listed(self, *, limit: int, state: str | None = None) -> list[EventRecord]:
        """Return events, the newest first; only those in one state if asked for."""
        query = select(*_OF_RECORD).order_by(events.c.created_at.desc(), events.c.event_id).limit(limit)
        if state is not None:
            query = query.where(_STATES[state])
        return [EventRecord(*row) for row in self._execute(query)]

    def counts(self) -> dict[str, int]:
        """Return how many events nobody has taken, by state; those that were taken are too many to count."""
        given_up = func.coalesce(func.sum(case((_STATES[GIVEN_UP], 1), else_=0)), 0)
        row = self._execute(select(func.count(), given_up).where(events.c.taken_at.is_(None))).one()
        return {WAITING: int(row[0]) - int(row[1]), GIVEN_UP: int(row[1])}

    def batch(
        self, after: tuple[datetime, str] | None, *, since: datetime | None, limit: int
    ) -> list[tuple[datetime, str]]:
        """Return (written, id) of the next events after one, the oldest first.

        They are all that were written at or after ``since``; without it, all that nobody has taken.
        """
        query = select(events.c.created_at, events.c.event_id).order_by(events.c.created_at, events.c.event_id)
        query = query.where(events.c.created_at >= since if since is not None else events.c.taken_at.is_(None))
        if after is not None:
            at, event_id = events.c.created_at, events.c.event_id
            query = query.where(at >= after[0], or_(at > after[0], event_id > after[1]))
        return [(row.created_at, row.event_id) for row in self._execute(query.limit(limit))]

    def again(self, event_ids: Collection[str], now: datetime) -> int:
        """Have events delivered again, from the first attempt on; return how many of them there are."""
        values = {"attempts": 0, "next_at": now, "taken_at": None}
        return self._execute(update(events).where(events.c.event_id.in_(event_ids)).values(values)).rowcount

    def forget_before(self, moment: datetime, *, limit: int) -> tuple[int, int]:
        """Drop up to ``limit`` events written before a moment; return how many were taken, and how many never were."""
        query = (
            select(events.c.event_id, events.c.taken_at)
            .where(events.c.created_at < moment)
            .order_by(events.c.created_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows = self._execute(query).all()
        if rows:
            self._execute(delete(events).where(events.c.event_id.in_([row.event_id for row in rows])))
        taken = sum(row.taken_at is not None for row in rows)
        return taken, len(rows) - taken

    def _write(self, event_id: str, **values: object) -> None:
        self._execute(update(events).where(events.c.event_id == event_id).values(**values))
