"""Retention compiled: how many days each thing is kept, over state and every attribute that a rule names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nightlight.policy.combinations import CombinationSpace
from nightlight.policy.diagnostics import Diagnostics
from nightlight.policy.summarise import summarise

if TYPE_CHECKING:
    from nightlight.policy.load import Pack


STATE, BAND, REGION = "state", "subject_age", "region"
# The region of a profile of which the platform said none.
UNKNOWN_REGION = "unknown"


@dataclass(frozen=True, slots=True)
class RetentionTerm:
    """How many days things in a state are kept: those of a band (None: of every one), in some regions.

    ``regions`` are those regions; with ``all_but``, those that are not meant.
    """

    days: int
    band: str | None
    regions: tuple[str, ...]
    all_but: bool


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

    def terms(self, state: str) -> Iterator[RetentionTerm]:
        """Yield how long things in a state are kept, over every band and region; nothing for an unknown state.

        Regions that have the same days come together. A region that is not in the vocabulary counts as ``unknown``, or
        has the fewest days where there is no such word.
        """
        attributes = self.space.attributes
        if state not in attributes.get(STATE, ()):
            return
        for band in attributes.get(BAND, ()) or (None,):
            given = {STATE: state} | ({BAND: band} if band is not None else {})
            days = {region: self.keep_days({**given, REGION: region}) for region in attributes.get(REGION, ())}
            others = days.get(UNKNOWN_REGION, self.keep_days(given))
            for number in sorted({*days.values(), others}):
                all_but = number == others
                regions = tuple(word for word in days if (days[word] == number) != all_but)
                yield RetentionTerm(number, band, regions, all_but)

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
