"""The delivery decision itself: one look-up and one signed URL for each profile, from views alone.

It knows no catalogue and no network, so the service and a platform's own process decide by the same code. What was
decided for a viewer's word, a context and a relation is kept with the view until its URL is due to change, so that most
answers are two look-ups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nightlight_core.decisions.placeholder import PLACEHOLDER_BLURHASH
from nightlight_core.decisions.profile_views import Offered, View
from nightlight_core.decisions.quotas import Wanted
from nightlight_core.decisions.url_signing import DAY_S, bucket_of
from nightlight_core.decisions.variants import variant_for
from nightlight_core.policy.table import DOUBT, Outcome, Table, more_protective, none_because

if TYPE_CHECKING:
    from nightlight_core.decisions.url_signing import Signs
    from nightlight_core.policy.tier import Tier

UNKNOWN_BAND = "unknown"
_UNKNOWN_PROFILE = none_because("unknown-profile")


class Rules(Protocol):
    """The policy that a batch is decided by; the same object as long as it means the same."""

    @property
    def table(self) -> Table:
        """The active table."""
        ...

    def table_for(self, view: View) -> Table:
        """Return the table that decides for a profile: a candidate's, for its share of profiles."""
        ...

    def counted(self, inputs: Mapping[str, str], outcome: Outcome, held_to: str | None) -> tuple[str, str | None]:
        """Return what a decision is counted as: its cell, and the kind of difference that a candidate would make."""
        ...


