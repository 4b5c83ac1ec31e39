"""What scrapers meet: the placeholder, in answers that look like all others, and a line in the operator's report.

::

    quotas     the policy's pictures an hour for a viewer; shares of a network and of a platform   (delivery.quotas)
    profiles   who asks for more different profiles in an hour than people do is given none
    canaries   who asks for a profile that nobody has a reason to ask for is noted
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue.profiles import LIVE
from nightlight.delivery.quotas import Asker, Quotas, Wanted
from nightlight.errors import NightlightError, NotFound, QuotasUnavailable

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.catalogue.suspects import Suspect
    from nightlight.clock import Clock
    from nightlight.ids import ProfileId

OVER_QUOTA, MANY_PROFILES, CANARY = "over-quota", "many-profiles", "canary"
# The same is noted once in so many seconds: a scraper must not be able to make us write.
_NOTE_AGAIN_S = 60.0
_MOST_NOTED = 50_000


class Guard:
    """Says which of a request's pictures are not given after all. Safe to share between threads."""

    def __init__(
        self, catalogue: Catalogue, quotas: Quotas, clock: Clock, *, profiles_per_hour: int, poll_s: float
    ) -> None:
        """Give nothing to who asks for more than ``profiles_per_hour``; look for new canaries every ``poll_s``."""
        self._catalogue, self._quotas, self._clock = catalogue, quotas, clock
        self._profiles_per_hour, self._poll_s = profiles_per_hour, poll_s
        self._canaries: frozenset[str] = frozenset()
        self._noted: dict[tuple[str, str, str], float] = {}
        self._lock = threading.Lock()

    def allowed(self, asker: Asker, asked: Sequence[str], wanted: Sequence[Wanted]) -> list[bool]:
        """Say for each picture that would be given whether it is; ``asked`` are the profiles of the whole request.

        Never raises: while quotas cannot be kept, none is given.
        """
        now_us = int(self._clock().timestamp() * 1_000_000)
        if not self._canaries.isdisjoint(asked):
            self._note(asker, CANARY)
        try:
            told = self._quotas.allow(asker, wanted, asked, now_us=now_us)
        except QuotasUnavailable as error:
            logs.get("guard").error("quotas.unavailable", count=len(wanted), detail=str(error))
            return [False] * len(wanted)
        if told.asked > self._profiles_per_hour:
            self._note(asker, MANY_PROFILES)
            return [False] * len(wanted)
        if not all(told.pictures):
            self._note(asker, OVER_QUOTA)
        return told.pictures

    def look(self) -> None:
        """Look for canaries; raises CatalogueUnavailable, and then those that were known stay."""
        with self._catalogue.reading() as tx:
            self._canaries = tx.suspects.canaries()

    def run(self, stop: threading.Event) -> None:
        """Look again and again until ``stop`` is set."""
        while not stop.is_set():
            try:
                self.look()
            except NightlightError as error:
                logs.get("guard").error("canaries.unknown", code=error.code)
            stop.wait(self._poll_s)

    def _note(self, asker: Asker, reason: str) -> None:
        metrics.SUSPECTS.labels(reason).inc()
        named = (("viewer", asker.viewer_id), ("network", asker.network))
        fresh = [(kind, who) for kind, who in named if who is not None and self._first(kind, who, reason)]
        if reason == CANARY and fresh:
            logs.get("guard").error("canary.seen", count=len(fresh))
        try:
            with self._catalogue.transaction() as tx:
                for kind, who in fresh:
                    tx.suspects.note(kind, who, reason, self._clock())
        except NightlightError as error:
            logs.get("guard").error("suspect.not_noted", code=error.code)

    def _first(self, kind: str, who: str, reason: str) -> bool:
        """Say whether this was not noted lately."""
        now = time.monotonic()
        with self._lock:
            last = self._noted.get((kind, who, reason))
            if last is not None and now - last < _NOTE_AGAIN_S:
                return False
            if len(self._noted) >= _MOST_NOTED:
                self._noted.clear()
            self._noted[kind, who, reason] = now
            return True


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
            if profile_id not in tx.suspects.canaries():
                tx.suspects.plant(profile_id, now)
                tx.audit.append("canary.planted", now=now, actor=actor)

    def report(self, *, hours: float) -> list[Suspect]:
        """Return who was seen in the last hours, the last first."""
        with self.catalogue.reading() as tx:
            return tx.suspects.report(self.clock() - timedelta(hours=hours))
