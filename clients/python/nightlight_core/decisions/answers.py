"""The answer for one profile: one look-up in the policy's table and one signed URL, from the profile's view alone.

It knows no catalogue and no network. The answer for a viewer's word, a context and a relation is kept with the view
until its URL is due to change, so that most answers are two look-ups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import reduce
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nightlight_core.decisions.inputs import UNASSURED
from nightlight_core.decisions.placeholder import PLACEHOLDER_BLURHASH, PLACEHOLDER_CAPTURE
from nightlight_core.decisions.profile_views import AvailableRendition, ProfileView
from nightlight_core.decisions.quotas import PictureRequest
from nightlight_core.decisions.rendition_choice import Earlier, choose_rendition, is_behind
from nightlight_core.decisions.url_signing import DAY_S, bucket_of
from nightlight_core.decisions.variants import variant_for
from nightlight_core.errors import Unavailable
from nightlight_core.policy.table import DOUBT, Outcome, Table, more_protective

if TYPE_CHECKING:
    from nightlight_core.decisions.url_signing import UrlSigner

UNKNOWN_BAND = "unknown"
# What an answer is kept by: the viewer's word, the context, the relation, and the tiers that were asked for at most.
AnswerKey = tuple[str, str, str, tuple[str, ...]]
# Tiers that are asked for at most, whatever the policy allows.
TierLimits = tuple[str, ...]


class DecisionPolicy(Protocol):
    """The policy that a batch is decided by; the same object as long as it means the same."""

    @property
    def table(self) -> Table:
        """The active table."""
        ...

    def table_for(self, view: ProfileView) -> Table:
        """Return the table that decides for a profile: a candidate's, for its share of profiles."""
        ...

    def earlier_for(self, view: ProfileView) -> Table | None:
        """Return the table that decided for a profile before, None if there was none."""
        ...

    def tally(
        self, inputs: Mapping[str, str], outcome: Outcome, effective_ceiling: str | None
    ) -> tuple[str, str | None]:
        """Return what a decision is counted as: its cell, and the kind of difference that a candidate would make."""
        ...


