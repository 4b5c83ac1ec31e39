"""Whether the catalogue is the one that was written to last, looked at by every process.

::

    expected     the highest number that this process has seen, in the marker or in the catalogue itself
    check        in a transaction that was begun after that: a lower number, or a restored catalogue that is being
                 mended, raises CatalogueRestored. Decisions then give the placeholder, and the process is not ready
    refuse       nothing is written to a catalogue that is behind, or while nobody can say whether it is
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue.position import CURRENT
from nightlight.flows.restore.position_marker import read_marker
from nightlight_core.errors import CatalogueRestored, CatalogueUnavailable, NightlightError

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.store.interface import ObjectStore

# How often the marker is read again, for what others wrote; and how often the catalogue itself is looked at where no
# feed is polled.
_MARKER_S, _LOOK_S = 10.0, 1.0


class PositionWatch:
    """Knows how far the catalogue must be. Safe to share between threads."""

    def __init__(self, catalogue: Catalogue, renditions: ObjectStore) -> None:
        """Look at nothing yet: until the marker was looked for, nothing is known and ``expected`` raises."""
        self._catalogue, self._renditions = catalogue, renditions
        self._lock = threading.Lock()
        self._number: int | None = None
        self._behind = False
        self._look_at = self._marker_at = 0.0

    def expected(self) -> int:
        """Return the number that the catalogue has at least; look for the marker if nobody has.

        Raises CatalogueUnavailable where the store cannot say.
        """
        if self._number is None:
            self._read_marker()
        number = self._number
        if number is None:
            raise CatalogueUnavailable("the store does not say how far the catalogue was")
        return number

    def check(self, tx: Transaction, expected: int) -> None:
        """Raise CatalogueRestored if the catalogue is behind, or being mended; ``expected`` is of before ``tx``."""
        position = tx.position.get()
        behind = position.number < expected
        self._note(position.number, behind=behind)
        if behind:
            message = f"the catalogue is at {position.number} and was at {expected}: it was restored from a backup"
            raise CatalogueRestored(message)
        if position.state != CURRENT:
            raise CatalogueRestored("the catalogue was restored, and `nightlight catalogue resume` was not run yet")

    def refuse(self) -> None:
        """Raise CatalogueRestored where the catalogue was seen to be behind: nothing may be written to it.

        Raises CatalogueUnavailable while nobody can say whether it is.
        """
        if self._number is None:
            self.look()
            self.expected()
        if self._behind:
            raise CatalogueRestored("the catalogue is behind what was written: it was restored from a backup")

    def look(self) -> None:
        """Look for the marker and at the catalogue, unless that was done a moment ago; failures are logged.

        For processes that do not poll the feed.
        """
        if time.monotonic() < self._look_at and self._number is not None and not self._behind:
            return
        self._look_at = time.monotonic() + _LOOK_S
        try:
            if time.monotonic() >= self._marker_at:
                self._read_marker()
                self._marker_at = time.monotonic() + _MARKER_S
            expected = self.expected()
            with self._catalogue.reading() as tx:
                self._note(number := tx.position.get().number, behind=number < expected)
        except NightlightError as error:
            logs.get("position").warning("position.not_read", code=error.code, detail=str(error))

    def readiness(self) -> str | None:
        """Return the code of what is wrong, None if the catalogue is the one that was written to last."""
        try:
            self._read_marker()
            expected = self.expected()
            with self._catalogue.reading() as tx:
                self.check(tx, expected)
        except NightlightError as error:
            return error.code
        return None

    def run(self, stop: threading.Event) -> None:
        """Look again and again until ``stop`` is set."""
        while True:
            self.look()
            if stop.wait(_LOOK_S):
                return

    def _read_marker(self) -> None:
        marker = read_marker(self._renditions)
        with self._lock:
            self._number = max(self._number or 0, 0 if marker is None else marker.number)

    def _note(self, number: int, *, behind: bool) -> None:
        with self._lock:
            if behind and not self._behind:
                detail = f"it is at {number} and was at {self._number}"
                logs.get("position").error("catalogue.restored", detail=detail)
            self._behind = behind
            if not behind:
                self._number = max(self._number or 0, number)
        metrics.CATALOGUE_RESTORED.set(int(behind))
