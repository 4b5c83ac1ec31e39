"""Checks that every word in the documents is one that the vocabulary knows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from nightlight.policy.cases import MAX_EXPANDED
from nightlight.policy.dates import switch_days
from nightlight.policy.diagnostics import Diagnostics, did_you_mean
from nightlight.policy.models import (
    AlwaysCheck,
    AlwaysLimits,
    CasesDocument,
    ChecksDocument,
    CompareCheck,
    CompareOrder,
    RetentionDocument,
    RulesDocument,
    SameAlong,
    SameCheck,
    Tier,
    TiersDocument,
    Value,
    Vocabulary,
)
from nightlight.policy.recipe_limits import problems
from nightlight_core.decisions.inputs import INPUTS, UNASSURED
from nightlight_core.policy import protection
from nightlight_core.policy.dates import MOST_DATES
from nightlight_core.policy.table import CAPTURE, FORBID, NONE_TIER

if TYPE_CHECKING:
    from nightlight.policy.yaml_source import Path_, YamlSource

# Pixels a side under which a rendition can carry no invisible watermark (nightlight.watermark.embed.LEAST_SIDE).
LEAST_WATERMARKED_EDGE = 64
# An embedded manifest takes so many bytes (docs/provenance.md, "What it costs"); no picture is smaller than the least
# byte budget that a tier may have.
MANIFEST_BYTES = {"webp": 2400, "jpeg": 2400, "avif": 4600}
LEAST_PICTURE_BYTES = 500
_NAME_CAPTURE = f"add `capture: [{', '.join(CAPTURE)}]` to its outcomes, or take this out"


class VocabularyValidator:
    """Checks that every word used is one that the vocabulary knows."""

    def __init__(self, vocabulary: Vocabulary, problems: Diagnostics) -> None:
        """Check against ``vocabulary`` and note what is wrong in ``problems``."""
        self._vocabulary = vocabulary
        self._problems = problems

    def check_vocabulary(self, source: YamlSource) -> None:
        """Check that groups and impossible combinations use known words, and that outcomes are in order."""
        vocabulary = self._vocabulary
        for attribute, words in vocabulary.attributes.items():
            if len(set(words)) != len(words) or not words:
                place = source.position(("attributes", attribute))
                self._problems.add(
                    place, "duplicate-word", f"{attribute}: every word must stand once, and one at least"
                )
        for attribute, groups in vocabulary.groups.items():
            known = vocabulary.attributes.get(attribute)
            if known is None:
                place = source.position(("groups", attribute))
                hint = did_you_mean(attribute, vocabulary.attributes)
                self._problems.add(place, "unknown-attribute", f"'{attribute}' is not an attribute{hint}")
                continue
            for group, words in groups.items():
                path: Path_ = ("groups", attribute, group)
                if group in known:
                    message = f"group '{group}' has the name of a word"
                    self._problems.add(source.position(path), "duplicate-word", message)
                for index, word in enumerate(words):
                    self._word(source, (*path, index), word, known, attribute)
        for index, condition in enumerate(vocabulary.impossible):
            self.check_condition(source, ("impossible", index), condition)
        self._replaced(source)
        self._inputs(source)
        self._outcomes(source)

    def _replaced(self, source: YamlSource) -> None:
        """Check that words of before are words no more, and that those in their place are."""
        for attribute, by_word in self._vocabulary.replaced.items():
            known = self._vocabulary.attributes.get(attribute)
            place = source.position(("replaced", attribute))
            if known is None:
                hint = did_you_mean(attribute, self._vocabulary.attributes)
                self._problems.add(place, "unknown-attribute", f"'{attribute}' is not an attribute{hint}")
                continue
            for word, words in by_word.items():
                if word in known:
                    message = f"'{word}' is still a word of {attribute}; what is replaced is none any more"
                    self._problems.add(source.position(("replaced", attribute, word)), "duplicate-word", message)
                if not words:
                    message = f"say which words of {attribute} are in the place of '{word}'"
                    self._problems.add(source.position(("replaced", attribute, word)), "wrong-value", message)
                for index, new in enumerate(words):
                    self._word(source, ("replaced", attribute, word, index), new, known, attribute)

    def _inputs(self, source: YamlSource) -> None:
        """Check that decisions supply every attribute, and that the words which they begin with are there."""
        vocabulary = self._vocabulary
        for attribute in vocabulary.attributes:
            if attribute not in INPUTS:
                message = f"decisions do not supply '{attribute}'{did_you_mean(attribute, INPUTS)}"
                self._problems.add(source.position(("attributes", attribute)), "attribute-not-supplied", message)
        for attribute, word in INPUTS.items():
            if word is not None and word not in vocabulary.attributes.get(attribute, (word,)):
                message = f"{attribute} lacks '{word}', which decisions begin with"
                self._problems.add(source.position(("attributes", attribute)), "word-missing", message)
        assured = "assurance" in vocabulary.attributes
        place = source.position(("attributes", "assurance") if assured else ("assurance",))
        if assured and vocabulary.assurance:
            message = "assurance is an attribute: its words stand there alone"
            self._problems.add(source.position(("assurance",)), "duplicate-word", message)
        if next(iter(vocabulary.assurances), None) != UNASSURED:
            message = f"the first word of assurance must be '{UNASSURED}': under it an age counts as unknown"
            self._problems.add(place, "word-missing", message)
        if len(set(vocabulary.assurance)) != len(vocabulary.assurance):
            self._problems.add(place, "duplicate-word", "assurance: every word must stand once")

    def _outcomes(self, source: YamlSource) -> None:
        outcomes = self._vocabulary.outcomes
        if outcomes.tier[0] != NONE_TIER:
            self._problems.add(source.position(("outcomes", "tier")), "outcome-order", "the first tier must be 'none'")
        for field in ("tier", "cache_s", "per_hour"):
            values = getattr(outcomes, field)
            if len(set(values)) != len(values):
                place = source.position(("outcomes", field))
                self._problems.add(place, "duplicate-word", f"{field}: every value must stand once")
        for field in ("cache_s", "per_hour"):
            values = getattr(outcomes, field)
            if values[0] != 0 or list(values) != sorted(values):
                place = source.position(("outcomes", field))
                self._problems.add(
                    place, "outcome-order", f"{field} must begin with 0 and rise: the first protects most"
                )
        if "capture" in outcomes.limited and outcomes.capture != CAPTURE:
            message = f"capture must be [{', '.join(CAPTURE)}]: the first protects most"
            self._problems.add(source.position(("outcomes", "capture")), "outcome-order", message)

    def check_tiers(self, source: YamlSource, tiers: TiersDocument) -> None:
        """Check that every tier but none has a recipe, and that a more open tier shows no less."""
        wanted = [tier for tier in self._vocabulary.outcomes.tier if tier != NONE_TIER]
        for tier in tiers.tiers:
            if tier not in wanted:
                place = source.position(("tiers", tier))
                self._problems.add(place, "unknown-word", f"'{tier}' is not a tier{did_you_mean(tier, wanted)}")
        before: Tier | None = None
        for tier in wanted:
            recipe = tiers.tiers.get(tier)
            if recipe is None:
                self._problems.add(source.position(("tiers",)), "tier-missing", f"tier '{tier}' has no recipe")
                continue
            for field in protection.weaker(recipe, before, protection.ORDERING) if before is not None else ():
                place = source.position(("tiers", tier, field))
                message = f"tier '{tier}' opens more than the one before it but has a smaller {field}"
                self._problems.add(place, "outcome-order", message)
            if recipe.reidentification_at_most is not None and recipe.face_px is None:
                place = source.position(("tiers", tier, "reidentification_at_most"))
                message = f"tier '{tier}' claims a rate of re-identification without a face budget (face_px)"
                self._problems.add(place, "claim-without-budget", message)
            self._check_invisible_watermark(source, tier, recipe)
            self._check_provenance(source, tier, recipe)
            before = recipe

    def _check_invisible_watermark(self, source: YamlSource, tier: str, recipe: Tier) -> None:
        if recipe.invisible_watermark == "none" and recipe.variants > 1:
            place = source.position(("tiers", tier, "variants"))
            message = f"tier '{tier}' has variants, which differ in the invisible watermark alone, and has none"
            self._problems.add(place, "variants-without-mark", message)
        if recipe.invisible_watermark == "required" and recipe.edge < LEAST_WATERMARKED_EDGE:
            place = source.position(("tiers", tier, "invisible_watermark"))
            message = (
                f"tier '{tier}' requires an invisible watermark, and so an edge of {LEAST_WATERMARKED_EDGE} pixels"
            )
            self._problems.add(place, "mark-without-room", message)

    def _check_provenance(self, source: YamlSource, tier: str, recipe: Tier) -> None:
        least = MANIFEST_BYTES[recipe.format] + LEAST_PICTURE_BYTES
        if recipe.provenance == "embedded" and recipe.max_bytes is not None and recipe.max_bytes < least:
            place = source.position(("tiers", tier, "max_bytes"))
            message = (
                f"tier '{tier}' has its manifest within, which takes {MANIFEST_BYTES[recipe.format]} bytes of its "
                f"{recipe.max_bytes}: at least {least}, or `provenance: sidecar`"
            )
            self._problems.add(place, "manifest-without-room", message)

    def check_rules(self, source: YamlSource, rules: RulesDocument) -> None:
        """Check ids, dates, conditions and ceilings of the rules."""
        self._ids(source, "rules", [rule.id for rule in rules.rules])
        days = switch_days(rules.rules)
        if len(days) > MOST_DATES:
            message = f"the rules begin and end on {len(days)} different days; at most {MOST_DATES} can be proved"
            self._problems.add(source.position(("rules",)), "too-many-dates", message)
        for index, rule in enumerate(rules.rules):
            path: Path_ = ("rules", index)
            if rule.begins and rule.until and rule.begins > rule.until:
                message = f"rule '{rule.id}' ends ({rule.until}) before it begins ({rule.begins})"
                self._problems.add(source.position((*path, "until")), "date-order", message)
            self.check_condition(source, (*path, "when"), rule.when)
            self.check_condition(source, (*path, "unless"), rule.unless)
            ceiling = rule.at_most.model_dump(exclude_none=True)
            if not ceiling:
                message = f"rule '{rule.id}' limits nothing; give at_most a tier, cache_s, per_hour or capture"
                self._problems.add(source.position((*path, "at_most")), "empty-ceiling", message)
            for field, value in ceiling.items():
                if field not in self._vocabulary.outcomes.limited:
                    message = f"the vocabulary does not name {field}, so it is {FORBID} for everybody; {_NAME_CAPTURE}"
                    self._problems.add(source.position((*path, "at_most", field)), "unknown-word", message)
                    continue
                self._outcome(source, (*path, "at_most", field), field, value)

    def check_retention(self, source: YamlSource, retention: RetentionDocument) -> None:
        """Check ids and conditions of the retention rules."""
        self._ids(source, "retention", [rule.id for rule in retention.retention])
        known = {**self._vocabulary.attributes, **self._vocabulary.retention_attributes}
        for index, rule in enumerate(retention.retention):
            self.check_condition(source, ("retention", index, "when"), rule.when, known)

    def check_checks(self, source: YamlSource, checks: ChecksDocument) -> None:
        """Check ids, conditions and words of the checks."""
        kinds: dict[str, tuple[AlwaysCheck | CompareCheck | SameCheck, ...]] = {
            "always": checks.always,
            "compare": checks.compare,
            "same": checks.same,
        }
        names = [check.id for group in kinds.values() for check in group]
        for kind, group in kinds.items():
            for index, check in enumerate(group):
                if names.count(check.id) > 1:
                    place = source.position((kind, index, "id"))
                    self._problems.add(place, "duplicate-id", f"'{check.id}' is the id of two checks")
                self.check_check(source, (kind, index), f"check '{check.id}'", check)

    def check_check(
        self, source: YamlSource, path: Path_, name: str, check: AlwaysLimits | CompareOrder | SameAlong
    ) -> None:
        """Check the conditions and words of one check, which stands at ``path`` and is told as ``name``."""
        self.check_condition(source, (*path, "where"), check.where)
        self.check_condition(source, (*path, "unless"), check.unless)
        if isinstance(check, AlwaysLimits):
            self._check_always(source, path, name, check)
            return
        known = self._vocabulary.attributes.get(check.along)
        if known is None:
            hint = did_you_mean(check.along, self._vocabulary.attributes)
            place = source.position((*path, "along"))
            self._problems.add(place, "unknown-attribute", f"'{check.along}' is not an attribute{hint}")
        if isinstance(check, CompareOrder):
            for position, word in enumerate(check.never_more_open):
                self._word(source, (*path, "never_more_open", position), word, known or (), check.along)

    def _check_always(self, source: YamlSource, path: Path_, name: str, always: AlwaysLimits) -> None:
        if not always.caps and not always.recipe:
            given = "tier_at_most, cache_s_at_most, per_hour_at_most, capture_at_most or recipe"
            self._problems.add(source.position(path), "empty-ceiling", f"{name} limits nothing; give {given}")
        for field, message in problems(always.recipe):
            self._problems.add(source.position((*path, "recipe", field)), "wrong-value", message)
        for field, value in always.caps.items():
            self._outcome(source, (*path, f"{field}_at_most"), field, value)

    def check_cases(self, source: YamlSource, cases: CasesDocument) -> None:
        """Check that every case gives every attribute, and expects values that exist."""
        for index, case in enumerate(cases.cases):
            path: Path_ = ("cases", index)
            self.check_condition(source, (*path, "given"), case.given, groups=False)
            count = math.prod(len(words) for words in case.given.values())
            if count > MAX_EXPANDED:
                place = source.position((*path, "given"))
                message = f"case '{case.name}' stands for {count:,} combinations; at most {MAX_EXPANDED:,}"
                self._problems.add(place, "case-too-large", message)
            missing = [name for name in self._vocabulary.attributes if name not in case.given]
            if missing:
                place = source.position((*path, "given"))
                self._problems.add(place, "case-incomplete", f"case '{case.name}' does not give {', '.join(missing)}")
            for field, value in case.expect.model_dump(exclude_none=True, exclude={"because"}).items():
                self._outcome(source, (*path, "expect", field), field, value)

    def _ids(self, source: YamlSource, key: str, ids: list[str]) -> None:
        seen: set[str] = set()
        for index, name in enumerate(ids):
            if name in seen:
                place = source.position((key, index, "id"))
                self._problems.add(place, "duplicate-id", f"'{name}' is the id of an earlier entry too")
            seen.add(name)

    def check_condition(
        self,
        source: YamlSource,
        path: Path_,
        condition: Mapping[str, tuple[str, ...]],
        known: Mapping[str, tuple[str, ...]] | None = None,
        *,
        groups: bool = True,
    ) -> None:
        """Check that a condition names attributes and words that are known; ``groups`` may stand for words."""
        known = known or self._vocabulary.attributes
        for attribute, words in condition.items():
            if attribute not in known:
                message = f"'{attribute}' is not an attribute{did_you_mean(attribute, known)}"
                self._problems.add(source.position((*path, attribute)), "unknown-attribute", message)
                continue
            allowed = [*known[attribute], *(self._vocabulary.groups.get(attribute, {}) if groups else ())]
            for index, word in enumerate(words):
                self._word(source, (*path, attribute, index), word, allowed, attribute)

    def _word(self, source: YamlSource, path: Path_, word: str, known: Iterable[str], attribute: str) -> None:
        known = list(known)
        if word not in known:
            message = f"'{word}' is not a word of {attribute}{did_you_mean(word, known)}"
            self._problems.add(source.position(path), "unknown-word", message)

    def _outcome(self, source: YamlSource, path: Path_, field: str, value: Value) -> None:
        known = getattr(self._vocabulary.outcomes, field)
        if type(value) not in {str, int} or value not in known:
            hint = did_you_mean(value, map(str, known)) if isinstance(value, str) else ""
            shown = f"'{value[:40]}'" if isinstance(value, str) else str(value).lower()
            message = f"{field} must be one of {', '.join(map(str, known))}, not {shown}{hint if '?' in hint else ''}"
            self._problems.add(source.position(path), "unknown-word", message)
