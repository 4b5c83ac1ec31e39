"""A decision: what is known of each profile, what the viewer is to it, then the policy, quotas and a signed URL.

Whatever is unknown, blocked, deleted, not ready, late or broken gives the placeholder, in the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from nightlight import logs, metrics
from nightlight_core.decisions.engine import Decider, Decision, offered, weigh
from nightlight_core.decisions.relation_resolver import Claim, Relate
from nightlight_core.errors import CatalogueUnavailable, InvalidInput
from nightlight_core.policy.table import NONE_TIER

if TYPE_CHECKING:
    from nightlight.flows.decisions.abuse_signals import Guard
    from nightlight.flows.decisions.change_feed import Watch
    from nightlight.flows.decisions.counters import DecisionCounter
    from nightlight.flows.policies.active_policy import ActivePolicy, PolicyHolder
    from nightlight_core.clock import Clock
    from nightlight_core.decisions.profile_views import View
    from nightlight_core.decisions.quotas import Asker
    from nightlight_core.policy.table import Table

MAX_ITEMS = 500


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an item is answered as it is, for operators: inputs as bands and words, never as identities.

    ``claimed`` is the relation that the request said, ``relation_because`` why another or the same counts.
    """

    profile_id: str
    inputs: Mapping[str, str]
    tier: str
    cache_s: int
    per_hour: int
    rule: str
    shows: str
    edge: int
    unknown_words: tuple[str, ...]
    claimed: str
    relation_because: str


class _Known(NamedTuple):
    """What a request is decided by: a view of each item, and the profiles that the viewer is blocked by."""

    views: list[View]
    blocked: set[str]


class _BehindError(Exception):
    """The catalogue does not know of a change yet that a decision was asked to see."""


