"""The decision engine: which rendition a viewer gets of each profile. Every decision of Nightlight is made here.

::

    check       the viewer's and the context's words, and the number of items
    find        a view of each profile                         (ProfileViewSource: all that differs between callers)
    resolve     what the viewer is to each profile             (relation_resolver)
    answer      one table look-up and one signed URL for each  (answers)
    count       what was decided, by combination of words      (Tallies)
    limit       quotas, and signals of abuse                   (rate_limiter, abuse_signals)
    finish      the placeholder where a limit was reached; the variant that is the viewer's

The HTTP service, its fast path, AuthZEN and a platform's own process call the same engine. They differ in where views
come from: memory alone, memory and the catalogue, or the local evaluation feed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from nightlight_core.decisions.abuse_signals import CANARY
from nightlight_core.decisions.answers import evaluate, shown_renditions
from nightlight_core.decisions.quotas import Requester
from nightlight_core.decisions.relation_proofs import BLOCKED, STRANGER
from nightlight_core.decisions.relation_resolver import Claim
from nightlight_core.errors import InvalidInput, QuotasUnavailable
from nightlight_core.policy.table import FORBID, NONE_TIER

if TYPE_CHECKING:
    from nightlight_core.decisions.abuse_signals import AbuseSignalSink
    from nightlight_core.decisions.answers import Answer, AnswerBuilder, DecisionPolicy, SignedDecision, TierLimits
    from nightlight_core.decisions.profile_views import ProfileView
    from nightlight_core.decisions.rate_limiter import RateLimiter
    from nightlight_core.decisions.relation_resolver import RelationResolver, ResolvedRelation
    from nightlight_core.policy.table import Table

MAX_ITEMS = 500


class DecisionRequest(NamedTuple):
    """Who looks, where, at which profiles.

    ``viewer`` is the word for what is assured of the viewer, ``context`` the word for where the picture is shown;
    ``requester`` says who looks, so that blocks, proofs, variants and quotas can be theirs. ``at_most`` is the tier
    that is asked for at most, beside that of each claim: less than the policy allows, and never more.
    """

    viewer: str
    context: str
    claims: Sequence[Claim]
    requester: Requester
    at_most: str | None = None


class FoundViews(NamedTuple):
    """A view of each profile, in order, and the profiles that the viewer is blocked by.

    ``strangers_only`` says that relations may be out of date: then nobody is more than a stranger.
    """

    views: Sequence[ProfileView]
    blocked: set[str]
    strangers_only: bool = False


class ProfileViewSource(Protocol):
    """Where the views come from that a request is decided by."""

    def find(self, viewer_id: str | None, profile_ids: Sequence[str]) -> FoundViews | None:
        """Return a view of each profile; None where this source cannot tell."""
        ...


class Tallies(Protocol):
    """What counts decisions."""

    def count(self, answers: Sequence[Answer]) -> None:
        """Count answers, by combination of words: never who asked, or about whom."""
        ...


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
    capture: str
    rule: str
    shows: str
    edge: int
    unknown_words: tuple[str, ...]
    claimed: str
    relation_because: str


@dataclass(frozen=True, slots=True)
class DecisionEngine:
    """Decides. ``clock`` returns Unix seconds. Safe to share between threads."""

    builder: AnswerBuilder
    relations: RelationResolver
    limiter: RateLimiter
    signals: AbuseSignalSink
    tallies: Tallies
    clock: Callable[[], float]

    @property
    def waits_for_nobody(self) -> bool:
        """Say whether quotas and relations are kept in this process, so that only the views may have to be read."""
        return self.limiter.quotas.in_process and self.relations.provider is None

    def decide(
        self, policy: DecisionPolicy, request: DecisionRequest, source: ProfileViewSource
    ) -> list[SignedDecision] | None:
        """Return one decision for each claim, in order; None where the source cannot tell.

        Raises InvalidInput for a viewer or context that is no word of the vocabulary, and for too many items; an
        unknown relation gives that item the placeholder. Raises Unavailable where no URL can be signed.
        """
        check(policy.table, request)
        requester = request.requester
        profile_ids = [claim[0] for claim in request.claims]
        lookup = source.find(requester.viewer_id, profile_ids)
        if lookup is None:
            return None
        moment = self.clock()
        now = int(moment)
        relations = [resolved[0] for resolved in self._resolve(request, lookup, now)]
        limits = tier_limits(request)
        answers = self.builder.answers(
            policy, request.viewer, request.context, lookup.views, relations, limits, now=now
        )
        self.tallies.count(answers)
        allowed = self._limit(requester, profile_ids, answers, lookup.views, int(moment * 1e6)) if profile_ids else []
        return self.builder.finish(answers, allowed, requester.viewer_id, now=now)

    def permits(self, policy: DecisionPolicy, request: DecisionRequest, source: ProfileViewSource) -> list[bool] | None:
        """Say for each claim, in order, whether there is a picture for the viewer; raises like ``decide``.

        Nothing is given, counted or taken of quotas. A canary is no profile here: a search must lead nobody to one.
        """
        check(policy.table, request)
        lookup = source.find(request.requester.viewer_id, [claim[0] for claim in request.claims])
        if lookup is None:
            return None
        now = int(self.clock())
        relations = [resolved[0] for resolved in self._resolve(request, lookup, now)]
        answers = self.builder.answers(policy, request.viewer, request.context, lookup.views, relations, now=now)
        return [
            answer.picture is not None and not view.canary for answer, view in zip(answers, lookup.views, strict=True)
        ]

    def explain(
        self, policy: DecisionPolicy, request: DecisionRequest, source: ProfileViewSource
    ) -> list[Explanation] | None:
        """Return why each item is decided as it is, without counting it; raises like ``decide``."""
        check(policy.table, request)
        lookup = source.find(request.requester.viewer_id, [claim[0] for claim in request.claims])
        if lookup is None:
            return None
        now = int(self.clock())
        explanations = []
        resolved = self._resolve(request, lookup, now)
        limits = tier_limits(request) or [()] * len(request.claims)
        for claim, view, (relation, because), limit in zip(request.claims, lookup.views, resolved, limits, strict=True):
            if not view.known:
                explanations.append(not_explained(claim, "unknown-profile", because))
                continue
            key = request.viewer, request.context, relation
            inputs, table, outcome = evaluation = evaluate(policy, key, view, now).at_most(limit)
            renditions = shown_renditions(policy, evaluation, view)
            explanation = Explanation(
                profile_id=claim.profile_id,
                inputs=inputs,
                tier=outcome.tier,
                cache_s=outcome.cache_s,
                per_hour=outcome.per_hour,
                capture=outcome.capture,
                rule=outcome.rule,
                shows="rendition" if renditions else "placeholder",
                edge=renditions[0].edge if renditions else 0,
                unknown_words=tuple(table.unknown_words(inputs)),
                claimed=claim.relation,
                relation_because=because,
            )
            explanations.append(explanation)
        return explanations

    def placeholders(self, profile_ids: Sequence[str]) -> list[SignedDecision]:
        """Return the placeholder for each profile."""
        return self.builder.placeholders(profile_ids, now=int(self.clock()))

    def _resolve(self, request: DecisionRequest, lookup: FoundViews, now: int) -> list[ResolvedRelation]:
        revoked = [view.revoked for view in lookup.views]
        viewer_id = request.requester.viewer_id
        resolved = self.relations.resolve(viewer_id, request.claims, lookup.blocked, now=now, revoked=revoked)
        if lookup.strangers_only:
            return [known if known.relation == BLOCKED else known._replace(relation=STRANGER) for known in resolved]
        return resolved

    def _limit(
        self,
        requester: Requester,
        profile_ids: Sequence[str],
        answers: Sequence[Answer],
        views: Sequence[ProfileView],
        now_us: int,
    ) -> list[bool]:
        """Say, for each answer that has a picture, whether it may be given: none while quotas cannot be kept."""
        pictures = [answer.picture for answer in answers if answer.picture is not None]
        if any(view.canary for view in views):
            self.signals.note(requester, CANARY)
        try:
            allowed, reason = self.limiter.check(requester, profile_ids, pictures, now_us=now_us)
        except QuotasUnavailable as error:
            self.signals.quotas_unavailable(len(pictures), str(error))
            return [False] * len(pictures)
        if reason is not None:
            self.signals.note(requester, reason)
        return allowed


def check(table: Table, request: DecisionRequest) -> None:
    """Raise InvalidInput for words that the policy does not know, and for too many items."""
    for attribute, word in (("viewer", request.viewer), ("context", request.context)):
        words = table.attributes.get(attribute, ())
        if word not in words:
            raise InvalidInput(f"{attribute} must be one of {', '.join(words)}", pointer=f"/{attribute}")
    if len(request.claims) > MAX_ITEMS:
        raise InvalidInput(f"at most {MAX_ITEMS} items", pointer="/items")
    asked = [(request.at_most, "/at_most")]
    asked += [
        (claim[3], f"/items/{number}/at_most") for number, claim in enumerate(request.claims) if claim[3] is not None
    ]
    for tier, pointer in asked:
        if tier is not None and tier not in table.tier_words:
            raise InvalidInput(f"at_most must be one of {', '.join(table.tier_words)}", pointer=pointer)


def tier_limits(request: DecisionRequest) -> list[TierLimits] | None:
    """Return the tiers that are asked for at most of each claim: the request's, and its own; both count.

    None where nothing less is asked for than the policy allows.
    """
    whole = request.at_most
    if whole is None and all(claim[3] is None for claim in request.claims):
        return None
    return [tuple(tier for tier in (whole, claim[3]) if tier is not None) for claim in request.claims]


def blocked_by(viewer_id: str | None, views: Sequence[ProfileView]) -> set[str]:
    """Return the profiles that a viewer is blocked by, of those whose views hold all their blocks."""
    if viewer_id is None:
        return set()
    return {view.profile_id for view in views if view.blocked and viewer_id in view.blocked}


def not_explained(claim: Claim, rule: str, relation_because: str = "") -> Explanation:
    """Return why an item is the placeholder, whatever the policy says."""
    return Explanation(
        claim.profile_id, {}, NONE_TIER, 0, 0, FORBID, rule, "placeholder", 0, (), claim.relation, relation_because
    )
