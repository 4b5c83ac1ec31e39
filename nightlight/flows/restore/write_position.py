"""The schedule's half: raises the catalogue's number while anything changes, and writes the marker.

The number comes first: a process that is killed in between leaves a marker that is behind, which tells nobody anything.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nightlight import logs
from nightlight.catalogue.position import CURRENT
from nightlight.flows.restore.position_marker import PositionMarker, read_marker, write_marker

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.store.interface import ObjectStore
    from nightlight_core.clock import Clock

# Lifecycle rules count the days of the object, so it is written now and then even if nothing changes.
_AGAIN_S = 86_400
# Nothing is read or written more often than this.
_EVERY_S = 10


@dataclass(slots=True)
class WritePosition:
    """Safe in several schedules at once: a marker that is put late is behind."""

    catalogue: Catalogue
    renditions: ObjectStore
    clock: Clock
    _at: int = field(default=0, init=False)

    def run_once(self) -> bool:
        """Write the marker if anything has changed; say whether it was. Raises CatalogueUnavailable, StoreUnavailable.

        Where the catalogue is behind the marker, it is left alone.
        """
        now = int(self.clock().timestamp())
        if 0 <= now - self._at < _EVERY_S:
            return False
        self._at = now
        before = read_marker(self.renditions)  # before the catalogue: what others write meanwhile is in both
        with self.catalogue.reading() as tx:
            position, marker = tx.position.get(), current_marker(tx, now)
        if position is None or position.state != CURRENT or (before is not None and before.number > position.number):
            return False  # the watch tells it
        same = before is not None and replace(marker, at=before.at, number=before.number) == before
        if before is not None and same and now - before.at < _AGAIN_S:
            return False
        with self.catalogue.transaction() as tx:
            number = tx.position.advance()
        write_marker(self.renditions, replace(marker, number=number))
        return True

    def run(self, stop: threading.Event) -> None:
        """Do so again and again until ``stop`` is set: a store that is slow to answer holds up nobody's job."""
        while True:
            try:
                self.run_once()
            except Exception as error:  # noqa: BLE001 - whatever fails is tried again, for as long as the process lives
                logs.failed("position", "position.not_written", error)
            if stop.wait(1.0):
                return


def current_marker(tx: Transaction, now: int) -> PositionMarker:
    """Return how far the catalogue is, in one transaction."""
    position, policy = tx.position.get(), tx.policies.state()
    return PositionMarker(
        number=position.number if position is not None else 0,
        at=now,
        audit=tx.audit.last(),
        policy=policy.active_version or 0,
        candidate=policy.candidate_version or 0,
        receipt=tx.receipts.last(),
    )
