"""What a platform's own process is lent to decide by itself: keys of days, the policy's bundles, views of profiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight_core.decisions.url_signing import DAY_S
from nightlight_core.errors import NotFound

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.catalogue.feed import Look
    from nightlight.flows.decisions.abuse_signals import Guard
    from nightlight.flows.decisions.change_feed import Watch
    from nightlight.flows.decisions.counters import DecisionCounter
    from nightlight.flows.policies.active_policy import ActivePolicy, PolicyHolder
    from nightlight_core.clock import Clock
    from nightlight_core.decisions.engine import Decider
    from nightlight_core.decisions.profile_views import View
    from nightlight_core.decisions.quotas import Limits
    from nightlight_core.decisions.rate_limiter import Sighting
    from nightlight_core.decisions.url_signing import RingKeys

# Cells that one report may name, and how often each: nobody decides more in the time between two reports.
MOST_CELLS, MOST_TIMES = 10_000, 10**9


@dataclass(frozen=True, slots=True)
class Lent:
    """What URLs are made of, until the end of the last of ``days``."""

    base_url: str
    signing_id: str
    days: Mapping[int, bytes]
    variant_key: bytes
    placeholder: str
    placeholder_cache_s: int
    max_life_s: int
    limits: Limits
    profiles_per_hour: int


@dataclass(frozen=True, slots=True)
class Lend:
    """Lends. ``ring`` is None where S3 checks the URLs: its keys are not ours to lend."""

    catalogue: Catalogue
    policy: PolicyHolder
    watch: Watch
    counter: DecisionCounter
    guard: Guard
    decider: Decider
    ring: RingKeys | None
    base_url: str
    max_life_s: int
    limits: Limits
    clock: Clock

    def keys(self) -> Lent:
        """Return the keys of today and of every day on which a URL that is made today may expire."""
        if self.ring is None:
            message = "URLs are presigned: there are no keys to lend"
            raise NotFound(message)
        outcomes = self.policy.current().table.outcomes
        longest = max([self.decider.placeholder_cache_s, *(one.cache_s for one in outcomes)])
        now = int(self.clock().timestamp())
        longest = min(longest, self.max_life_s)
        days = range(now // DAY_S, (now + DAY_S + longest) // DAY_S + 1)
        signing_id = self.ring.signing_id
        return Lent(
            base_url=self.base_url,
            signing_id=signing_id,
            days={day: key for day in days if (key := self.ring.key(signing_id, day)) is not None},
            variant_key=self.decider.variant_key,
            placeholder=self.decider.placeholder,
            placeholder_cache_s=self.decider.placeholder_cache_s,
            max_life_s=self.max_life_s,
            limits=self.limits,
            profiles_per_hour=self.guard.gate.profiles_per_hour,
        )

    def changes(self, cursor: str | None) -> tuple[ActivePolicy, Look]:
        """Return the policy in use, and what has changed since; raises InvalidInput or CatalogueUnavailable."""
        rules = self.policy.current()
        with self.catalogue.reading() as tx:
            return rules, tx.feed.since(cursor)

    def views(self, profile_ids: Sequence[str]) -> tuple[ActivePolicy, list[View]]:
        """Return the policy in use, and a view of each profile; raises CatalogueUnavailable."""
        rules = self.policy.current()
        views = self.watch.read(profile_ids)
        for view in views:
            view.candidate = rules.chosen(view.profile_id)
        return rules, views

    def bundle(self, version: int) -> bytes:
        """Return a bundle that is in use; raises NotFound."""
        rules = self.policy.current()
        if version not in {rules.version, rules.candidate_version}:
            raise NotFound
        with self.catalogue.reading() as tx:
            data = tx.policies.bundle(version)
        if data is None:
            raise NotFound
        return data

    def report(self, counts: Mapping[str, int], sightings: Iterable[Sighting]) -> None:
        """Take in what was decided elsewhere: how often each combination, and who looked like a scraper."""
        words = self.policy.current().table.attributes.values()
        for cell, times in counts.items():
            said = cell.split(",")
            if len(said) == len(words) and all(word in known for word, known in zip(said, words, strict=True)):
                self.counter.add((cell, None), times)
        self.guard.see(list(sightings))
