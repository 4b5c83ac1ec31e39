"""What a platform's own process needs to decide locally: delegated keys, the policy's bundles, views of profiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight_core.decisions.url_signing import DAY_S
from nightlight_core.errors import NotFound

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.catalogue.feed import FeedPage
    from nightlight.flows.decisions.abuse_signals import AbuseSignalLog
    from nightlight.flows.decisions.change_feed import ChangeFeedPoller
    from nightlight.flows.decisions.counters import DecisionCounter
    from nightlight.flows.policies.active_policy import ActivePolicy
    from nightlight.flows.policies.policy_holder import PolicyHolder
    from nightlight_core.clock import Clock
    from nightlight_core.decisions.abuse_signals import AbuseSignal
    from nightlight_core.decisions.answers import AnswerBuilder
    from nightlight_core.decisions.profile_views import ProfileView
    from nightlight_core.decisions.quotas import Limits
    from nightlight_core.decisions.url_signing import RingDayKeys

# Cells that one report may name, and how often each: nobody decides more in the time between two reports.
MOST_CELLS, MOST_TIMES = 10_000, 10**9


@dataclass(frozen=True, slots=True)
class DelegatedKeys:
    """What URLs are made of, until the end of the last of ``days``, and the limits that decisions keep."""

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
class LocalEvaluationFeed:
    """Serves what a platform's process needs. ``ring`` is None where S3 verifies URLs: its keys cannot be delegated."""

    catalogue: Catalogue
    policy: PolicyHolder
    change_feed: ChangeFeedPoller
    counter: DecisionCounter
    signals: AbuseSignalLog
    builder: AnswerBuilder
    ring: RingDayKeys | None
    base_url: str
    limits: Limits
    profiles_per_hour: int
    clock: Clock

    def keys(self) -> DelegatedKeys:
        """Return the keys of today and of every day on which a URL that is made today may expire."""
        if self.ring is None:
            raise NotFound("URLs are presigned: there are no keys to delegate")
        builder = self.builder
        periods = self.policy.current().whole.periods
        outcomes = [outcome for period in periods for outcome in period.table.outcomes]
        longest = max([builder.placeholder_cache_s, *(outcome.cache_s for outcome in outcomes)])
        now = int(self.clock().timestamp())
        longest = min(longest, builder.max_life_s)
        days = range(now // DAY_S, (now + DAY_S + longest) // DAY_S + 1)
        signing_id = self.ring.signing_id
        return DelegatedKeys(
            base_url=self.base_url,
            signing_id=signing_id,
            days={day: key for day in days if (key := self.ring.key(signing_id, day)) is not None},
            variant_key=builder.variant_key,
            placeholder=builder.placeholder,
            placeholder_cache_s=builder.placeholder_cache_s,
            max_life_s=builder.max_life_s,
            limits=self.limits,
            profiles_per_hour=self.profiles_per_hour,
        )

    def changes(self, cursor: str | None) -> tuple[ActivePolicy, FeedPage]:
        """Return the policy in use, and what has changed since; raises InvalidInput or CatalogueUnavailable."""
        policy = self.policy.current()
        with self.change_feed.reading() as tx:
            return policy, tx.feed.since(cursor)

    def views(self, profile_ids: Sequence[str]) -> tuple[ActivePolicy, list[ProfileView]]:
        """Return the policy in use, and a view of each profile; raises CatalogueUnavailable."""
        policy = self.policy.current()
        views = self.change_feed.read(profile_ids, keep=False)
        for view in views:
            view.candidate = policy.chosen(view.profile_id)
        return policy, views

    def bundle(self, version: int) -> bytes:
        """Return a bundle that is in use; raises NotFound."""
        policy = self.policy.current()
        if version not in {policy.version, policy.candidate_version, policy.previous_version}:
            raise NotFound
        with self.catalogue.reading() as tx:
            data = tx.policies.bundle(version)
        if data is None:
            raise NotFound
        return data

    def report(self, counts: Mapping[str, int], signals: Iterable[AbuseSignal]) -> None:
        """Take in what was decided elsewhere: how often each combination, and who looked like a scraper."""
        vocabulary = self.policy.current().table.attributes.values()
        for cell, times in counts.items():
            words = cell.split(",")
            if len(words) == len(vocabulary) and all(
                word in allowed for word, allowed in zip(words, vocabulary, strict=True)
            ):
                self.counter.add((cell, None), times)
        self.signals.add(list(signals))
