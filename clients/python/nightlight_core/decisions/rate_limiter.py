"""What scrapers meet: the placeholder, in answers that look like all others, and a line in the operator's report.

::

    quotas     the policy's pictures an hour for a viewer; shares of a network and of a platform   (decisions.quotas)
    profiles   who asks for more different profiles in an hour than people do is given none
    canaries   who asks for a profile that nobody has a reason to ask for is noted
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nightlight_core.decisions.quotas import Asker, Quotas, Wanted

OVER_QUOTA, MANY_PROFILES, CANARY = "over-quota", "many-profiles", "canary"
REASONS = (OVER_QUOTA, MANY_PROFILES, CANARY)
KINDS = ("viewer", "network")
# The same is noted once in so many seconds: a scraper must not be able to make us write.
_NOTE_AGAIN_S = 60.0
_MOST_NOTED = 50_000


class Sighting(NamedTuple):
    """Somebody who looks like a scraper: a viewer or a network, as the platform names it, and why."""

    kind: str
    who: str
    reason: str


@dataclass(frozen=True, slots=True)
class Gate:
    """Says which of a request's pictures are not given after all. Safe to share between threads."""

    quotas: Quotas
    profiles_per_hour: int

    def allowed(
        self, asker: Asker, asked: Sequence[str], wanted: Sequence[Wanted], *, now_us: int
    ) -> tuple[list[bool], str | None]:
        """Say for each picture that would be given whether it is, and what the asker looks like if not all are.

        ``asked`` are the profiles of the whole request; ``now_us`` is in microseconds since 1970. Raises
        QuotasUnavailable.
        """
        told = self.quotas.allow(asker, wanted, asked, now_us=now_us)
        if told.asked > self.profiles_per_hour:
            return [False] * len(wanted), MANY_PROFILES
        return told.pictures, None if all(told.pictures) else OVER_QUOTA


class Noted:
    """Whom was noted lately, so that nobody is noted without end. Safe to share between threads."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._noted: dict[Sighting, float] = {}
        self._lock = threading.Lock()

    def fresh(self, asker: Asker, reason: str) -> list[Sighting]:
        """Return the asker's sightings that were not noted lately."""
        named = zip(KINDS, (asker.viewer_id, asker.network), strict=True)
        seen = [Sighting(kind, who, reason) for kind, who in named if who is not None]
        now = time.monotonic()
        with self._lock:
            new = [one for one in seen if now - self._noted.get(one, float("-inf")) >= _NOTE_AGAIN_S]
            if len(self._noted) >= _MOST_NOTED:
                self._noted.clear()
            self._noted.update(dict.fromkeys(new, now))
        return new
