"""Checks proved over every combination: ``always``, ``compare`` and ``same``, those of regimes' clauses too."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nightlight.policy.combinations import cut
from nightlight.policy.dates import when_text
from nightlight.policy.models import AlwaysLimits, CompareOrder
from nightlight.policy.outcome_ranks import FIELDS, UNSET
from nightlight.policy.recipe_limits import weaker_than
from nightlight.policy.summarise import Summary, summarise

if TYPE_CHECKING:
    from nightlight.policy.combinations import Box, CombinationSpace, Mask, Ranks
    from nightlight.policy.compile import Compiled
    from nightlight.policy.diagnostics import SourcePosition
    from nightlight.policy.models import SameAlong
    from nightlight.policy.proved_checks import ProvedCheck


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check that does not hold: where it stands, in how many combinations, in which, and which rules bound them.

    ``begins`` is the day from which it fails so; empty before all dates of the rules.
    """

    check: str
    kind: str
    position: SourcePosition
    count: int
    summaries: tuple[Summary, ...]
    rules: tuple[str, ...]
    begins: str = ""

    def __str__(self) -> str:
        """Return the lines that a person reads."""
        counts = f"{self.count:,} combinations{when_text(self.begins)}"
        lines = [f"{self.position}: check '{self.check}' fails in {counts} [check-failed]"]
        lines += [f"    {summary.text} ({summary.count:,})" for summary in self.summaries]
        lines.append(f"    bound by {', '.join(self.rules)}")
        return "\n".join(lines)


def failed_checks(compiled: Compiled) -> list[FailedCheck]:
    """Return every check of the pack that does not hold, in the order of the files; a clause's is ``regime/clause``.

    What fails on several dates in the same way is told of the first of them.
    """
    failures: list[FailedCheck] = []
    before: list[FailedCheck] = []
    earlier: Compiled | None = None
    for period in compiled.periods:
        # Where all checks held before, only what has changed since is looked at.
        held = earlier is not None and not before and _goes_on(earlier, period)
        failing = [] if held else list(_failed(period))
        same = [replace(failure, begins="") for failure in before]
        failures += [failure for failure in failing if replace(failure, begins="") not in same]
        before, earlier = failing, period
    return failures


