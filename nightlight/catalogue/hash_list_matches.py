"""Uploads that are on a hash list of others, until somebody has looked at them, and what was found then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, update

from nightlight.catalogue.matching_schema import hash_list_matches
from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import images
from nightlight_core.ids import ImageId, ProfileId

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

OPEN = "open"
CLEARED = "cleared"
CONFIRMED = "confirmed"
# Of an entry that matches many unlike pictures: it counts for nothing until a person has looked.
ASIDE = "aside"
_STANDING = (OPEN, CONFIRMED)


@dataclass(frozen=True, slots=True)
class HashListMatch:
    """One entry of a list that an image is near to; ``distance`` is in bits of 256.

    ``verdict`` is open, cleared (another picture after all), confirmed or aside; ``state`` is the image's.
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


class HashListMatches(Rows):
    """Match rows, inside one transaction: those of hash lists, or of the table that is given."""

    def __init__(self, connection: Connection, table: Table = hash_list_matches) -> None:
        """Work on ``connection``."""
        super().__init__(connection)
        self._table = table
        # In the order of a match's fields; what is not the entry's own is its image's.
        own = {"profile_id", "state"}
        self._columns = tuple((images if name in own else table).c[name] for name in HashListMatch.__slots__)

    def add(
        self, image_id: ImageId, matches: Sequence[tuple[str, str, int]], now: datetime, *, verdict: str = OPEN
    ) -> None:
        """Write (list, reference, distance) of entries that an image was found to be near to."""
        rows = [
            {"image_id": image_id, "list": name, "reference": reference, "distance": distance, "found_at": now}
            for name, reference, distance in matches
        ]
        if rows:
            self._execute(insert(self._table).values(verdict=verdict), rows)

    def verdicts(self, image_id: ImageId) -> dict[tuple[str, str], str]:
        """Return the verdict on every entry that was found for an image, by (list, reference)."""
        columns = self._table.c.list, self._table.c.reference, self._table.c.verdict
        query = select(*columns).where(self._table.c.image_id == image_id)
        return {(row.list, row.reference): row.verdict for row in self._execute(query)}

    def standing(self, image_id: ImageId) -> bool:
        """Say whether any match of an image, open or confirmed, keeps it from everybody."""
        return any(verdict in _STANDING for verdict in self.verdicts(image_id).values())

    def decide(self, image_id: ImageId, verdict: str, *, actor: str, now: datetime) -> int:
        """Give a verdict on an image's open matches; return how many there were."""
        open_matches = self._table.c.image_id == image_id, self._table.c.verdict == OPEN
        statement = update(self._table).where(*open_matches)
        return self._execute(statement.values(verdict=verdict, decided_by=actor, decided_at=now)).rowcount

    def decide_entry(
        self, image_id: ImageId, entry: tuple[str, str], verdict: str, *, actor: str | None, now: datetime | None
    ) -> bool:
        """Give a verdict on one match of an image, whatever it was; return whether there is such a match."""
        row = (
            self._table.c.image_id == image_id,
            self._table.c.list == entry[0],
            self._table.c.reference == entry[1],
        )
        values = {"verdict": verdict, "decided_by": actor, "decided_at": now}
        return self._execute(update(self._table).where(*row).values(values)).rowcount == 1

    def count(self, entry: tuple[str, str]) -> int:
        """Return how many images an entry matches."""
        named = self._table.c.list == entry[0], self._table.c.reference == entry[1]
        return self._count(select(func.count()).where(*named))

    def of_entry(self, entry: tuple[str, str]) -> list[HashListMatch]:
        """Return every match of an entry, in the order of profiles and images."""
        query = (
            select(*self._columns)
            .join(images, images.c.image_id == self._table.c.image_id)
            .where(self._table.c.list == entry[0], self._table.c.reference == entry[1])
            .order_by(images.c.profile_id, images.c.image_id)
        )
        return [HashListMatch(*row) for row in self._execute(query)]

    def report(self, *, verdict: str | None = None, limit: int = 10_000) -> list[HashListMatch]:
        """Return the matches, the newest first; those with one verdict alone if it is given."""
        query = (
            select(*self._columns)
            .join(images, images.c.image_id == self._table.c.image_id)
            .order_by(self._table.c.found_at.desc(), self._table.c.image_id, self._table.c.distance)
            .limit(limit)
        )
        if verdict is not None:
            query = query.where(self._table.c.verdict == verdict)
        return [HashListMatch(*row) for row in self._execute(query)]
