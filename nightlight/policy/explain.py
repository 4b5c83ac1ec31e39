"""Why a combination is answered as it is: every rule that applied, what it capped, and which bound.

Where inputs are left out, there is no single answer but a range: the least and the most that the combinations which
are left may show, and the inputs that decide between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nightlight.policy.diagnostics import did_you_mean
from nightlight.policy.outcome_ranks import FIELDS
from nightlight_core.errors import PolicyRefused

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled
    from nightlight_core.policy.table import Outcome

# Ranks are below 16: four of them in one number keep the order of outcomes, the tier first.
_BASE = 256


@dataclass(frozen=True, slots=True)
class AppliedRule:
    """A rule that applied: what it capped, and the fields in which it is the one that bound.

    ``always`` is False for a rule that applies to some of the combinations only, where inputs are left out.
    """

    rule: str
    why: str
    caps: dict[str, str | int]
    binds: tuple[str, ...]
    always: bool = True


@dataclass(frozen=True, slots=True)
class DecidingInput:
    """An input that was left out and makes a difference: what each of its words leaves as least and as most."""

    attribute: str
    words: dict[str, tuple[Outcome, Outcome]]


@dataclass(frozen=True, slots=True)
class PolicyExplanation:
    """The whole answer: ``least`` and ``most`` are the same where the inputs that are given decide it."""

    given: dict[str, str]
    missing: tuple[str, ...]
    least: Outcome
    most: Outcome
    deciding: tuple[DecidingInput, ...]
    applied: tuple[AppliedRule, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as plain values."""
        return {
            "given": self.given,
            "missing": list(self.missing),
            "least": _plain(self.least),
            "most": _plain(self.most),
            "decided_by": {
                deciding.attribute: {
                    word: [_plain(least), _plain(most)] for word, (least, most) in deciding.words.items()
                }
                for deciding in self.deciding
            },
            "applied": [{**asdict(rule), "binds": list(rule.binds)} for rule in self.applied],
        }


def _plain(outcome: Outcome) -> dict[str, str | int]:
    return {
        "tier": outcome.tier,
        "cache_s": outcome.cache_s,
        "per_hour": outcome.per_hour,
        "capture": outcome.capture,
        "rule": outcome.rule,
    }


def explain(compiled: Compiled, given: Mapping[str, str]) -> PolicyExplanation:
    """Return why ``given`` is answered as it is.

    Raises PolicyRefused for an attribute or a word that the vocabulary does not have (a running system answers that
    with ``none``).
    """
    space = compiled.space
    for name, word in given.items():
        if name not in space.attributes:
            raise PolicyRefused(f"'{name}' is not an attribute{did_you_mean(name, space.attributes)}")
        if replacing := compiled.pack.vocabulary.replaced.get(name, {}).get(word):
            message = f"'{word}' was replaced by {' and '.join(replacing)}: ask for each of them; profiles that still "
            raise PolicyRefused(message + f"have '{word}' get the most protective answer")
        if word not in space.attributes[name]:
            raise PolicyRefused(f"'{word}' is not a word of {name}{did_you_mean(word, space.attributes[name])}")
    inputs = {name: given[name] for name in space.attributes if name in given}
    missing = tuple(name for name in space.attributes if name not in given)
    least, most = _range(compiled, inputs)
    deciding = tuple(
        DecidingInput(name, words) for name in missing if (words := _by_word(compiled, inputs, name)) is not None
    )
    return PolicyExplanation(inputs, missing, least, most, deciding, tuple(_applied(compiled, inputs, missing)))


def _positions(compiled: Compiled, given: Mapping[str, str]) -> tuple[np.ndarray[Any, Any], ...]:
    """Return what selects the combinations that ``given`` leaves."""
    return np.ix_(
        *(
            [words.index(given[name])] if name in given else list(range(len(words)))
            for name, words in compiled.space.attributes.items()
        )
    )


def _range(compiled: Compiled, given: Mapping[str, str]) -> tuple[Outcome, Outcome]:
    """Return the outcomes that show least and most among the combinations that can occur.

    Where none of them can, that is the outcome of the impossible.
    """
    where = _positions(compiled, given)
    order = np.zeros(compiled.ranks["tier"][where].shape, dtype=np.int64)
    for field in FIELDS:
        order = order * _BASE + compiled.ranks[field][where]
    possible = compiled.possible[where]
    if not possible.any():
        possible = ~possible
    ends = np.where(possible, order, order.max() + 1).argmin(), np.where(possible, order, -1).argmax()
    least, most = (_outcome(compiled, given, np.unravel_index(int(end), order.shape)) for end in ends)
    return least, most


def _outcome(compiled: Compiled, given: Mapping[str, str], cell: tuple[Any, ...]) -> Outcome:
    words = {
        name: given.get(name, listed[int(place)])
        for (name, listed), place in zip(compiled.space.attributes.items(), cell, strict=True)
    }
    return compiled.table.decide(words)


def _by_word(compiled: Compiled, given: Mapping[str, str], attribute: str) -> dict[str, tuple[Outcome, Outcome]] | None:
    """Return what each word of a missing attribute leaves; None where the attribute makes no difference at all."""
    where = _positions(compiled, given)
    axis = compiled.space.axis(attribute)
    differs = any(np.ptp(compiled.ranks[field][where], axis=axis).any() for field in FIELDS)
    if not differs:
        return None
    words = compiled.space.attributes[attribute]
    return {word: _range(compiled, {**given, attribute: word}) for word in words}


def _applied(compiled: Compiled, given: Mapping[str, str], missing: tuple[str, ...]) -> list[AppliedRule]:
    where = _positions(compiled, given)
    possible = compiled.possible[where]
    applied = []
    for number, rule in enumerate(compiled.pack.rules.rules):
        here = compiled.regions[number][where] & possible
        if here.any():
            caps = rule.at_most.model_dump(exclude_none=True)
            binds: tuple[str, ...] = ()
            if not missing:
                binds = compiled.bound_fields(number, compiled.space.position(given))
            applied.append(AppliedRule(rule.id, rule.why, caps, binds, bool((here | ~possible).all())))
    return applied
