"""Decisions of the service: the engine, over views from memory and the catalogue, by the policy that is in use.

Whatever is unknown, blocked, deleted, not ready, late or broken gives the placeholder, in the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight import metrics
from nightlight.flows.decisions.view_sources import CatalogueViews, MemoryViews
from nightlight_core.decisions.engine import not_explained
from nightlight_core.errors import InvalidInput

if TYPE_CHECKING:
    from nightlight.flows.decisions.change_feed import ChangeFeedPoller
    from nightlight.flows.policies.policy_holder import PolicyHolder
    from nightlight_core.decisions.answers import SignedDecision
    from nightlight_core.decisions.engine import DecisionEngine, DecisionRequest, Explanation


@dataclass(frozen=True, slots=True)
class DecisionService:
    """Answers which rendition a viewer gets of each profile."""

    policy: PolicyHolder
    change_feed: ChangeFeedPoller
    engine: DecisionEngine

    def decide(self, request: DecisionRequest, *, at_least: int | None = None) -> list[SignedDecision]:
        """Return one decision for each claim, in order.

        Raises InvalidInput for a viewer or context that is no word of the vocabulary; an unknown relation gives that
        item the placeholder. A catalogue that does not answer, or does not know of the change ``at_least`` yet, gives
        every item the placeholder.
        """
        decisions = self.engine.decide(self.policy.current(), request, CatalogueViews(self.change_feed, at_least))
        if decisions is None:
            metrics.DECISIONS.inc(len(request.claims))
            return self.engine.placeholders([claim.profile_id for claim in request.claims])
        return decisions

    def try_cached(self, request: DecisionRequest) -> list[SignedDecision] | None:
        """Return the same as ``decide`` where everything that it needs is in memory, and None where it is not.

        It waits for nothing: it may be called where others wait too. A request that it would refuse is None as well,
        because it looks at the policy as it was known last, and ``decide`` may know of a newer one.
        """
        if not self.engine.waits_for_nobody:
            return None
        try:
            return self.engine.decide(self.policy.known, request, MemoryViews(self.change_feed))
        except InvalidInput:
            return None

    def explain(self, request: DecisionRequest) -> list[Explanation]:
        """Return why each item is answered as it is; raises like ``decide``."""
        explanations = self.engine.explain(self.policy.current(), request, CatalogueViews(self.change_feed))
        if explanations is None:
            return [not_explained(claim, "catalogue-unavailable") for claim in request.claims]
        return explanations
