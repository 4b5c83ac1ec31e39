"""Policy documents as strict models: unknown keys and wrong types are refused. Those of regimes: regime_models."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from nightlight_core.policy import tier as recipe
from nightlight_core.policy.table import FORBID

# A number is written as one in decimal; text that looks like a number ("0454", "86_400") is not.
Number = Annotated[int, Field(strict=True)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
# A word where it is used: any text will do here, because what is not in the vocabulary is refused with a hint.
Used = Annotated[str, Field(min_length=1, max_length=64)]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
Sentence = Annotated[str, Field(min_length=1, max_length=300)]


def _listed(value: object) -> object:
    """Take a single word for a list of one."""
    return [value] if isinstance(value, str) else value


def _decimal(value: object) -> object:
    """Take a plain decimal, which the strict reading of YAML leaves as text, for a number."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"0\.[0-9]{1,4}", value) else value


def _on_the_calendar(text: str) -> str:
    """Refuse a day or a month that does not exist."""
    try:
        date.fromisoformat(text if len(text) > len("2027-05") else f"{text}-01")
    except ValueError:
        raise PydanticCustomError("calendar_date", "no such date") from None
    return text


def _within(name: str) -> Any:
    """Return the bounds of a whole number of a tier."""
    least, most = recipe.RANGES[name]
    return Field(ge=least, le=most)


# A share of one, written with a point: 0.05.
Share = Annotated[float, BeforeValidator(_decimal), Field(strict=True, gt=0, le=1)]
Words = Annotated[tuple[Used, ...], BeforeValidator(_listed), Field(min_length=1, max_length=64)]
Condition = Annotated[dict[Used, Words], Field(max_length=16)]
# A day, or a month where the day is not known.
IsoDate = Annotated[str, Field(pattern=r"^20[0-9]{2}-[0-9]{2}(-[0-9]{2})?$"), AfterValidator(_on_the_calendar)]
IsoDay = Annotated[str, Field(pattern=r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_on_the_calendar)]