def _goes_on(before: Compiled, after: Compiled) -> bool:
    """Say whether every check holds in a period, given that all of them hold in the one before."""
    changed = before.packed != after.packed
    axes = range(changed.ndim)
    box = [np.flatnonzero(changed.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
    return not len(box[0]) or still_holds(before, {field: cut(after.ranks[field], box) for field in FIELDS}, box)


def _failed(compiled: Compiled) -> Iterator[FailedCheck]:
    for failing in _failing(compiled, compiled.ranks):
        if failing.cells.any():
            summaries = summarise(compiled.space, failing.cells, impossible=compiled.impossible)
            rules = _responsible(compiled, failing)
            proved, count = failing.check, int(failing.cells.sum())
            yield FailedCheck(proved.id, proved.kind, proved.position, count, tuple(summaries), rules, compiled.begins)


class _Failing(NamedTuple):
    """Where a check fails, in which fields, and the attribute along which it compares (None: it compares nothing)."""

    check: ProvedCheck
    cells: Mask
    fields: tuple[str, ...]
    along: str | None = None


def _responsible(compiled: Compiled, failing: _Failing) -> tuple[str, ...]:
    """Return the rules that set what the check does not allow, ties included.

    Where a check compares, those are the rules that bind some of the combinations that are compared and not the others;
    a rule that binds all of them makes no difference.
    """
    cells = failing.cells
    if failing.along is not None:
        axis = compiled.space.axis(failing.along)
        cells = np.broadcast_to(cells.any(axis=axis, keepdims=True), cells.shape) & ~compiled.impossible
    binding = {}
    for number, rule in enumerate(compiled.pack.rules.rules):
        bound = cells & compiled.binds(number, failing.fields)
        if bound.any():
            binding[rule.id] = bound
    if failing.along is None:
        return tuple(sorted(binding))
    uneven = [
        rule
        for rule, bound in binding.items()
        if (bound.any(axis=axis, keepdims=True) & ~(bound | ~cells).all(axis=axis, keepdims=True)).any()
    ]
    return tuple(sorted(uneven or binding))


def still_holds(compiled: Compiled, ranks: Mapping[str, Ranks], box: Box) -> bool:
    """Say whether every check of a pack holds where ``ranks`` stand in ``box`` instead of its own, under which all do.

    What a check says of combinations outside of the box is looked at only where it compares them with some inside.
    """
    space, possible = compiled.space, compiled.possible
    for proved in compiled.checks:
        check = proved.check
        # Of the box, what the check speaks of; along the attribute that it compares, everything.
        parts = [np.intersect1d(own, spoken, assume_unique=True) for own, spoken in zip(box, proved.box, strict=True)]
        axis = None if isinstance(check, AlwaysLimits) else space.axis(check.along)
        if axis is not None:
            parts[axis] = box[axis]
        if not all(map(len, parts)):
            continue
        inner = [np.searchsorted(own, part) for own, part in zip(box, parts, strict=True)]
        mixed: Mapping[str, Ranks] = {field: cut(changed, inner) for field, changed in ranks.items()}
        if axis is not None and len(parts[axis]) < space.shape[axis]:
            inside, parts[axis] = [slice(None)] * axis + [parts[axis]], np.arange(space.shape[axis])
            changed_ranks, mixed = mixed, {field: cut(own, parts).copy() for field, own in compiled.ranks.items()}
            for field, changed in changed_ranks.items():
                mixed[field][tuple(inside)] = changed
        if _fails(proved, compiled, mixed, cut(proved.region, parts), cut(possible, parts)).cells.any():
            return False
    return True


def _failing(compiled: Compiled, ranks: Mapping[str, Ranks]) -> Iterator[_Failing]:
    """Yield, for each check, where it fails for these ranks."""
    possible = compiled.possible
    for proved in compiled.checks:
        yield _fails(proved, compiled, ranks, proved.region, possible)


def _fails(
    proved: ProvedCheck, compiled: Compiled, ranks: Mapping[str, Ranks], region: Mask, possible: Mask
) -> _Failing:
    """Return where a check fails for ranks in a box of the space, in which it speaks of ``region``."""
    check = proved.check
    if isinstance(check, AlwaysLimits):
        cells, fields = _always(check, region, compiled, ranks)
        return _Failing(proved, cells & possible, fields)
    if isinstance(check, CompareOrder):
        return _Failing(proved, _compare(check, region & possible, compiled.space, ranks), ("tier",), check.along)
    cells, fields = _same(check, region, compiled.space, ranks)
    return _Failing(proved, cells, fields, check.along)


def _always(
    check: AlwaysLimits, region: Mask, compiled: Compiled, ranks: Mapping[str, Ranks]
) -> tuple[Mask, tuple[str, ...]]:
    """Return where a ceiling, or the recipe of the tier that is shown, is weaker than is allowed, and the fields."""
    above: dict[str, Mask] = {}
    outcomes = compiled.pack.vocabulary.outcomes
    for field, value in check.caps.items():
        above[field] = region & (ranks[field] > getattr(outcomes, field).index(value))
    if check.recipe:
        weak = [
            False,
            *(bool(weaker_than(compiled.table.tiers[tier], check.recipe)) for tier in outcomes.tier[1:]),
        ]
        # A combination that no rule limits has no tier; it is a gap, and told as such.
        weak += [True] * (UNSET + 1 - len(weak))
        shown = region & np.array(weak, dtype=np.bool_)[ranks["tier"]]
        above["tier"] = above["tier"] | shown if "tier" in above else shown
    cells = np.zeros(region.shape, dtype=np.bool_)
    for mask in above.values():
        cells |= mask
    return cells, tuple(field for field, mask in above.items() if mask.any())


def _compare(check: CompareOrder, counted: Mask, space: CombinationSpace, ranks: Mapping[str, Ranks]) -> Mask:
    """Compare the tier of every pair of words, where both combinations can occur and both are in the region."""
    axis = space.axis(check.along)
    words = space.attributes[check.along]
    cells = np.zeros(counted.shape, dtype=np.bool_)
    tier = np.moveaxis(ranks["tier"], axis, 0)
    counted, failed = np.moveaxis(counted, axis, 0), np.moveaxis(cells, axis, 0)
    for left, right in itertools.combinations([words.index(word) for word in check.never_more_open], 2):
        failed[left] |= counted[left] & counted[right] & (tier[left] > tier[right])
    return cells


def _same(
    check: SameAlong, region: Mask, space: CombinationSpace, ranks: Mapping[str, Ranks]
) -> tuple[Mask, tuple[str, ...]]:
    """Compare every outcome along the attribute with the first in the region; return where it differs, and the fields.

    A combination that cannot occur counts as ``none``: declaring it impossible would make it a placeholder when it does
    occur, and the placeholder would tell the attribute.
    """
    axis = space.axis(check.along)
    counted = np.moveaxis(region, axis, 0)
    cells = np.zeros(region.shape, dtype=np.bool_)
    failed = np.moveaxis(cells, axis, 0)
    first = np.argmax(counted, axis=0)
    fields = []
    for field in FIELDS:
        column = np.moveaxis(ranks[field], axis, 0)
        reference = np.take_along_axis(column, first[None], axis=0)
        differing = counted & (column != reference)
        if differing.any():
            fields.append(field)
            failed |= differing
    return cells, tuple(fields)


def opens(before: Mapping[str, Ranks], after: Mapping[str, Ranks]) -> bool:
    """Say whether any combination shows more in any field, or has lost its ceiling."""
    return any(bool(((after[field] > before[field]) | (after[field] == UNSET)).any()) for field in FIELDS)
