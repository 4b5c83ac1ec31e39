"""Mutation coverage: whether some check would fail if a rule were deleted or loosened by mistake.

Every rule is deleted, each of its ceilings loosened by a step, each word of its ``when`` taken out, and
each word that is missing added to its ``when`` and ``unless``. A mutant that opens anything and passes every
check is a hole in the checks, and is told with what it opens.

A rule with dates begins a day and a month later or earlier too, ends so, and loses each date. A check speaks of every
day and cannot tell one from the next, so of these rules a mutant is caught by a case too that says ``on`` which day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nightlight.policy.cases import expand
from nightlight.policy.checks import opens, still_holds
from nightlight.policy.combinations import cut
from nightlight.policy.dates import END, holds_on, moved_dates
from nightlight.policy.outcome_ranks import FIELDS, UNSET, canonical, lowered, no_ceilings
from nightlight.policy.summarise import Summary, summarise

if TYPE_CHECKING:
    from nightlight.policy.combinations import Box, Mask, Ranks
    from nightlight.policy.compile import Compiled
    from nightlight.policy.models import PolicyRule


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that no check catches: what was done to which rule, and what that opens from the day ``begins``.

    A rule that is ``dated`` has dates; no case of the days on which it was changed catches it either.
    """

    rule: str
    change: str
    count: int
    summaries: tuple[Summary, ...]
    begins: str = ""
    dated: bool = False


@dataclass(frozen=True, slots=True)
class MutationReport:
    """How many mutants there were, how many opened something, and those that no check caught."""

    mutants: int
    opening: int
    survivors: tuple[Survivor, ...]


def mutate(compiled: Compiled) -> MutationReport:
    """Return the mutation report of a pack: a mistake is caught if a check fails on any date."""
    opening: dict[tuple[str, str], Survivor | None] = {}
    mutants = set[tuple[str, str]]()
    ends = [*compiled.days, END]
    for period, end in zip(compiled.periods, ends, strict=True):
        for rule, change, survivor in _tried(period, end, mutants):
            # What a check catches on one date is caught, whatever it opens on others.
            earlier = opening.get((rule, change), survivor)
            opening[rule, change] = None if survivor is None else earlier
    survivors = tuple(survivor for survivor in opening.values() if survivor is not None)
    return MutationReport(len(mutants), len(opening), survivors)


def _tried(compiled: Compiled, end: str, mutants: set[tuple[str, str]]) -> Iterator[tuple[str, str, Survivor | None]]:
    """Yield (rule, what was done, None if that is caught) for every mutant of a period that opens something.

    The period ends before the day ``end``.

    All of them are added to ``mutants``.
    """
    base = _Others(compiled)
    for number, rule in enumerate(compiled.pack.rules.rules):
        if not holds_on(rule, compiled.begins):
            continue
        without = base.without(number)
        for mutant in (*_mutants(compiled, number, rule), *_moved(compiled, rule)):
            mutants.add((rule.id, mutant.change))
            days = max(compiled.begins, mutant.days[0]), min(end, mutant.days[1])
            if days[0] >= days[1]:
                continue
            # Nothing changes outside of the box in which the rule applied, or applies now.
            box = mutant.box
            lowest = {field: cut(ranks, box).copy() for field, ranks in without.items()}
            if mutant.region is not None:
                region = cut(mutant.region, box)
                for field, rank in mutant.limit.items():
                    lower = region & (lowest[field] > rank)
                    lowest[field][lower] = rank
            ranks = canonical(lowest, cut(compiled.impossible, box))
            before = {field: cut(own, box) for field, own in compiled.ranks.items()}
            if not opens(before, ranks):
                continue
            caught = _gap(ranks) or not still_holds(compiled, ranks, box)
            if caught or (rule.dated and _case_differs(compiled, ranks, box, days)):
                yield rule.id, mutant.change, None
                continue
            more = np.zeros(compiled.space.shape, dtype=np.bool_)
            more[np.ix_(*box)] = np.logical_or.reduce([ranks[field] > before[field] for field in FIELDS])
            summaries = summarise(compiled.space, more, impossible=compiled.impossible)
            survivor = Survivor(rule.id, mutant.change, int(more.sum()), tuple(summaries), days[0], rule.dated)
            yield rule.id, mutant.change, survivor


def redundant(compiled: Compiled) -> list[str]:
    """Return the ids of rules that could be deleted without changing anything on any date on which they hold."""
    needed, held = set[str](), set[str]()
    for period in compiled.periods:
        base = _Others(period)
        for number, rule in enumerate(period.pack.rules.rules):
            if rule.id in needed or not holds_on(rule, period.begins):
                continue
            held.add(rule.id)
            ranks = canonical(base.without(number), period.impossible)
            if any((ranks[field] != period.ranks[field]).any() for field in FIELDS):
                needed.add(rule.id)
    return [rule.id for rule in compiled.pack.rules.rules if rule.id in held - needed]


