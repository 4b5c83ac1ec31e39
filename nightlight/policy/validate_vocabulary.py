"""Checks of the vocabulary itself: words, groups, impossible combinations, outcomes, and what decisions supply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.policy.diagnostics import Diagnostics, did_you_mean
from nightlight_core.decisions.inputs import INPUTS, UNASSURED
from nightlight_core.policy.table import CAPTURE, NONE_TIER

if TYPE_CHECKING:
    from nightlight.policy.models import Outcomes, Vocabulary
    from nightlight.policy.validate import WordValidator
    from nightlight.policy.yaml_source import Path_, YamlSource


def validate_vocabulary(
    source: YamlSource, vocabulary: Vocabulary, validator: WordValidator, problems: Diagnostics
) -> None:
    """Note in ``problems`` what is wrong with a vocabulary; ``validator`` checks the words that it uses itself."""
    for attribute, words in vocabulary.attributes.items():
        if len(set(words)) != len(words) or not words:
            place = source.position(("attributes", attribute))
            problems.add(place, "duplicate-word", f"{attribute}: every word must stand once, and one at least")
    for attribute, groups in vocabulary.groups.items():
        known = vocabulary.attributes.get(attribute)
        if known is None:
            place = source.position(("groups", attribute))
            hint = did_you_mean(attribute, vocabulary.attributes)
            problems.add(place, "unknown-attribute", f"'{attribute}' is not an attribute{hint}")
            continue
        for group, words in groups.items():
            path: Path_ = ("groups", attribute, group)
            if group in known:
                message = f"group '{group}' has the name of a word"
                problems.add(source.position(path), "duplicate-word", message)
            for index, word in enumerate(words):
                validator.check_word(source, (*path, index), word, known, attribute)
    for index, condition in enumerate(vocabulary.impossible):
        validator.check_condition(source, ("impossible", index), condition)
    _validate_replaced(source, vocabulary, validator, problems)
    _validate_inputs(source, vocabulary, problems)
    _validate_outcomes(source, vocabulary.outcomes, problems)


def _validate_replaced(
    source: YamlSource, vocabulary: Vocabulary, validator: WordValidator, problems: Diagnostics
) -> None:
    """Check that words of before are words no more, and that those in their place are."""
    for attribute, by_word in vocabulary.replaced.items():
        known = vocabulary.attributes.get(attribute)
        place = source.position(("replaced", attribute))
        if known is None:
            hint = did_you_mean(attribute, vocabulary.attributes)
            problems.add(place, "unknown-attribute", f"'{attribute}' is not an attribute{hint}")
            continue
        for word, words in by_word.items():
            if word in known:
                message = f"'{word}' is still a word of {attribute}; what is replaced is none any more"
                problems.add(source.position(("replaced", attribute, word)), "duplicate-word", message)
            if not words:
                message = f"say which words of {attribute} are in the place of '{word}'"
                problems.add(source.position(("replaced", attribute, word)), "wrong-value", message)
            for index, new in enumerate(words):
                validator.check_word(source, ("replaced", attribute, word, index), new, known, attribute)


def _validate_inputs(source: YamlSource, vocabulary: Vocabulary, problems: Diagnostics) -> None:
    """Check that decisions supply every attribute, and that the words which they begin with are there."""
    for attribute in vocabulary.attributes:
        if attribute not in INPUTS:
            message = f"decisions do not supply '{attribute}'{did_you_mean(attribute, INPUTS)}"
            problems.add(source.position(("attributes", attribute)), "attribute-not-supplied", message)
    for attribute, word in INPUTS.items():
        if word is not None and word not in vocabulary.attributes.get(attribute, (word,)):
            message = f"{attribute} lacks '{word}', which decisions begin with"
            problems.add(source.position(("attributes", attribute)), "word-missing", message)
    assured = "assurance" in vocabulary.attributes
    place = source.position(("attributes", "assurance") if assured else ("assurance",))
    if assured and vocabulary.assurance:
        message = "assurance is an attribute: its words stand there alone"
        problems.add(source.position(("assurance",)), "duplicate-word", message)
    if next(iter(vocabulary.assurances), None) != UNASSURED:
        message = f"the first word of assurance must be '{UNASSURED}': under it an age counts as unknown"
        problems.add(place, "word-missing", message)
    if len(set(vocabulary.assurance)) != len(vocabulary.assurance):
        problems.add(place, "duplicate-word", "assurance: every word must stand once")


def _validate_outcomes(source: YamlSource, outcomes: Outcomes, problems: Diagnostics) -> None:
    """Check that every list of values begins with what protects most, and names nothing twice."""
    if outcomes.tier[0] != NONE_TIER:
        problems.add(source.position(("outcomes", "tier")), "outcome-order", "the first tier must be 'none'")
    for field in ("tier", "cache_s", "per_hour"):
        values = getattr(outcomes, field)
        if len(set(values)) != len(values):
            place = source.position(("outcomes", field))
            problems.add(place, "duplicate-word", f"{field}: every value must stand once")
    for field in ("cache_s", "per_hour"):
        values = getattr(outcomes, field)
        if values[0] != 0 or list(values) != sorted(values):
            place = source.position(("outcomes", field))
            problems.add(place, "outcome-order", f"{field} must begin with 0 and rise: the first protects most")
    if "capture" in outcomes.limited and outcomes.capture != CAPTURE:
        message = f"capture must be [{', '.join(CAPTURE)}]: the first protects most"
        problems.add(source.position(("outcomes", "capture")), "outcome-order", message)
