"""Events for the platform: written with what they tell of, delivered after it, until somebody has taken them."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import events
from nightlight_core.ids import ImageId, ProfileId

# What events are called.
CHANGED, TAKEN_DOWN, RESTORED = "picture.changed", "picture.taken_down", "picture.restored"
SET_ASIDE = "takedown.set_aside"


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
            select(*(events.c[name] for name in Event.__slots__))
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

    def taken(self, event_id: str) -> None:
        """Drop an event that the platform has taken, or that is given up."""
        self._execute(delete(events).where(events.c.event_id == event_id))

    def put_off(self, event_id: str, until: datetime) -> None:
        """Count a delivery that failed; try again at ``until``."""
        later = {"attempts": events.c.attempts + 1, "next_at": until}
        self._execute(update(events).where(events.c.event_id == event_id).values(later))
