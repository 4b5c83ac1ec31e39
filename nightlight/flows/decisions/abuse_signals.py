"""The service's half of ``nightlight_core.decisions.rate_limiter``: abuse signals are written down and reported."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue.profiles import LIVE
from nightlight_core.decisions.quotas import Asker, Wanted
from nightlight_core.decisions.rate_limiter import CANARY, Gate, Noted, Sighting
from nightlight_core.errors import NotFound, QuotasUnavailable

if TYPE_CHECKING:
    from nightlight.catalogue.abuse_signals import AbuseSignalRow
    from nightlight.catalogue.engine import Catalogue
    from nightlight_core.clock import Clock
    from nightlight_core.ids import ProfileId

# What waits to be written while the catalogue is away; the oldest go first.
_MOST_WAITING = 10_000


@dataclass(frozen=True, slots=True)
class Guard:
    """Says which of a request's pictures are not given after all. Safe to share between threads."""

    catalogue: Catalogue
    gate: Gate
    clock: Clock
    _noted: Noted = field(default_factory=Noted)
    _seen: deque[Sighting] = field(default_factory=lambda: deque(maxlen=_MOST_WAITING))

    @property
    def at_hand(self) -> bool:
        """Say whether quotas are kept in this process, so that asking waits for nobody."""
        return self.gate.quotas.at_hand

    def allowed(self, asker: Asker, asked: Sequence[str], wanted: Sequence[Wanted], *, canary: bool) -> list[bool]:
        """Say for each picture that would be given whether it is; ``asked`` are the profiles of the whole request.

        Never raises: while quotas cannot be kept, none is given.
        """
        if canary:
            self.see(self._noted.fresh(asker, CANARY))
        try:
            told, looks_like = self.gate.allowed(asker, asked, wanted, now_us=int(self.clock().timestamp() * 1e6))
        except QuotasUnavailable as error:
            logs.get("guard").error("quotas.unavailable", count=len(wanted), detail=str(error))
            return [False] * len(wanted)
        if looks_like is not None:
            self.see(self._noted.fresh(asker, looks_like))
        return told

    def see(self, sightings: Sequence[Sighting]) -> None:
        """Take in sightings, to be written down by ``flush``: nobody's answer waits for that."""
        for one in sightings:
            metrics.ABUSE_SIGNALS.labels(one.reason).inc()
        if canaries := sum(one.reason == CANARY for one in sightings):
            logs.get("guard").error("canary.seen", count=canaries)
        self._seen.extend(sightings)

    def flush(self) -> None:
        """Write down what was seen; raises CatalogueUnavailable, and then it is kept for the next time."""
        taken = list(self._seen)
        if not taken:
            return
        with self.catalogue.transaction() as tx:
            for one in taken:
                tx.abuse_signals.note(*one, self.clock())
        for _ in taken:
            self._seen.popleft()


@dataclass(frozen=True, slots=True)
class Scrapers:
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

    def report(self, *, hours: float) -> list[AbuseSignalRow]:
        """Return who was seen in the last hours, the last first."""
        with self.catalogue.reading() as tx:
            return tx.abuse_signals.report(self.clock() - timedelta(hours=hours))