class Document(BaseModel):
    """What all documents share."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class HeadedDocument(Document):
    """What the document of a whole file begins with."""

    format: Literal["policy/1"]


class Outcomes(Document):
    """The values that an outcome may take, the most protective first."""

    tier: tuple[Word, ...] = Field(min_length=2, max_length=16)
    cache_s: tuple[Number, ...] = Field(min_length=2, max_length=16)
    per_hour: tuple[Number, ...] = Field(min_length=2, max_length=16)
    # Both words, or left out: then no rule speaks of it and every outcome forbids.
    capture: tuple[Word, ...] = Field(default=(FORBID,), min_length=2, max_length=2)

    @property
    def limited(self) -> tuple[str, ...]:
        """Return the fields that rules limit."""
        return tuple(name for name in type(self).model_fields if len(getattr(self, name)) > 1)


class Vocabulary(HeadedDocument):
    """``vocabulary.yaml``: the only words that the other files may use."""

    attributes: dict[Word, tuple[Word, ...]] = Field(min_length=1, max_length=12)
    groups: dict[Word, dict[Word, tuple[Word, ...]]] = Field(default_factory=dict)
    outcomes: Outcomes
    impossible: tuple[Condition, ...] = ()
    retention_attributes: dict[Word, tuple[Word, ...]] = Field(default_factory=dict)
    # Only where it is no attribute: packs of before say here which words declarations may use.
    assurance: tuple[Word, ...] = Field(default=(), max_length=16)
    # Words that the pack had before and profiles may still have: each stands for the most protective of the new ones.
    replaced: dict[Word, Annotated[dict[Word, tuple[Word, ...]], Field(max_length=64)]] = Field(
        default_factory=dict, max_length=12
    )

    @property
    def assurances(self) -> tuple[str, ...]:
        """Return how a platform may have come to an age band."""
        return self.attributes.get("assurance", self.assurance)


class Tier(Document):
    """The recipe of one kind of rendition: everything about its pixels."""

    edge: Annotated[Number, _within("edge")]
    crop: recipe.Crop = "face"
    format: recipe.Format = "webp"
    quality: Annotated[Number, _within("quality")] = 80
    effort: Annotated[Number, _within("effort")] = 2
    max_bytes: Annotated[Number, _within("max_bytes")] | None = None
    face_px: Annotated[Number, _within("face_px")] | None = None
    no_face_px: Annotated[Number, _within("no_face_px")] | None = None
    reidentification_at_most: Share | None = None
    fitted_reidentification_at_most: Share | None = None
    visible_watermark: recipe.VisibleWatermarkStrength = "none"
    visible_pattern: recipe.VisibleWatermarkPattern = "tiles"
    invisible_watermark: recipe.InvisibleWatermarkDemand = "none"
    psnr_at_least: Annotated[Number, _within("psnr_at_least")] = 40
    variants: Annotated[Number, _within("variants")] = 1
    provenance: recipe.ProvenanceForm = "none"


class TiersDocument(HeadedDocument):
    """``tiers.yaml``: one recipe for each tier but ``none``, which is the placeholder."""

    tiers: dict[Word, Tier] = Field(min_length=1, max_length=16)

    def recipes(self) -> dict[str, recipe.TierRecipe]:
        """Return the recipes as plain values, as tables hold them and bundles carry them."""
        return {name: recipe.TierRecipe(**tier.model_dump()) for name, tier in self.tiers.items()}


# A value of an outcome where it is used: what is not in the vocabulary's list is refused with the list.
Value = bool | int | float | str


class Ceiling(Document):
    """The most that a rule allows; a field left out is not limited by the rule."""

    tier: Value | None = None
    cache_s: Value | None = None
    per_hour: Value | None = None
    capture: Value | None = None


class PolicyRule(Document):
    """A ceiling over a region of the space. Every rule that matches applies; none can open anything.

    It holds from the day in ``from`` to the day in ``until``, both included; days begin at midnight, UTC.
    """

    id: Identifier
    why: Sentence
    begins: IsoDay | None = Field(default=None, alias="from")
    until: IsoDay | None = None
    when: Condition = Field(default_factory=dict)
    unless: Condition = Field(default_factory=dict)
    at_most: Ceiling

    @property
    def dated(self) -> bool:
        """Say whether there are days on which the rule does not hold."""
        return self.begins is not None or self.until is not None


class RulesDocument(HeadedDocument):
    """``rules.yaml``: who may see what."""

    pack: Identifier
    version: str = Field(max_length=64)
    rules: tuple[PolicyRule, ...] = Field(min_length=1, max_length=500)


class RetentionRule(Document):
    """How long a thing in some state is kept; the smallest matching number wins."""

    id: Identifier
    why: Sentence
    when: Condition = Field(default_factory=dict)
    keep_days: Annotated[Number, Field(ge=1, le=36_500)]


class RetentionDocument(HeadedDocument):
    """``retention.yaml``: how long each thing is kept."""

    retention: tuple[RetentionRule, ...] = Field(min_length=1, max_length=200)


class Identified(Document):
    """What has an id of its own."""

    id: Identifier


class AlwaysLimits(Document):
    """A ceiling over a whole region; ``recipe`` limits fields of tiers, such as ``{face_px: at_most 5}``."""

    where: Condition = Field(default_factory=dict)
    unless: Condition = Field(default_factory=dict)
    tier_at_most: Value | None = None
    cache_s_at_most: Value | None = None
    per_hour_at_most: Value | None = None
    capture_at_most: Value | None = None
    recipe: Annotated[dict[Used, Used], Field(max_length=16)] = Field(default_factory=dict)

    @property
    def caps(self) -> dict[str, Value]:
        """Return the caps that are given, by field."""
        given = {field: getattr(self, f"{field}_at_most") for field in Outcomes.model_fields}
        return {field: value for field, value in given.items() if value is not None}


class CompareOrder(Document):
    """An order along one attribute: a word on the left never sees more than a word on its right."""

    along: Used
    never_more_open: tuple[Used, ...] = Field(min_length=2, max_length=64)
    where: Condition = Field(default_factory=dict)
    unless: Condition = Field(default_factory=dict)


class SameAlong(Document):
    """An attribute along which the outcome must not change."""

    along: Used
    where: Condition = Field(default_factory=dict)
    unless: Condition = Field(default_factory=dict)


class AlwaysCheck(AlwaysLimits, Identified):
    """A ceiling that must hold over a whole region, for outcomes or for the recipe of the tier that is shown.

    ``recipe`` limits fields of tiers: ``{visible_watermark: at_least faint, face_px: at_most 5}``.
    """


class CompareCheck(CompareOrder, Identified):
    """Along one attribute, a word on the left never sees more than a word on its right."""


class SameCheck(SameAlong, Identified):
    """The outcome must not change along an attribute: nobody can read the attribute off it."""


class ChecksDocument(HeadedDocument):
    """``checks.yaml``: what must always hold."""

    always: tuple[AlwaysCheck, ...] = ()
    compare: tuple[CompareCheck, ...] = ()
    same: tuple[SameCheck, ...] = ()


class Expectation(Document):
    """What a case expects; only the fields that are given are compared."""

    tier: Value | None = None
    cache_s: Value | None = None
    per_hour: Value | None = None
    capture: Value | None = None
    because: Identifier | None = None


class Case(Document):
    """One example: every attribute given (a list means one case for each word), and the answer expected.

    It is expected on the day ``on``, or on every day.
    """

    name: Sentence
    on: IsoDay | None = None
    given: Annotated[dict[Used, Words], Field(max_length=16)]
    expect: Expectation


class CasesDocument(HeadedDocument):
    """``cases/*.yaml``: examples with the expected answer."""

    cases: tuple[Case, ...] = Field(min_length=1, max_length=1000)
