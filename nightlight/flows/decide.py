"""A decision: one catalogue read for the batch, one look-up and one signature for each profile.

Whatever is unknown, blocked, deleted, not ready, late or broken gives the placeholder, in the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from nightlight import logs, metrics
from nightlight.delivery.names import EXTENSIONS, Names, object_key
from nightlight.delivery.placeholder import EXTENSION, PLACEHOLDER_BLURHASH
from nightlight.delivery.quotas import Asker, Wanted
from nightlight.errors import CatalogueUnavailable, InvalidInput
from nightlight.flows.count import DecisionCounter, openness
from nightlight.flows.declare import band_now
from nightlight.flows.guard import Guard
from nightlight.flows.relate import Claim, Relate, Settled
from nightlight.ids import ImageId, ProfileId, is_profile_id
from nightlight.policy.table import DOUBT, Outcome, Table, more_protective, none_because

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.catalogue.images import ShownRendition
    from nightlight.catalogue.profiles import Shown
    from nightlight.clock import Clock
    from nightlight.delivery.tokens import Signs
    from nightlight.flows.policy_in_use import InUse, PolicyInUse
    from nightlight.policy.documents import Tier

MAX_ITEMS = 500


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one item: a URL, when it stops working (Unix seconds), and a blur to paint until it is there.

    The blur is of the most protective tier, whichever is shown. ``given`` says whether it is a picture, and not the
    placeholder; viewers are not told.
    """

    profile_id: str
    url: str
    expires_at: int
    blurhash: str
    given: bool


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


@dataclass(frozen=True, slots=True)
class _Answer:
    inputs: Mapping[str, str]
    outcome: Outcome
    path: str | None
    shows: str
    blurhash: str = PLACEHOLDER_BLURHASH
    because: str = ""


@dataclass(frozen=True, slots=True)
class _Asked:
    viewer: str
    context: str
    viewer_id: str | None
    now: datetime
    count: bool
    at_least: int | None = None


class _Decided(NamedTuple):
    """What the policy gives, before it is known what there is to show; ``tier`` is None where nothing may be."""

    inputs: Mapping[str, str]
    outcome: Outcome
    tier: Tier | None
    shown: Shown | None
    because: str


# What there is to show, by image and tier.
_Renditions = Mapping[tuple[ImageId, str], Sequence["ShownRendition"]]


