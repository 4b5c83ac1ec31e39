"""A checked pack to one table: every combination gets the most protective of all matching ceilings."""

from __future__ import annotations

import itertools
import math
from array import array
from typing import TYPE_CHECKING

from nightlight.policy.load import Pack, expand, load
from nightlight.policy.problems import Problems
from nightlight.policy.table import NONE_TIER, Outcome, Table, none_because, strides

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from nightlight.policy.documents import Rule

MAX_COMBINATIONS = 250_000
_UNSET = 255
_FIELDS = ("tier", "cache_s", "per_hour")


def compile_folder(folder: Path) -> tuple[Pack, Table]:
    """Load, compile and try the cases of the pack in ``folder``; raise PolicyProblems if anything fails."""
    pack = load(folder)
    table = compile_pack(pack)
    try_cases(pack, table)
    return pack, table


def compile_pack(pack: Pack) -> Table:
    """Return the table of ``pack``; raise PolicyProblems if it is too large or leaves a combination open."""
    problems = Problems()
    attributes = pack.vocabulary.attributes
    size = math.prod(len(words) for words in attributes.values())
    place = pack.rules_source.place(("rules",))
    if size > MAX_COMBINATIONS:
        message = (
            f"the vocabulary makes {size:,} combinations; at most {MAX_COMBINATIONS:,} can be proved. Use fewer words"
        )
        problems.add(place, "too-many-combinations", message)
        problems.refuse()
    space = _Space(attributes)
    lowest, bound = _ceilings(pack, space, size)
    impossible = {
        cell for condition in pack.vocabulary.impossible for cell in space.cells(expand(condition, pack.vocabulary))
    }
    cells = array("H", bytes(2 * size))
    outcomes: list[Outcome] = []
    numbers: dict[Outcome, int] = {}
    gaps: dict[str, list[int]] = {}
    for cell in range(size):
        outcome = _outcome(pack, cell, lowest, bound, impossible=cell in impossible, gaps=gaps)
        number = numbers.setdefault(outcome, len(outcomes))
        if number == len(outcomes):
            outcomes.append(outcome)
        cells[cell] = number
    for field, open_cells in gaps.items():
        words = ", ".join(f"{name} {word}" for name, word in space.words(open_cells[0]))
        message = f"no rule limits {field} in {len(open_cells):,} combinations, for example: {words}"
        problems.add(place, "gap", message)
    problems.refuse()
    return Table(attributes, cells, tuple(outcomes), pack.tiers.tiers)


def try_cases(pack: Pack, table: Table) -> None:
    """Raise PolicyProblems naming every case whose answer differs from the one expected."""
    problems = Problems()
    for source, document in pack.cases:
        for index, case in enumerate(document.cases):
            outcome = table.decide(case.given)
            got = {
                "tier": outcome.tier,
                "cache_s": outcome.cache_s,
                "per_hour": outcome.per_hour,
                "because": outcome.rule,
            }
            for field, wanted in case.expect.model_dump(exclude_none=True).items():
                if got[field] != wanted:
                    message = (
                        f"case '{case.name}': expected {field} {wanted}, got {got[field]} (bound by '{outcome.rule}')"
                    )
                    problems.add(source.place(("cases", index, "expect", field)), "case-failed", message)
    problems.refuse()


def _ceilings(pack: Pack, space: _Space, size: int) -> tuple[dict[str, bytearray], array[int]]:
    """Return, for each field, the index of the lowest ceiling of each cell, and the rule that bound the tier.

    Rules are taken in the order of their ids, and a tie keeps the first, so that the order in which they
    are written cannot matter.
    """
    lowest = {field: bytearray([_UNSET]) * size for field in _FIELDS}
    bound = array("H", bytes(2 * size))
    indexed = {
        field: {value: i for i, value in enumerate(getattr(pack.vocabulary.outcomes, field))} for field in _FIELDS
    }
    by_id = sorted(range(len(pack.rules.rules)), key=lambda number: pack.rules.rules[number].id)
    for number in by_id:
        rule = pack.rules.rules[number]
        limits = {field: indexed[field][value] for field, value in rule.at_most.model_dump(exclude_none=True).items()}
        for cell in _region(rule, pack, space):
            for field, index in limits.items():
                column = lowest[field]
                if index < column[cell]:
                    column[cell] = index
                    if field == "tier":
                        bound[cell] = number
    return lowest, bound


def _region(rule: Rule, pack: Pack, space: _Space) -> Iterator[int]:
    when = expand(rule.when, pack.vocabulary)
    if not rule.unless:
        return space.cells(when)
    unless = expand(rule.unless, pack.vocabulary)
    both = {name: when.get(name, words) & words for name, words in unless.items()}
    excepted = set(space.cells({**when, **both}))
    return (cell for cell in space.cells(when) if cell not in excepted)


def _outcome(
    pack: Pack,
    cell: int,
    lowest: Mapping[str, bytearray],
    bound: array[int],
    *,
    impossible: bool,
    gaps: dict[str, list[int]],
) -> Outcome:
    if impossible:
        return none_because("impossible")
    ranks = [lowest[field][cell] for field in _FIELDS]
    if ranks[0] == _UNSET:
        gaps.setdefault("tier", []).append(cell)
        return none_because("gap")
    rule = pack.rules.rules[bound[cell]].id
    # A picture that may not be cached at all, or be seen zero times an hour, is not shown.
    if 0 in ranks:
        return none_because(rule)
    for field, rank in zip(_FIELDS, ranks, strict=True):
        if rank == _UNSET:
            gaps.setdefault(field, []).append(cell)
            return none_because("gap")
    outcomes = pack.vocabulary.outcomes
    tier, cache_s, per_hour = outcomes.tier[ranks[0]], outcomes.cache_s[ranks[1]], outcomes.per_hour[ranks[2]]
    if tier == NONE_TIER:  # pragma: no cover - rank 0, handled above
        return none_because(rule)
    return Outcome((ranks[0], ranks[1], ranks[2]), tier, cache_s, per_hour, rule)


class _Space:
    """The combinations of an attribute list, numbered in row-major order."""

    def __init__(self, attributes: Mapping[str, tuple[str, ...]]) -> None:
        self._attributes = attributes
        self._strides = strides(attributes)

    def cells(self, condition: Mapping[str, frozenset[str]]) -> Iterator[int]:
        """Yield the number of every combination that ``condition`` matches."""
        offsets = [
            [index * stride for index, word in enumerate(words) if name not in condition or word in condition[name]]
            for (name, words), stride in zip(self._attributes.items(), self._strides, strict=True)
        ]
        return map(sum, itertools.product(*offsets))

    def words(self, cell: int) -> list[tuple[str, str]]:
        """Return the combination with this number, as (attribute, word) pairs."""
        return [
            (name, words[cell // stride % len(words)])
            for (name, words), stride in zip(self._attributes.items(), self._strides, strict=True)
        ]
