"""Retention compiled: how many days each thing is kept, over state and every attribute that a rule names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nightlight.policy.combinations import CombinationSpace
from nightlight.policy.diagnostics import Diagnostics
from nightlight.policy.summarise import summarise

if TYPE_CHECKING:
    from nightlight.policy.load import Pack


@dataclass(frozen=True)
class RetentionTable:
    """Days by combination: a small space of its own, of the attributes that retention rules name."""

    space: CombinationSpace
    days: np.ndarray[Any, np.dtype[np.int32]]

    def keep_days(self, given: Mapping[str, str]) -> int:
        """Return how long a thing is kept; a missing or unknown word gives the fewest days of all its words."""
        where = []
        for name, words in self.space.attributes.items():
            word = given.get(name)
            where.append([words.index(word)] if word in words else list(range(len(words))))
        return int(self.days[np.ix_(*where)].min())

    def meaning(self) -> dict[str, Any]:
        """Return what the table says, for digests and bundles."""
        attributes = {name: list(words) for name, words in self.space.attributes.items()}
        return {"attributes": attributes, "days": self.days.ravel().tolist()}


def compile_retention(pack: Pack) -> RetentionTable:
    """Return the retention table: the smallest matching number wins; raise InvalidPolicy where none matches."""
    vocabulary = pack.vocabulary
    named = {name for rule in pack.retention.retention for name in rule.when} | set(vocabulary.retention_attributes)
    known = {**vocabulary.retention_attributes, **vocabulary.attributes}
    space = CombinationSpace({name: words for name, words in known.items() if name in named}, vocabulary.groups)
    unset = np.iinfo(np.int32).max
    days = np.full(space.shape, unset, dtype=np.int32)
    for rule in pack.retention.retention:
        region = space.region(rule.when)
        days[region] = np.minimum(days[region], rule.keep_days)
    gap = days == unset
    if gap.any():
        summary = "; ".join(s.text for s in summarise(space, gap, impossible=np.zeros_like(gap))[:3])
        problems = Diagnostics()
        place = pack.retention_source.position(("retention",))
        problems.add(place, "gap", f"no rule says how long to keep {int(gap.sum())} combinations: {summary}")
        problems.refuse()
    return RetentionTable(space, days)