@dataclass(frozen=True, slots=True)
class Decide:
    """Answers which rendition a viewer gets of each profile."""

    policy: PolicyHolder
    watch: Watch
    counter: DecisionCounter
    decider: Decider
    relate: Relate
    guard: Guard
    clock: Clock

    def decide(
        self, viewer: str, context: str, items: Sequence[Claim], asker: Asker, *, at_least: int | None = None
    ) -> list[Decision]:
        """Return one decision for each item, in order.

        ``asker`` says who looks, so that blocks, proofs, variants and quotas can be theirs. Raises InvalidInput for a
        viewer or context that is no word of the vocabulary; an unknown relation gives that item the placeholder. A
        catalogue that does not answer, or does not know of the change ``at_least`` yet, gives every item the
        placeholder.
        """
        rules = _checked(self.policy.current(), viewer, context, items)
        try:
            known = self._known(asker.viewer_id, items, at_least)
        except (CatalogueUnavailable, _BehindError) as error:
            logs.get("decide").error("decisions.catalogue_unavailable", count=len(items), detail=str(error))
            metrics.DECISIONS.inc(len(items))
            return self.decider.nothing([item.profile_id for item in items], now=int(self.clock().timestamp()))
        return self._decided(rules, viewer, context, items, asker, known)

    def at_hand(self, viewer: str, context: str, items: Sequence[Claim], asker: Asker) -> list[Decision] | None:
        """Return the same as ``decide`` where everything that it needs is in memory, and None where it is not.

        It waits for nothing. Raises likewise.
        """
        if not (self.watch.views.fresh and self.guard.at_hand and self.relate.provider is None):
            return None
        # The policy as it was known last: whoever keeps views true looks for another, and that may take a while.
        rules = _checked(self.policy.known, viewer, context, items)
        views = [view for view in self.watch.views.find([item[0] for item in items]) if view is not None]
        if len(views) < len(items) or any(view.blocked is None for view in views):
            return None
        return self._decided(rules, viewer, context, items, asker, _Known(views, _blocked(asker.viewer_id, views)))

    def explain(
        self, viewer: str, context: str, items: Sequence[Claim], *, viewer_id: str | None = None
    ) -> list[Explanation]:
        """Return why each item is answered as it is; raises like ``decide``."""
        rules = _checked(self.policy.current(), viewer, context, items)
        now = int(self.clock().timestamp())
        try:
            views, blocked = self._known(viewer_id, items, None)
        except CatalogueUnavailable:
            return [_nothing(item, "catalogue-unavailable", "") for item in items]
        settled = self.relate.settle(viewer_id, items, blocked, now=now, revoked=[view.revoked for view in views])
        explanations = []
        for item, view, (relation, because) in zip(items, views, settled, strict=True):
            if not view.known:
                explanations.append(_nothing(item, "unknown-profile", because))
                continue
            inputs, table, outcome, tier = weigh(rules, (viewer, context, relation), view, now)
            explanations.append(
                Explanation(
                    profile_id=item.profile_id,
                    inputs=inputs,
                    tier=outcome.tier,
                    cache_s=outcome.cache_s,
                    per_hour=outcome.per_hour,
                    rule=outcome.rule,
                    shows="rendition" if offered(view, outcome.tier, tier) else "placeholder",
                    edge=tier.edge if tier else 0,
                    unknown_words=tuple(table.unknown_words(inputs)),
                    claimed=item.relation,
                    relation_because=because,
                )
            )
        return explanations

    def _known(self, viewer_id: str | None, items: Sequence[Claim], at_least: int | None) -> _Known:
        """Return what is known of the items; raises CatalogueUnavailable, and _BehindError if it is too old."""
        kept = self.watch.views
        if (at_least is not None or not kept.fresh) and not self.watch.catch_up(at_least=at_least):
            raise _BehindError
        ids = [item.profile_id for item in items]
        views = kept.find(ids)
        missing = [one for one, view in zip(ids, views, strict=True) if view is None]
        read = {view.profile_id: view for view in self.watch.read(list(dict.fromkeys(missing)))} if missing else {}
        whole = [view or read[one] for one, view in zip(ids, views, strict=True)]
        blocked = _blocked(viewer_id, whole)
        if viewer_id is not None and (many := [view.profile_id for view in whole if view.blocked is None]):
            blocked |= self.watch.blocked(viewer_id, many)
        return _Known(whole, blocked)

    def _decided(
        self, rules: ActivePolicy, viewer: str, context: str, items: Sequence[Claim], asker: Asker, known: _Known
    ) -> list[Decision]:
        moment = self.clock().timestamp()
        now = int(moment)
        revoked = [view.revoked for view in known.views]
        settled = self.relate.settle(asker.viewer_id, items, known.blocked, now=now, revoked=revoked)
        answers = self.decider.answers(rules, viewer, context, known.views, [one[0] for one in settled], now=now)
        self.counter.count([one.counted for one in answers if one.counted is not None])
        if doubtful := [one.doubtful for one in answers if one.doubtful]:
            metrics.UNKNOWN_WORDS.inc(len(doubtful))
            logs.get("decide").warning("decisions.unknown_word", words=sorted({*sum(doubtful, ())}))
        metrics.DECISIONS.inc(len(answers))
        wanted = [one.wanted for one in answers if one.wanted is not None]
        canary = any(view.canary for view in known.views)
        allowed = self.guard.allowed(asker, [item[0] for item in items], wanted, canary=canary) if items else []
        return self.decider.given(answers, allowed, asker.viewer_id, now=now)


def _blocked(viewer_id: str | None, views: Sequence[View]) -> set[str]:
    if viewer_id is None:
        return set()
    return {view.profile_id for view in views if view.blocked and viewer_id in view.blocked}


def _nothing(item: Claim, rule: str, because: str) -> Explanation:
    told = {"claimed": item.relation, "relation_because": because}
    return Explanation(item.profile_id, {}, NONE_TIER, 0, 0, rule, "placeholder", 0, (), **told)


def _checked(rules: ActivePolicy, viewer: str, context: str, items: Sequence[Claim]) -> ActivePolicy:
    """Return the policy; raise InvalidInput for words that it does not know, and for too many items."""
    _known_word(rules.table, "viewer", viewer)
    _known_word(rules.table, "context", context)
    if len(items) > MAX_ITEMS:
        message = f"at most {MAX_ITEMS} items"
        raise InvalidInput(message, pointer="/items")
    return rules


def _known_word(table: Table, attribute: str, word: str) -> None:
    known = table.attributes.get(attribute, ())
    if word not in known:
        message = f"{attribute} must be one of {', '.join(known)}"
        raise InvalidInput(message, pointer=f"/{attribute}")
