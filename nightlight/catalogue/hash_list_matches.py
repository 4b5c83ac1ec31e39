"""Uploads that are on a hash list of others, until somebody has looked at them, and what was found then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from nightlight.catalogue.tables import images, list_matches
from nightlight_core.ids import ImageId, ProfileId

if TYPE_CHECKING:
    from sqlalchemy import Connection

OPEN = "open"
CLEARED = "cleared"
CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class HashListMatch:
    """One entry of a list that an image is near to; ``distance`` is in bits of 256.

    ``verdict`` is open, cleared (another picture after all) or confirmed; ``state`` is the image's.
    """

    image_id: ImageId
    profile_id: ProfileId
    state: str
    list: str
    reference: str
    distance: int
    found_at: datetime
    verdict: str
    decided_by: str | None
    decided_at: datetime | None


class HashListMatches:
    """Match rows, inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def add(self, image_id: ImageId, found: Sequence[tuple[str, str, int]], now: datetime) -> None:
        """Write (list, reference, distance) of entries that an image was found to be near to."""
        rows = [
            {"image_id": image_id, "list": name, "reference": reference, "distance": distance, "found_at": now}
            for name, reference, distance in found
        ]
        if rows:
            self._connection.execute(insert(list_matches).values(verdict=OPEN), rows)

    def known(self, image_id: ImageId) -> set[tuple[str, str]]:
        """Return (list, reference) of every entry that was found for an image, whatever the verdict."""
        query = select(list_matches.c.list, list_matches.c.reference).where(list_matches.c.image_id == image_id)
        return {(row.list, row.reference) for row in self._connection.execute(query)}

    def decide(self, image_id: ImageId, verdict: str, *, actor: str, now: datetime) -> int:
        """Give a verdict on an image's open matches; return how many there were."""
        mine = list_matches.c.image_id == image_id, list_matches.c.verdict == OPEN
        statement = update(list_matches).where(*mine).values(verdict=verdict, decided_by=actor, decided_at=now)
        return self._connection.execute(statement).rowcount

    def report(self, *, verdict: str | None = None, limit: int = 10_000) -> list[HashListMatch]:
        """Return the matches, the newest first; those with one verdict alone if it is given."""
        query = (
            select(
                list_matches.c.image_id,
                images.c.profile_id,
                images.c.state,
                list_matches.c.list,
                list_matches.c.reference,
                list_matches.c.distance,
                list_matches.c.found_at,
                list_matches.c.verdict,
                list_matches.c.decided_by,
                list_matches.c.decided_at,
            )
            .join(images, images.c.image_id == list_matches.c.image_id)
            .order_by(list_matches.c.found_at.desc(), list_matches.c.image_id, list_matches.c.distance)
            .limit(limit)
        )
        if verdict is not None:
            query = query.where(list_matches.c.verdict == verdict)
        return [HashListMatch(**row) for row in self._connection.execute(query).mappings()]
