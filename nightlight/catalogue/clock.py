"""The clock that every process shares: the database's.

What is due, leased or kept until a moment is written by one process and read by others. By clocks of their own, a host
that is some minutes ahead takes jobs away from those who have them, puts off what a message was lost of, and a sweep
from a host that is a year ahead deletes what was to stay.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text

from nightlight_core.clock import Clock, system_clock
from nightlight_core.errors import CatalogueUnavailable

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue

# The monotonic clock drifts by less than a millisecond in this time.
_ASK_AGAIN_S = 10.0


class CatalogueClock:
    """Tells the database's time: asked for every ten seconds, and counted on from there by the monotonic clock.

    While the database does not answer it counts on. Safe to share between threads.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        """Ask nothing yet."""
        self._catalogue = catalogue
        self._asked: tuple[float, datetime] | None = None
        self._ask_at = 0.0

    def __call__(self) -> datetime:
        """Return the time now, in UTC; raise CatalogueUnavailable if the database never answered."""
        if self._asked is None or time.monotonic() >= self._ask_at:
            self._ask()
        asked = self._asked
        if asked is None:
            raise CatalogueUnavailable("the database's clock")
        return asked[1] + timedelta(seconds=time.monotonic() - asked[0])

    def _ask(self) -> None:
        begun = time.monotonic()
        self._ask_at = begun + _ASK_AGAIN_S
        try:
            with self._catalogue.reading(gated=False) as tx:
                began = time.monotonic()
                moment: datetime = tx.connection.execute(text("SELECT clock_timestamp()")).scalar_one()
                ended = time.monotonic()
        except CatalogueUnavailable:
            if self._asked is None:
                self._ask_at = 0.0
                raise
            return
        self._asked = (began + ended) / 2, moment.astimezone(UTC)


def shared_clock(catalogue: Catalogue, clock: Clock) -> Clock:
    """Return the clock of a catalogue's processes: PostgreSQL's, or ``clock`` where all share a host or a test."""
    if clock is not system_clock or catalogue.engine.dialect.name != "postgresql":
        return clock
    return CatalogueClock(catalogue)
