"""Checks of rules, retention, checks and cases: that every word in them is one that the vocabulary knows."""

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
    Value,
    Vocabulary,
)
from nightlight.policy.recipe_limits import problems
from nightlight_core.policy.dates import MOST_DATES
from nightlight_core.policy.table import CAPTURE, FORBID

if TYPE_CHECKING:
    from nightlight.policy.yaml_source import Path_, YamlSource

_NAME_CAPTURE = f"add `capture: [{', '.join(CAPTURE)}]` to its outcomes, or take this out"


class WordValidator:
    """Checks that every word used is one that the vocabulary knows."""

    def __init__(self, vocabulary: Vocabulary, problems: Diagnostics) -> None:
        """Check against ``vocabulary`` and note what is wrong in ``problems``."""
        self._vocabulary = vocabulary
        self._problems = problems

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
                self.check_word(source, (*path, "never_more_open", position), word, known or (), check.along)

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
                self.check_word(source, (*path, attribute, index), word, allowed, attribute)

    def check_word(self, source: YamlSource, path: Path_, word: str, known: Iterable[str], attribute: str) -> None:
        """Check that a word, which stands at ``path``, is one of those known for an attribute."""
        known = list(known)
        if word not in known:
            message = f"'{word}' is not a word of {attribute}{did_you_mean(word, known)}"
            self._problems.add(source.position(path), "unknown-word", message)

    def _outcome(self, source: YamlSource, path: Path_, field: str, value: Value) -> None:
        known = getattr(self._vocabulary.outcomes, field)
        if type(value) not in {str, int} or value not in known:
            hint = did_you_mean(value, map(str, known)) if isinstance(value, str) else ""
            hint = "" if "known:" in hint else hint
            if isinstance(value, str) and value in map(str, known):
                hint = "; a number is written without quotes"
            shown = f"'{value[:40]}'" if isinstance(value, str) else str(value).lower()
            message = f"{field} must be one of {', '.join(map(str, known))}, not {shown}{hint}"
            self._problems.add(source.position(path), "unknown-word", message)