@dataclass(slots=True)
class Decision:
    """The answer for one item: a URL, when it stops working (Unix seconds), and a blur to paint until it is there.

    The blur is of the most protective tier, whichever is shown. ``given`` says whether it is a picture, and not the
    placeholder; viewers are not told. ``shaped`` is what it was made into for whoever asked, kept for the next who ask.
    """

    profile_id: str
    url: str
    expires_at: int
    blurhash: str
    given: bool
    shaped: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one profile is answered with, good until ``until`` (Unix seconds).

    ``decisions`` has one for each variant of the picture, or the placeholder alone; ``wanted`` is what a picture takes
    of quotas, None where there is none. ``doubtful`` names the inputs whose words the policy does not know.
    """

    until: int
    decisions: tuple[Decision, ...]
    wanted: Wanted | None
    image_id: str
    counted: tuple[str, str | None] | None
    doubtful: tuple[str, ...]


class Weighed(NamedTuple):
    """What the policy gives, before it is known what there is to show; ``tier`` is None where nothing may be."""

    inputs: dict[str, str]
    table: Table
    outcome: Outcome
    tier: Tier | None


@dataclass(frozen=True, slots=True)
class Decider:
    """Answers for views. ``placeholder`` is the path that the placeholder is fetched by.

    No URL lives longer than ``max_life_s``, and none is given again once it is due to be signed anew.
    """

    signer: Signs
    variant_key: bytes = field(repr=False)
    placeholder: str
    placeholder_cache_s: int
    max_life_s: int = DAY_S
    _kept: dict[str, tuple[str, int, int]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def answers(
        self, rules: Rules, viewer: str, context: str, views: Sequence[View], relations: Sequence[str], *, now: int
    ) -> list[Answer]:
        """Return an answer for each view and what the viewer is to it, in order; ``now`` is in Unix seconds."""
        found = []
        for view, relation in zip(views, relations, strict=True):
            by, known = view.answers
            if by is not rules:
                known = {}
                view.answers = rules, known
            key = viewer, context, relation
            answer = known.get(key)
            if answer is None or answer.until <= now:
                answer = known[key] = self._answer(rules, key, view, now)
            found.append(answer)
        return found

    def given(
        self, answers: Sequence[Answer], allowed: Sequence[bool], viewer_id: str | None, *, now: int
    ) -> list[Decision]:
        """Return the decisions; ``allowed`` says, for each answer that has a picture, whether it is given."""
        decisions, yes = [], iter(allowed)
        for answer in answers:
            variants = answer.decisions
            if answer.wanted is not None and not next(yes):
                decisions += self.nothing([answer.wanted.profile_id], now=now)
            elif len(variants) == 1 or viewer_id is None:
                decisions.append(variants[0])
            else:
                number = variant_for(self.variant_key, viewer_id, answer.image_id, len(variants))
                decisions.append(variants[number])
        return decisions

    def nothing(self, profile_ids: Sequence[str], *, now: int) -> list[Decision]:
        """Return the placeholder for each profile."""
        url, expires_at, _ = self._stand_in(now)
        return [Decision(one, url, expires_at, PLACEHOLDER_BLURHASH, given=False) for one in profile_ids]

    def _answer(self, rules: Rules, key: tuple[str, str, str], view: View, now: int) -> Answer:
        until = self._stand_in(now)[2]
        if not view.known:
            return Answer(until, tuple(self.nothing([view.profile_id], now=now)), None, "", None, ())
        inputs, table, outcome, tier = weigh(rules, key, view, now)
        counted, doubtful = None, tuple[str, ...]()
        if outcome is DOUBT:
            doubtful = tuple(table.unknown_words(inputs))
        else:
            active = outcome if table is rules.table else outcome_of(rules.table, inputs, view.held_to)
            counted = rules.counted(inputs, active, view.held_to)
        pictures = []
        for one in offered(view, outcome.tier, tier):
            life_s = min(outcome.cache_s, self.max_life_s)
            signed, ends_at = self.signer.url(one.path, now=now, life_s=life_s)
            blurhash = view.blurhash or PLACEHOLDER_BLURHASH
            pictures.append(Decision(view.profile_id, signed, ends_at, blurhash, given=True))
            until = min(until, _renewed_at(one.path, now, life_s))
        if now <= view.vouched_until:
            until = min(until, view.vouched_until + 1)
        wanted = Wanted(view.profile_id, outcome.per_hour) if pictures else None
        decisions = tuple(pictures or self.nothing([view.profile_id], now=now))
        return Answer(until, decisions, wanted, view.image_id or "", counted, doubtful)

    def _stand_in(self, now: int) -> tuple[str, int, int]:
        """Return (URL, expiry, when it is due to change) of the placeholder: the same for everybody for a while."""
        known, life_s = self._kept.get("placeholder"), min(self.placeholder_cache_s, self.max_life_s)
        if known is None or not known[2] - life_s // 2 <= now < known[2]:
            url, expires_at = self.signer.url(self.placeholder, now=now, life_s=life_s)
            until = _renewed_at(self.placeholder, now, life_s)
            known = self._kept["placeholder"] = url, expires_at, until
        return known


def weigh(rules: Rules, key: tuple[str, str, str], view: View, now: int) -> Weighed:
    """Return what the policy gives (viewer, context, relation) of a profile that is known."""
    viewer, context, relation = key
    inputs = {
        "subject_age": UNKNOWN_BAND if now > view.vouched_until else view.band,
        "relation": relation,
        "region": view.region,
        "viewer": viewer,
        "context": context,
        "choice": view.choice,
        "hold": view.hold,
    }
    table = rules.table_for(view)
    # Nothing opens by the clock: a picture uploaded under another band keeps that band's ceiling until its owner says
    # otherwise.
    outcome = outcome_of(table, inputs, view.held_to)
    return Weighed(inputs, table, outcome, table.tiers.get(outcome.tier))


def offered(view: View, name: str, tier: Tier | None) -> tuple[Offered, ...]:
    """Return the variants of a tier that may be shown: none of those that an earlier recipe made larger or finer."""
    found = view.offered.get(name, ())
    if tier is None or any(one.edge > tier.edge or _finer(one.face_px, tier.face_px) for one in found):
        return ()
    return found


def outcome_of(table: Table, inputs: Mapping[str, str], held_to: str | None) -> Outcome:
    """Return what a table gives; the more protective of two where the picture is held to another band.

    Both are looked up even where they are the same: how long it takes must not tell whose band has changed.
    """
    held = {**inputs, "subject_age": inputs["subject_age"] if held_to is None else held_to}
    return more_protective(table.decide(inputs), table.decide(held))


def _finer(made: int | None, allowed: int | None) -> bool:
    """Say whether a rendition made under one face budget shows more than another allows; None is no limit."""
    return allowed is not None and (made is None or made > allowed)


def _renewed_at(path: str, now: int, life_s: int) -> int:
    """Return when a path's URL is to be signed anew."""
    begin, length = bucket_of(path, now=now, life_s=life_s)
    return begin + length