@dataclass(frozen=True, slots=True)
class Decide:
    """Answers which rendition a viewer gets of each profile."""

    catalogue: Catalogue
    policy: PolicyInUse
    counter: DecisionCounter
    names: Names
    signer: Signs
    relate: Relate
    guard: Guard
    assertion_days: int
    placeholder_cache_s: int
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
        now = self.clock()
        moment = int(now.timestamp())
        placeholder, expires_at = self.signer.url(
            f"/{object_key(self.names.placeholder(), EXTENSION)}", now=moment, life_s=self.placeholder_cache_s
        )
        decisions = []
        answers = self._answers(_Asked(viewer, context, asker.viewer_id, now, count=True, at_least=at_least), items)
        allowed = iter(self._allowed(asker, items, answers))
        for item, answer in zip(items, answers, strict=True):
            if answer.path is None or not next(allowed):
                decisions.append(Decision(item.profile_id, placeholder, expires_at, PLACEHOLDER_BLURHASH, given=False))
            else:
                url, expires = self.signer.url(answer.path, now=moment, life_s=answer.outcome.cache_s)
                decisions.append(Decision(item.profile_id, url, expires, answer.blurhash, given=True))
        metrics.DECISIONS.inc(len(decisions))
        return decisions

    def _allowed(self, asker: Asker, items: Sequence[Claim], answers: Sequence[_Answer]) -> list[bool]:
        """Say for each answer that has a picture whether it is given."""
        wanted = [
            Wanted(item.profile_id, answer.outcome.per_hour)
            for item, answer in zip(items, answers, strict=True)
            if answer.path is not None
        ]
        return self.guard.allowed(asker, [item.profile_id for item in items], wanted) if items else []

    def explain(
        self, viewer: str, context: str, items: Sequence[Claim], *, viewer_id: str | None = None
    ) -> list[Explanation]:
        """Return why each item is answered as it is; raises like ``decide``."""
        explanations = []
        view = self.policy.current()
        answers = self._answers(_Asked(viewer, context, viewer_id, self.clock(), count=False), items)
        for item, answer in zip(items, answers, strict=True):
            outcome = answer.outcome
            table = self.policy.table_for(view, item.profile_id)
            tier = table.tiers.get(outcome.tier)
            explanations.append(
                Explanation(
                    profile_id=item.profile_id,
                    inputs=answer.inputs,
                    tier=outcome.tier,
                    cache_s=outcome.cache_s,
                    per_hour=outcome.per_hour,
                    rule=outcome.rule,
                    shows=answer.shows,
                    edge=tier.edge if tier else 0,
                    unknown_words=tuple(table.unknown_words(answer.inputs)) if answer.inputs else (),
                    claimed=item.relation,
                    relation_because=answer.because,
                )
            )
        return explanations

    def _answers(self, asked: _Asked, items: Sequence[Claim]) -> list[_Answer]:
        view = self.policy.current()
        _known(view.table, "viewer", asked.viewer)
        _known(view.table, "context", asked.context)
        if len(items) > MAX_ITEMS:
            message = f"at most {MAX_ITEMS} items"
            raise InvalidInput(message, pointer="/items")
        try:
            profile_ids = [ProfileId(item.profile_id) for item in items if is_profile_id(item.profile_id)]
            with self.catalogue.reading() as tx:
                if asked.at_least is not None and not tx.audit.has(asked.at_least):
                    logs.get("decide").error("decisions.catalogue_behind", count=len(items))
                    return [_Answer({}, none_because("catalogue-behind"), None, "placeholder") for _ in items]
                shown = tx.profiles.shown(profile_ids)
                blocked = tx.blocks.of_viewer(asked.viewer_id, profile_ids) if asked.viewer_id else set()
            settled = self.relate.settle(asked.viewer_id, items, blocked, now=int(asked.now.timestamp()))
            decided = [
                self._decided(view, asked, said, shown.get(ProfileId(item.profile_id)))
                for item, said in zip(items, settled, strict=True)
            ]
            renditions = self._renditions(decided)
        except CatalogueUnavailable as error:
            logs.get("decide").error("decisions.catalogue_unavailable", count=len(items), detail=str(error))
            return [_Answer({}, none_because("catalogue-unavailable"), None, "placeholder") for _ in items]
        return [self._answer(asked, one, renditions) for one in decided]

    def _decided(self, view: InUse, asked: _Asked, settled: Settled, shown: Shown | None) -> _Decided:
        """Return what the policy gives one viewer of one profile, whatever there is to show."""
        if shown is None:
            return _Decided({}, none_because("unknown-profile"), None, None, settled.because)
        profile = shown.profile
        inputs = {
            "subject_age": band_now(profile, asked.now, assertion_days=self.assertion_days),
            "relation": settled.relation,
            "region": profile.region,
            "viewer": asked.viewer,
            "context": asked.context,
            "choice": profile.choice,
            "hold": profile.hold,
        }
        table = self.policy.table_for(view, profile.profile_id)
        # Nothing opens by the clock: a picture uploaded under another band keeps that band's ceiling until
        # its owner says otherwise.
        held_to = shown.image_band if not shown.released else None
        outcome = _outcome(table, inputs, held_to)
        if outcome is DOUBT:
            metrics.UNKNOWN_WORDS.inc()
            logs.get("decide").warning("decisions.unknown_word", words=table.unknown_words(inputs))
        elif asked.count:
            active = outcome if table is view.table else _outcome(view.table, inputs, held_to)
            self._count(view, inputs, active, held_to)
        return _Decided(inputs, outcome, table.tiers.get(outcome.tier), shown, settled.because)

    def _renditions(self, decided: Sequence[_Decided]) -> _Renditions:
        """Return what there is of the tiers that were decided, in one query."""
        wanted = [
            (one.shown.image_id, one.outcome.tier)
            for one in decided
            if one.tier is not None and one.shown is not None and one.shown.image_id is not None
        ]
        if not wanted:
            return {}
        with self.catalogue.reading() as tx:
            return tx.images.shown([image_id for image_id, _ in wanted], {tier for _, tier in wanted})

    def _answer(self, asked: _Asked, decided: _Decided, renditions: _Renditions) -> _Answer:
        inputs, outcome, tier, shown, because = decided
        rendition = self._variant(shown, outcome.tier, renditions, asked.viewer_id) if shown is not None else None
        # A rendition made under an earlier recipe of the tier may show more than the policy allows today.
        if (
            rendition is None
            or shown is None
            or tier is None
            or rendition.edge > tier.edge
            or _finer(rendition.face_px, tier.face_px)
        ):
            return _Answer(inputs, outcome, None, "placeholder", because=because)
        path = f"/{object_key(rendition.name, EXTENSIONS[rendition.format])}"
        return _Answer(inputs, outcome, path, "rendition", shown.blurhash or PLACEHOLDER_BLURHASH, because=because)

    def _variant(
        self, shown: Shown, tier: str, renditions: _Renditions, viewer_id: str | None
    ) -> ShownRendition | None:
        """Return the rendition of a tier that a viewer gets; None where there is none."""
        if shown.image_id is None:
            return None
        generation = shown.profile.generation
        # What is still named in an earlier generation is being named anew.
        variants = [one for one in renditions.get((shown.image_id, tier), ()) if one.generation == generation]
        if not variants:
            return None
        return variants[self.names.variant(viewer_id, shown.image_id, len(variants))]

    def _count(self, view: InUse, inputs: Mapping[str, str], active: Outcome, held_to: str | None) -> None:
        candidate = None
        if view.candidate is not None and view.candidate_version is not None:
            other = view.candidate.table
            candidate = view.candidate_version, openness(other, _outcome(other, inputs, held_to))
        # In the vocabulary's own order, which is how counts are read back.
        cell = {name: inputs[name] for name in view.table.attributes}
        self.counter.count(cell, openness(view.table, active), candidate)


def _outcome(table: Table, inputs: Mapping[str, str], held_to: str | None) -> Outcome:
    """Return what a table gives; the more protective of two where the picture is held to another band.

    Both are looked up even where they are the same: how long it takes must not tell whose band has changed.
    """
    held = {**inputs, "subject_age": inputs["subject_age"] if held_to is None else held_to}
    return more_protective(table.decide(inputs), table.decide(held))


def _known(table: Table, attribute: str, word: str) -> None:
    known = table.attributes.get(attribute, ())
    if word not in known:
        message = f"{attribute} must be one of {', '.join(known)}"
        raise InvalidInput(message, pointer=f"/{attribute}")


def _finer(made: int | None, allowed: int | None) -> bool:
    """Say whether a rendition made under one face budget shows more than another allows; None is no limit."""
    return allowed is not None and (made is None or made > allowed)