class _Others:
    """The ceilings of all rules but one, for each rule in turn, without computing all others anew.

    For every field, the lowest ceiling of each combination, how many rules give it, and the lowest above
    it: taking one rule away leaves the lowest where another gives it too, and the next where none does.
    """

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        rules = list(zip(compiled.regions, compiled.limits, strict=True))
        limited = compiled.pack.vocabulary.outcomes.limited
        none, places = no_ceilings(compiled.space, limited), range(len(rules))
        self._lowest = lowered(none, ((place, *rule) for place, rule in zip(places, rules, strict=True))).lowest
        self._times = {field: np.zeros(compiled.space.shape, dtype=np.uint16) for field in FIELDS}
        self._next: dict[str, Ranks] = {field: np.full(compiled.space.shape, UNSET, dtype=np.uint8) for field in FIELDS}
        for region, limit in rules:
            for field, rank in limit.items():
                lowest = self._lowest[field]
                self._times[field] += region & (lowest == rank)
                above = region & (lowest < rank) & (self._next[field] > rank)
                self._next[field][above] = rank

    def without(self, number: int) -> dict[str, Ranks]:
        """Return the lowest ceilings of all rules but this one."""
        region, limit = self._compiled.regions[number], self._compiled.limits[number]
        left: dict[str, Ranks] = {}
        for field in FIELDS:
            lowest = self._lowest[field]
            if field not in limit:
                left[field] = lowest
                continue
            alone = region & (lowest == limit[field]) & (self._times[field] == 1)
            left[field] = np.where(alone, self._next[field], lowest)
        return left


class _Mutant(NamedTuple):
    """What was done to a rule, where it applies now (None: it was deleted), its new ceilings, and a box around both.

    It was done on the days from the first of ``days`` to before the second.
    """

    change: str
    region: Mask | None
    limit: Mapping[str, int]
    box: Box
    days: tuple[str, str] = ("", END)


def _moved(compiled: Compiled, rule: PolicyRule) -> Iterator[_Mutant]:
    """Yield a rule with another date, or without it: deleted on the days on which it does not hold any more."""
    box = compiled.space.box(rule.when)
    for change, *days in moved_dates(rule):
        yield _Mutant(change, None, {}, box, (days[0], days[1]))


def _case_differs(compiled: Compiled, ranks: Mapping[str, Ranks], box: Box, days: tuple[str, str]) -> bool:
    """Say whether a case of one of the days is answered otherwise by ``ranks``, which stand in ``box``."""
    outcomes = compiled.pack.vocabulary.outcomes
    for _, document in compiled.pack.cases:
        for case in document.cases:
            if case.on is None or not days[0] <= case.on < days[1]:
                continue
            expected = case.expect.model_dump(exclude_none=True, exclude={"because"})
            for given in expand(case):
                place = compiled.space.position(given)
                if not all(position in part for position, part in zip(place, box, strict=True)):
                    continue
                inner = tuple(int(np.searchsorted(part, place[axis])) for axis, part in enumerate(box))
                values = {field: getattr(outcomes, field)[ranks[field][inner]] for field in expected}
                if values != expected:
                    return True
    return False


def _mutants(compiled: Compiled, number: int, rule: PolicyRule) -> Iterator[_Mutant]:
    space, limit = compiled.space, compiled.limits[number]
    box = space.box(rule.when)
    yield _Mutant("deleted", None, {}, box)
    for field, rank in limit.items():
        values = getattr(compiled.pack.vocabulary.outcomes, field)
        if rank + 1 < len(values):
            change = f"{field} loosened from {values[rank]} to {values[rank + 1]}"
            yield _Mutant(change, compiled.regions[number], {**limit, field: rank + 1}, box)
    for part in ("when", "unless"):
        condition = getattr(rule, part)
        for attribute, listed in condition.items():
            words = space.words(attribute, listed)
            for word in space.attributes[attribute]:
                changed = words ^ {word}
                if not changed:
                    continue
                verb = "taken out of" if word in words else "added to"
                other = {**condition, attribute: tuple(changed)}
                change = f"'{word}' {verb} {part} {attribute}"
                if part == "when":
                    wider = space.box({**condition, attribute: tuple(words | changed)})
                    yield _Mutant(change, space.region(other, rule.unless), limit, wider)
                else:
                    yield _Mutant(change, space.region(rule.when, other), limit, box)
    for attribute in rule.unless:
        other = {name: words for name, words in rule.unless.items() if name != attribute}
        yield _Mutant(f"{attribute} taken out of unless", space.region(rule.when, other) if other else None, limit, box)


def _gap(ranks: Mapping[str, Ranks]) -> bool:
    return any(bool((ranks[field] == UNSET).any()) for field in FIELDS)
