"""Checks proved over every combination: ``always``, ``compare`` and ``same``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nightlight.policy.compile import FIELDS, UNSET
from nightlight.policy.summarise import Summary, summarise

if TYPE_CHECKING:
    from nightlight.policy.combinations import CombinationSpace, Mask, Ranks
    from nightlight.policy.compile import Compiled
    from nightlight.policy.diagnostics import SourcePosition
    from nightlight.policy.models import AlwaysCheck, ChecksDocument, CompareCheck, SameCheck, Vocabulary


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check that does not hold: where it stands, in how many combinations, in which, and which rules bound them."""

    check: str
    kind: str
    position: SourcePosition
    count: int
    summaries: tuple[Summary, ...]
    rules: tuple[str, ...]

    def __str__(self) -> str:
        """Return the lines that a person reads."""
        lines = [f"{self.position}: check '{self.check}' fails in {self.count:,} combinations [check-failed]"]
        lines += [f"    {summary.text} ({summary.count:,})" for summary in self.summaries]
        lines.append(f"    bound by {', '.join(self.rules)}")
        return "\n".join(lines)


def failed_checks(compiled: Compiled) -> list[FailedCheck]:
    """Return every check of the pack that does not hold, in the order of the file."""
    failures = []
    for kind, index, check, cells in failing(
        compiled.pack.checks, compiled.space, compiled.ranks, compiled.impossible, compiled.pack.vocabulary
    ):
        if cells.any():
            summaries = summarise(compiled.space, cells, impossible=compiled.impossible)
            numbers = np.unique(compiled.bound[cells])
            rules = tuple(sorted(compiled.pack.rules.rules[int(number)].id for number in numbers))
            place = compiled.pack.checks_source.position((kind, index))
            failures.append(FailedCheck(check, kind, place, int(cells.sum()), tuple(summaries), rules))
    return failures


def holds(
    checks: ChecksDocument,
    space: CombinationSpace,
    ranks: Mapping[str, Ranks],
    impossible: Mask,
    vocabulary: Vocabulary,
) -> bool:
    """Say whether every check holds for these ranks."""
    return not any(cells.any() for *_, cells in failing(checks, space, ranks, impossible, vocabulary))


def failing(
    checks: ChecksDocument,
    space: CombinationSpace,
    ranks: Mapping[str, Ranks],
    impossible: Mask,
    vocabulary: Vocabulary,
) -> Iterator[tuple[str, int, str, Mask]]:
    """Yield (kind, number, id, combinations that fail) for each check."""
    possible = ~impossible
    for index, always in enumerate(checks.always):
        yield "always", index, always.id, _always(always, space, ranks, vocabulary) & possible
    for index, compare in enumerate(checks.compare):
        yield "compare", index, compare.id, _compare(compare, space, ranks, possible)
    for index, same in enumerate(checks.same):
        yield "same", index, same.id, _same(same, space, ranks, possible)


def _always(check: AlwaysCheck, space: CombinationSpace, ranks: Mapping[str, Ranks], vocabulary: Vocabulary) -> Mask:
    above = np.zeros(space.shape, dtype=np.bool_)
    for field, value in check.caps.items():
        above |= ranks[field] > getattr(vocabulary.outcomes, field).index(value)
    cells: Mask = above & space.region(check.where, check.unless)
    return cells


def _compare(check: CompareCheck, space: CombinationSpace, ranks: Mapping[str, Ranks], possible: Mask) -> Mask:
    """Compare the tier of every pair of words, where both combinations can occur and both are in the region."""
    axis = space.axis(check.along)
    words = space.attributes[check.along]
    counted = possible & space.region(check.where, check.unless)
    cells = np.zeros(space.shape, dtype=np.bool_)
    tier = np.moveaxis(ranks["tier"], axis, 0)
    counted, failed = np.moveaxis(counted, axis, 0), np.moveaxis(cells, axis, 0)
    for left, right in itertools.combinations([words.index(word) for word in check.never_more_open], 2):
        failed[left] |= counted[left] & counted[right] & (tier[left] > tier[right])
    return cells


def _same(check: SameCheck, space: CombinationSpace, ranks: Mapping[str, Ranks], possible: Mask) -> Mask:
    """Compare every outcome along the attribute with the first that can occur, field by field."""
    axis = space.axis(check.along)
    counted = np.moveaxis(possible & space.region(check.where, check.unless), axis, 0)
    cells = np.zeros(space.shape, dtype=np.bool_)
    failed = np.moveaxis(cells, axis, 0)
    first = np.argmax(counted, axis=0)
    for field in FIELDS:
        column = np.moveaxis(ranks[field], axis, 0)
        reference = np.take_along_axis(column, first[None], axis=0)
        failed |= counted & (column != reference)
    return cells


def opens(before: Mapping[str, Ranks], after: Mapping[str, Ranks]) -> bool:
    """Say whether any combination shows more in any field, or has lost its ceiling."""
    return any(bool(((after[field] > before[field]) | (after[field] == UNSET)).any()) for field in FIELDS)
