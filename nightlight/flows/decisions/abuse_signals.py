"""The service's half of ``nightlight_core.decisions.abuse_signals``: signals are counted, written down and reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue.profiles import LIVE
from nightlight_core.decisions.abuse_signals import CANARY, AbuseSignal, AbuseSignalBuffer
from nightlight_core.errors import NotFound

if TYPE_CHECKING:
    from nightlight.catalogue.abuse_signals import RecordedSignal
    from nightlight.catalogue.engine import Catalogue
    from nightlight_core.clock import Clock
    from nightlight_core.ids import ProfileId

# What waits to be written while the catalogue is away; the oldest go first.
_MOST_WAITING = 10_000


class AbuseSignalLog(AbuseSignalBuffer):
    """Counts signals, and writes them into the catalogue. Safe to share between threads."""

    def __init__(self, catalogue: Catalogue, clock: Clock) -> None:
        """Write into ``catalogue`` when ``flush`` is called."""
        super().__init__(most=_MOST_WAITING)
        self._catalogue, self._clock = catalogue, clock

    def quotas_unavailable(self, pictures: int, detail: str) -> None:
        """Log that quotas did not answer."""
        logs.get("abuse_signals").error("quotas.unavailable", count=pictures, detail=detail)

    def add(self, signals: Sequence[AbuseSignal]) -> None:
        """Count signals, and let them wait for ``flush``: nobody's answer waits for that."""
        for signal in signals:
            metrics.ABUSE_SIGNALS.labels(signal.reason).inc()
        if canaries := sum(signal.reason == CANARY for signal in signals):
            logs.get("abuse_signals").error("canary.seen", count=canaries)
        super().add(signals)

    def flush(self) -> None:
        """Write down what waits; raises CatalogueUnavailable, and then it waits for the next time."""
        signals = self.drain()
        if not signals:
            return
        try:
            with self._catalogue.transaction() as tx:
                for signal in signals:
                    tx.abuse_signals.note(*signal, self._clock())
        except BaseException:
            self.restore(signals)
            raise


@dataclass(frozen=True, slots=True)
class AbuseReports:
    """The operator's report, and canaries."""

    catalogue: Catalogue
    clock: Clock

    def plant(self, profile_id: ProfileId, *, actor: str) -> None:
        """Make a canary of a live profile; raises NotFound."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            profile = tx.profiles.get(profile_id)
            if profile is None or profile.state != LIVE:
                raise NotFound
            if profile_id not in tx.abuse_signals.canaries([profile_id]):
                tx.abuse_signals.plant(profile_id, now)
                tx.audit.append("canary.planted", now=now, actor=actor)

    def report(self, *, hours: float) -> list[RecordedSignal]:
        """Return the signals of the last hours, the last first."""
        with self.catalogue.reading() as tx:
            return tx.abuse_signals.report(self.clock() - timedelta(hours=hours))
