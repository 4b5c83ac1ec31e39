"""How far the catalogue is: a number that grows, by which one that was restored from a backup is noticed.

::

    current      decisions are made by it
    replaying    it was restored, and what was erased since is erased again; the platform replays what else has changed.
                 Everything can be written, and every decision is the placeholder
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, select, update

from nightlight.catalogue.retention_schema import catalogue_position
from nightlight.catalogue.rows import Rows

CURRENT, REPLAYING = "current", "replaying"


@dataclass(frozen=True, slots=True)
class CataloguePosition:
    """``number`` grows while anything changes; ``restored_at`` is when it was last restored, in Unix seconds, or 0."""

    number: int
    state: str
    restored_at: int


class Positions(Rows):
    """The one row of it, inside one transaction."""

    def get(self) -> CataloguePosition | None:
        """Return how far the catalogue is; None where its one row is missing, since it is being restored."""
        row = self._execute(select(catalogue_position)).one_or_none()
        return None if row is None else CataloguePosition(row.number, row.state, row.restored_at)

    def advance(self, above: int = 0) -> int:
        """Raise the number by one, and above another; return it."""
        number = catalogue_position.c.number
        raised = case((number < above, above), else_=number) + 1
        return self._count(update(catalogue_position).values(number=raised).returning(number))

    def set_state(self, state: str, restored_at: int | None = None) -> None:
        """Say what state it is in, and when it was restored, if that is now: readers of the feed begin from nothing."""
        values = {"state": state} | ({} if restored_at is None else {"restored_at": restored_at})
        self._execute(update(catalogue_position).values(values))
