"""Why one combination is answered as it is: every rule that applied, what it capped, and which bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nightlight.policy.compile import FIELDS
from nightlight.policy.diagnostics import did_you_mean
from nightlight_core.errors import PolicyRefused

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled
    from nightlight_core.policy.table import Outcome


@dataclass(frozen=True, slots=True)
class AppliedRule:
    """A rule that applied: what it capped, and the fields in which it is the one that bound."""

    rule: str
    why: str
    caps: dict[str, str | int]
    binds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyExplanation:
    """The whole answer for one combination; ``filled`` are inputs that were missing and how they were read."""

    given: dict[str, str]
    filled: dict[str, str]
    outcome: Outcome
    applied: tuple[AppliedRule, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as plain values."""
        return {
            "given": self.given,
            "filled": self.filled,
            "tier": self.outcome.tier,
            "cache_s": self.outcome.cache_s,
            "per_hour": self.outcome.per_hour,
            "rule": self.outcome.rule,
            "applied": [{"rule": a.rule, "why": a.why, "caps": a.caps, "binds": list(a.binds)} for a in self.applied],
        }


def explain(compiled: Compiled, given: Mapping[str, str]) -> PolicyExplanation:
    """Return why ``given`` is answered as it is.

    A missing attribute is read as the word that shows least. Raises PolicyRefused for an attribute or a
    word that the vocabulary does not have (a running system answers that with ``none``).
    """
    space = compiled.space
    for name, word in given.items():
        if name not in space.attributes:
            raise PolicyRefused(f"'{name}' is not an attribute{did_you_mean(name, space.attributes)}")
        if word not in space.attributes[name]:
            raise PolicyRefused(f"'{word}' is not a word of {name}{did_you_mean(word, space.attributes[name])}")
    filled = _most_protective(compiled, given)
    inputs = {name: given.get(name) or filled[name] for name in space.attributes}
    position = space.position(inputs)
    ranks = {field: int(compiled.ranks[field][position]) for field in FIELDS}
    applied = []
    if not compiled.impossible[position]:
        for number, rule in enumerate(compiled.pack.rules.rules):
            if compiled.regions[number][position]:
                limit = compiled.limits[number]
                binds = tuple(field for field, rank in limit.items() if rank == ranks[field])
                applied.append(AppliedRule(rule.id, rule.why, rule.at_most.model_dump(exclude_none=True), binds))
    return PolicyExplanation(inputs, filled, compiled.table.decide(inputs), tuple(applied))


def _most_protective(compiled: Compiled, given: Mapping[str, str]) -> dict[str, str]:
    """Return words for the missing attributes that together give the least, the vocabulary's first among equals."""
    space = compiled.space
    missing = [name for name in space.attributes if name not in given]
    if not missing:
        return {}
    where = np.ix_(
        *(
            [words.index(given[name])] if name in given else list(range(len(words)))
            for name, words in space.attributes.items()
        )
    )
    # A combination that cannot occur explains nothing; it is taken only if there is no other.
    order = compiled.impossible[where].astype(np.int64)
    for field in FIELDS:
        order = order * 256 + compiled.ranks[field][where]
    best = np.unravel_index(int(np.argmin(order)), order.shape)
    filling = {}
    for axis, (name, words) in enumerate(space.attributes.items()):
        if name in missing:
            filling[name] = words[int(best[axis])]
    return filling
