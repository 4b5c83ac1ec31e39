"""Whether the catalogue is the one that was written to last, looked at by every process.

::

    number     the highest that this process has seen, in the marker or in the catalogue itself
    check      in a transaction that was begun after it: a lower number, or a restored catalogue that is being mended,
               raises CatalogueRestored. Decisions then give the placeholder, and the process is not ready
    refuse     the gate of the catalogue: nothing is read of one that is behind, or written to it; nor while nobody can
               say whether it is

The store is asked by ``look`` alone, at the start and in a thread: no decision waits for it. A database is never
exchanged without an end of its connections, so the first transaction of a new one looks before it does anything.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from sqlalchemy.exc import ProgrammingError

from nightlight import logs, metrics
from nightlight.catalogue.position import CURRENT, Positions
from nightlight.flows.restore.position_marker import read_marker
from nightlight_core.errors import CatalogueRestored, CatalogueUnavailable, NightlightError, StoreDenied

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.store.interface import ObjectStore

# How often the marker is read again, for what others wrote; and how often the catalogue itself is looked at where no
# feed is polled.
_MARKER_S, _LOOK_S = 10.0, 1.0
# Of a connection to the database: what it leads to was looked at.
_LOOKED = "position looked at"


class PositionWatch:
    """Knows how far the catalogue must be. Safe to share between threads."""

    def __init__(self, catalogue: Catalogue, renditions: ObjectStore | None, *, may_list: bool = True) -> None:
        """Know nothing before the first ``look``.

        Without ``renditions`` the marker cannot be read: what this process has seen of the catalogue has to do. Without
        ``may_list``, S3 does not tell what is missing from what is denied: a marker that is denied counts as none.
        """
        self._catalogue, self._renditions, self._may_list = catalogue, renditions, may_list
        self._lock = threading.Lock()
        self._number: int | None = None if renditions is not None else 0
        self._behind = self._mending = False
        self._look_at = self._marker_at = 0.0

    def expected(self) -> int:
        """Return the number that the catalogue has at least; raise CatalogueUnavailable while nobody knows."""
        if self._number is None:
            raise CatalogueUnavailable("the store has not said yet how far the catalogue was")
        return self._number

    def check(self, tx: Transaction, expected: int) -> None:
        """Raise CatalogueRestored if the catalogue is behind, or being mended; ``expected`` is of before ``tx``."""
        self._check_number(tx.connection, expected)
        if self._mending:
            raise CatalogueRestored("the catalogue was restored, and `nightlight catalogue resume` was not run yet")

    def refuse(self, connection: Connection) -> None:
        """Raise CatalogueRestored where the catalogue is behind, CatalogueUnavailable while nobody can say.

        In the transaction that is about to use it.
        """
        expected = self.expected()
        if _LOOKED not in connection.info or self._behind:
            self._marker_at = 0.0  # the next look asks the store again
            self._check_number(connection, expected)
            connection.info[_LOOKED] = True

    def look(self) -> None:
        """Look for the marker and at the catalogue, unless that was done a moment ago; failures are logged.

        Where the marker cannot be read again, the catalogue is held against what is known.
        """
        now = time.monotonic()
        if now < self._look_at and self._number is not None and not self._behind:
            return
        self._look_at = now + _LOOK_S
        log = logs.get("position")
        try:
            self._read_marker()
        except NightlightError as error:
            log.warning("position.not_read", code=error.code, detail=str(error))
        if self._number is None:
            return
        try:
            expected = self.expected()
            with self._catalogue.reading(gated=False) as tx:
                self._check_number(tx.connection, expected)
        except CatalogueRestored:
            pass  # logged once
        except NightlightError as error:
            log.warning("position.not_read", code=error.code, detail=str(error))

    def readiness(self) -> str | None:
        """Return the code of what is wrong, None if the catalogue is the one that was written to last."""
        self.look()
        try:
            expected = self.expected()
            with self._catalogue.reading(gated=False) as tx:
                self.check(tx, expected)
        except NightlightError as error:
            return error.code
        return None

    def run(self, stop: threading.Event) -> None:
        """Look again and again until ``stop`` is set."""
        while True:
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - whoever does not look any more would let everything pass
                logs.failed("position", "position.not_read", error)
            metrics.CATALOGUE_RESTORED.set(int(self._behind or self._mending))
            if stop.wait(_LOOK_S):
                return

    def _read_marker(self) -> None:
        if self._renditions is None or (time.monotonic() < self._marker_at and self._number is not None):
            return
        self._marker_at = time.monotonic() + _MARKER_S
        try:
            marker = read_marker(self._renditions)
        except StoreDenied:
            if self._may_list:
                raise
            marker = None
        with self._lock:
            self._number = max(self._number or 0, 0 if marker is None else marker.number)

    def _check_number(self, connection: Connection, expected: int) -> None:
        try:
            position = Positions(connection).get()
        except ProgrammingError:  # half restored: the table is not there yet, or not this role's
            position = None
        behind = position is None or position.number < expected
        detail = f"the catalogue is at {position.number if position else 'no number'} and was at {expected}"
        with self._lock:
            if behind and not self._behind:
                logs.get("position").error("catalogue.restored", detail=detail)
            self._behind, self._mending = behind, position is not None and position.state != CURRENT
            if position is not None and not behind:
                self._number = max(self._number or 0, position.number)
        if behind:
            raise CatalogueRestored(f"{detail}: it was restored from a backup")