@dataclass(slots=True)
class SignedDecision:
    """The decision for one item: a URL, when it stops working (Unix seconds), and a blur to paint until it is there.

    The blur is of the most protective tier, whichever is shown. ``shows_picture`` says whether it is a picture, and not
    the placeholder; viewers are not told. ``capture`` says whether apps refuse screenshots and downloads of it, which
    they do of the placeholder for everybody. ``representation`` is the decision in the form that callers of this
    process are given, kept for the next call.
    """

    profile_id: str
    url: str
    expires_at: int
    blurhash: str
    capture: str
    shows_picture: bool
    representation: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for one profile before limits and variants, good until ``until`` (Unix seconds).

    ``decisions`` has one for each variant of the picture, or the placeholder alone. ``picture`` is what it takes of
    quotas, None where there is no picture. ``tally`` is what it is counted as. ``unknown_words`` names the inputs whose
    words the policy does not know. ``behind`` says that the picture lacks a rendition by a recipe of now. ``made_by``
    stands for the keys that it was made by.
    """

    until: int
    decisions: tuple[SignedDecision, ...]
    picture: PictureRequest | None
    image_id: str
    tally: tuple[str, str | None] | None
    unknown_words: tuple[str, ...]
    behind: bool = False
    made_by: object = field(default=None, compare=False, repr=False)


class Evaluation(NamedTuple):
    """What the policy allows, before it is known what there is to show."""

    inputs: dict[str, str]
    table: Table
    outcome: Outcome

    def at_most(self, tiers: TierLimits) -> Evaluation:
        """Return it with no more than each of the tiers that were asked for."""
        return self._replace(outcome=reduce(self.table.at_most, tiers, self.outcome)) if tiers else self


@dataclass(frozen=True, slots=True)
class AnswerBuilder:
    """Builds answers for views. ``placeholder`` is the path that the placeholder is fetched by.

    No URL lives longer than ``max_life_s``, and none is given again once it is due to be signed anew.
    """

    signer: UrlSigner
    variant_key: bytes = field(repr=False)
    placeholder: str
    placeholder_cache_s: int
    max_life_s: int = DAY_S
    _kept: dict[str, tuple[str, int, int]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _keys: object = field(default_factory=object, init=False, repr=False, compare=False)

    def rename(self, variant_key: bytes, placeholder: str) -> None:
        """Choose variants, and name the placeholder, by another key from now on."""
        object.__setattr__(self, "variant_key", variant_key)
        object.__setattr__(self, "placeholder", placeholder)
        self.renew()

    def renew(self) -> None:
        """Answer everything anew, since a key has changed: nobody may see of whom an answer of before was kept."""
        object.__setattr__(self, "_keys", object())
        self._kept.clear()

    def answers(
        self,
        policy: DecisionPolicy,
        viewer: str,
        context: str,
        views: Sequence[ProfileView],
        relations: Sequence[str],
        limits: Sequence[TierLimits] | None = None,
        *,
        now: int,
    ) -> list[Answer]:
        """Return an answer for each view and what the viewer is to it, in order; ``now`` is in Unix seconds.

        ``limits`` has the tiers that are asked for at most of each, none of them for what the policy allows.
        """
        answers = []
        for view, relation, limit in zip(views, relations, limits or repeat((), len(views)), strict=True):
            kept_for, kept = view.answers
            if kept_for is not policy:
                kept = {}
                view.answers = policy, kept
            key = viewer, context, relation, limit
            answer = kept.get(key)
            if answer is None or answer.until <= now or answer.made_by is not self._keys:
                answer = kept[key] = self._answer(policy, key, view, now)
            answers.append(answer)
        return answers

    def answer_again(self, old: ProfileView, new: ProfileView, *, now: int) -> None:
        """Answer by ``new``, in advance, all that was answered by ``old`` and is still good.

        A profile that has changed is then decided in as little time as any other.
        """
        policy, kept = old.answers
        keys = [key for key, answer in kept.copy().items() if answer.until > now]
        with suppress(Unavailable):  # no key for the day: the next request is told so
            new.answers = policy, {key: self._answer(policy, key, new, now) for key in keys}

    def finish(
        self, answers: Sequence[Answer], allowed: Sequence[bool], viewer_id: str | None, *, now: int
    ) -> list[SignedDecision]:
        """Return the decisions, with limits applied and variants chosen.

        ``allowed`` says, for each answer that has a picture, whether it may be given.
        """
        decisions, allowances = [], iter(allowed)
        for answer in answers:
            variants = answer.decisions
            if answer.picture is not None and not next(allowances):
                decisions += self.placeholders([answer.picture.profile_id], now=now)
            elif len(variants) == 1 or viewer_id is None:
                decisions.append(variants[0])
            else:
                number = variant_for(self.variant_key, viewer_id, answer.image_id, len(variants))
                decisions.append(variants[number])
        return decisions

    def placeholders(self, profile_ids: Sequence[str], *, now: int) -> list[SignedDecision]:
        """Return the placeholder for each profile."""
        url, expires_at, _ = self._signed_placeholder(now)
        return [
            SignedDecision(profile_id, url, expires_at, PLACEHOLDER_BLURHASH, PLACEHOLDER_CAPTURE, shows_picture=False)
            for profile_id in profile_ids
        ]

    def _answer(self, policy: DecisionPolicy, key: AnswerKey, view: ProfileView, now: int) -> Answer:
        keys, until = self._keys, self._signed_placeholder(now)[2]
        if not view.known:
            decisions = tuple(self.placeholders([view.profile_id], now=now))
            return Answer(until, decisions, None, "", None, (), made_by=keys)
        inputs, table, outcome = evaluation = evaluate(policy, key[:3], view, now)
        tally, unknown_words = None, tuple[str, ...]()
        if outcome is DOUBT:
            unknown_words = tuple(table.unknown_words(inputs))
        else:
            active = outcome if table is policy.table else outcome_of(policy.table, inputs, view.effective_ceiling)
            tally = policy.tally(inputs, active, view.effective_ceiling)
        pictures = []
        for rendition in shown_renditions(policy, evaluation.at_most(key[3]), view):
            life_s = min(outcome.cache_s, self.max_life_s)
            url, expires_at = self.signer.url(rendition.path, now=now, life_s=life_s)
            blurhash = view.blurhash or PLACEHOLDER_BLURHASH
            decision = SignedDecision(view.profile_id, url, expires_at, blurhash, outcome.capture, shows_picture=True)
            pictures.append(decision)
            until = min(until, _renewed_at(rendition.path, now, life_s))
        if now <= view.band_expires_at:
            until = min(until, view.band_expires_at + 1)
        picture = PictureRequest(view.profile_id, outcome.per_hour) if pictures else None
        decisions = tuple(pictures or self.placeholders([view.profile_id], now=now))
        # Whatever this viewer is given: which pictures are rendered first must not follow from what ages are given.
        behind = view.image_id is not None and is_behind(view, table)
        return Answer(until, decisions, picture, view.image_id or "", tally, unknown_words, behind, keys)

    def _signed_placeholder(self, now: int) -> tuple[str, int, int]:
        """Return (URL, expiry, when it is due to change) of the placeholder: the same for everybody for a while."""
        kept, life_s = self._kept.get("placeholder"), min(self.placeholder_cache_s, self.max_life_s)
        if kept is None or not kept[2] - life_s // 2 <= now < kept[2]:
            url, expires_at = self.signer.url(self.placeholder, now=now, life_s=life_s)
            until = _renewed_at(self.placeholder, now, life_s)
            kept = self._kept["placeholder"] = url, expires_at, until
        return kept


def evaluate(policy: DecisionPolicy, key: tuple[str, str, str], view: ProfileView, now: int) -> Evaluation:
    """Return what the policy allows (viewer, context, relation) of a profile that is known."""
    viewer, context, relation = key
    lapsed = now > view.band_expires_at
    inputs = {
        "subject_age": UNKNOWN_BAND if lapsed else view.band,
        "assurance": UNASSURED if lapsed else view.assurance,
        "relation": relation,
        "region": view.region,
        "viewer": viewer,
        "context": context,
        "choice": view.choice,
        "report_flag": view.report_flag,
    }
    table = policy.table_for(view)
    # Nothing opens by the clock: a picture uploaded under another band keeps that band's ceiling until its owner says
    # otherwise.
    outcome = outcome_of(table, inputs, view.effective_ceiling)
    return Evaluation(inputs, table, outcome)


def shown_renditions(
    policy: DecisionPolicy, evaluation: Evaluation, view: ProfileView
) -> tuple[AvailableRendition, ...]:
    """Return the variants of the rendition that is shown; empty for the placeholder."""

    def earlier() -> Earlier | None:
        table = policy.earlier_for(view)
        if table is None:
            return None
        return table, outcome_of(table, evaluation.inputs, view.effective_ceiling).tier

    return choose_rendition(view, evaluation.table, evaluation.outcome.tier, earlier)


def outcome_of(table: Table, inputs: Mapping[str, str], effective_ceiling: str | None) -> Outcome:
    """Return what a table allows; the more protective of two where the picture keeps another band's ceiling.

    Both are looked up even where they are the same: how long it takes must not tell whose band has changed.
    """
    ceiling = {**inputs, "subject_age": inputs["subject_age"] if effective_ceiling is None else effective_ceiling}
    return more_protective(table.decide(inputs), table.decide(ceiling))


def _renewed_at(path: str, now: int, life_s: int) -> int:
    """Return when a path's URL is to be signed anew."""
    begin, length = bucket_of(path, now=now, life_s=life_s)
    return begin + length
