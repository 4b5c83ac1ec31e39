"""What decisions need of profiles, kept in memory until it changes.

A view may be used as long as the feed of changes is read: a change that was made more than ``stale_s`` ago is in every
decision, or there is none from memory.

Whoever reads the feed reads the views that have changed again, and not the next decision. Otherwise the first answer
after a change would be a slow one, and its time would say whose profile had just changed.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight_core.decisions.inputs import UNASSURED

if TYPE_CHECKING:
    from nightlight_core.policy.tier import TierRecipe

# A view is looked up anew after so long, whatever the feed says.
LIFE_S = 300.0
# Readings that take longer than so many looks are not kept.
_LOOKS_KEPT = 200
# Views that are read again in one look at the feed, of four a second. Each takes 35 us, and each answer that is kept
# with it 25 us. Further ones are forgotten.
MOST_AGAIN = 500
# Of a profile that more viewers are blocked by, each request asks for its own.
MOST_BLOCKED = 1000


class AvailableRendition(NamedTuple):
    """One rendition of a ready picture: the path that it is fetched by, its longest side in pixels, and its recipe.

    ``recipe`` is what its tier asked for when it was rendered, without claims (TierRecipe.pixels).
    """

    path: str
    edge: int
    recipe: TierRecipe


@dataclass(slots=True)
class ProfileView:
    """One profile. ``band`` and ``assurance`` count up to ``band_expires_at`` (Unix seconds), then the age is unknown.

    ``effective_ceiling`` is the band whose ceiling its picture keeps: the one that its owner released it to, or else
    its ceiling band. ``available`` are the renditions of its ready picture by tier, in the order of their variants.
    ``blocked`` are the viewers who are to see nothing of it, None where they are too many. ``revoked`` is since when
    relation proofs count (Unix seconds), by viewer; the empty id stands for every viewer. ``known`` is False for a
    profile that is not there or deleted. ``answers`` are the answers that a policy gave from it, and that policy.
    """

    profile_id: str
    known: bool = False
    band: str = "unknown"
    band_expires_at: int = 0
    region: str = "unknown"
    choice: str = ""
    report_flag: str = ""
    effective_ceiling: str | None = None
    image_id: str | None = None
    blurhash: str | None = None
    assurance: str = UNASSURED
    canary: bool = False
    candidate: bool = False
    blocked: frozenset[str] | None = frozenset()
    revoked: Mapping[str, int] = field(default_factory=dict)
    available: Mapping[str, tuple[AvailableRendition, ...]] = field(default_factory=dict)
    answers: tuple[Any, dict[Any, Any]] = field(default=(None, {}), repr=False, compare=False)
    read_at: float = field(default=0.0, repr=False, compare=False)


class ProfileViewCache:
    """Views by profile id. Safe to share between threads.

    ::

        ticket = views.ticket()          before reading what is missing
        ...                              read
        views.keep(ticket, read)         whatever changed meanwhile is not kept
    """

    def __init__(self, *, most: int, stale_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep the ``most`` views that were read last; ``clock`` is in seconds and only goes forward."""
        self._most, self._stale_s, self._clock = most, stale_s, clock
        self._views: dict[str, ProfileView] = {}
        self._lock = threading.Lock()
        self._looks = 0
        self._dropped: deque[tuple[int, frozenset[str] | None]] = deque(maxlen=_LOOKS_KEPT)
        self._looked_at = self._not_before = float("-inf")

    @property
    def fresh(self) -> bool:
        """Say whether the feed was read lately enough for what is kept to be used."""
        return self._clock() - self._looked_at < self._stale_s

    @property
    def age_s(self) -> float:
        """Return the seconds since the last look at the feed began."""
        return self._clock() - self._looked_at

    def expire(self) -> None:
        """Let nothing be used before a look at the feed that begins after this."""
        with self._lock:
            self._looked_at, self._not_before = float("-inf"), self._clock()

    def find(self, profile_ids: Sequence[str]) -> list[ProfileView | None]:
        """Return what is kept of each profile, in order."""
        return list(map(self._views.get, profile_ids))

    def ticket(self) -> int:
        """Return what ``keep`` is to be given for what is read from now on."""
        return self._looks

    def keep(self, ticket: int, views: Iterable[ProfileView]) -> None:
        """Keep views that were read since ``ticket``, but for those that have changed since."""
        with self._lock:
            if ticket < self._looks - _LOOKS_KEPT or self._most == 0:
                return
            changed: set[str] = set()
            for look, keys in self._dropped:
                if look > ticket:
                    if keys is None:
                        return
                    changed |= keys
            now = self._clock()
            for view in views:
                if view.profile_id not in changed:
                    view.read_at = now
                    self._views.pop(view.profile_id, None)
                    self._views[view.profile_id] = view
            while len(self._views) > self._most:
                del self._views[next(iter(self._views))]

    def changed(self, profile_ids: Iterable[str]) -> list[ProfileView]:
        """Return the views to be read again, of those that have changed: the ones that are kept, MOST_AGAIN at most."""
        kept = (self._views.get(profile_id) for profile_id in dict.fromkeys(profile_ids))
        return list(islice((view for view in kept if view is not None), MOST_AGAIN))

    def polled(
        self, began_at: float, changed: Iterable[str], *, reset: bool, again: Iterable[ProfileView] = ()
    ) -> None:
        """Take in a look at the feed that began at ``began_at`` on the clock: forget what has changed.

        Views that were read ``again`` after that look take the place of those that have changed. They live no longer
        than these would have: how long a view is kept must not depend on changes either.
        """
        with self._lock:
            self._looks += 1
            if reset:
                self._views.clear()
                self._dropped.append((self._looks, None))
            elif keys := frozenset(changed):
                read = {view.profile_id: view for view in again}
                for key in keys & self._views.keys():
                    if (view := read.get(key)) is None:
                        del self._views[key]
                    else:
                        view.read_at = self._views[key].read_at
                        self._views[key] = view  # at its old place: the first are those that were read first
                self._dropped.append((self._looks, keys))
            old = began_at - LIFE_S
            while self._views and (oldest := next(iter(self._views.values()))).read_at < old:
                del self._views[oldest.profile_id]
            if began_at >= self._not_before:
                self._looked_at = max(self._looked_at, began_at)

    def __len__(self) -> int:
        """Return how many views are kept."""
        return len(self._views)
