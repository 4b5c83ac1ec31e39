"""A checked pack to one table: every combination gets the most protective of all matching ceilings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nightlight.policy.cases import try_cases
from nightlight.policy.combinations import CombinationSpace, Mask, Ranks, combination_space
from nightlight.policy.dates import holds_on, switch_days, when_text
from nightlight.policy.diagnostics import Diagnostics
from nightlight.policy.load import Pack, load, load_documents
from nightlight.policy.outcome_ranks import (
    FIELDS,
    SHOWING,
    UNSET,
    Ceilings,
    canonical,
    limits,
    lowered,
    no_ceilings,
    packed_ranks,
)
from nightlight.policy.proved_checks import ProvedCheck, proved_checks
from nightlight.policy.regimes import refuse_hollow_clauses
from nightlight.policy.retention import RetentionTable, compile_retention
from nightlight.policy.summarise import summarise
from nightlight.policy.table_builder import build_table
from nightlight_core.errors import PolicyRefused
from nightlight_core.policy.dates import Timeline, digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from nightlight.policy.models import PolicyRule
    from nightlight_core.policy.bundle import Bundle
    from nightlight_core.policy.table import Table

MAX_COMBINATIONS = 2_500_000
# Those of the tables of all dates. In a bundle each takes 8/3 bytes, and it may unpack to 20,000,000.
MAX_ON_ALL_DATES = 7_000_000


@dataclass(frozen=True)
class Compiled:
    """A pack with its table, and what proofs and comparisons need: ranks as arrays over the space.

    ``ranks[field]`` is the index of each combination's outcome in the vocabulary's list for the field
    (0 protects most), already canonical; ``bound`` is the number of the rule that bound the tier.
    All of it is of the period that begins on the day ``begins`` (empty: before all dates); ``dated`` has later periods.
    """

    pack: Pack
    space: CombinationSpace
    ranks: Mapping[str, Ranks]
    bound: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]
    impossible: Mask
    retention: RetentionTable
    table: Table
    begins: str = ""
    dated: tuple[Compiled, ...] = ()

    @cached_property
    def periods(self) -> tuple[Compiled, ...]:
        """Return the pack as it is in each period, in order; each of them has no dates."""
        return (replace(self, dated=()) if self.dated else self, *self.dated)

    @cached_property
    def timeline(self) -> Timeline[Compiled]:
        """Return the periods with the days on which they begin."""
        return Timeline(self.periods[0], tuple((period.begins, period) for period in self.dated))

    def on(self, day: str) -> Compiled:
        """Return the pack as it is on a day; an empty text stands for the time before all dates."""
        return self.timeline.on(day)

    @property
    def days(self) -> tuple[str, ...]:
        """Return the days on which the pack changes by itself."""
        return tuple(period.begins for period in self.dated)

    @property
    def digest(self) -> str:
        """Return the policy's digest: that of its table, or of all its tables and their dates."""
        return digest_of(self.table.digest, [(period.begins, period.table.digest) for period in self.dated])

    @cached_property
    def packed(self) -> np.ndarray[Any, np.dtype[np.uint16]]:
        """Return the outcome of each combination as one number; equal numbers are equal outcomes."""
        return packed_ranks(self.ranks)

    @property
    def possible(self) -> Mask:
        """Return which combinations can occur."""
        return ~self.impossible

    @cached_property
    def limits(self) -> list[dict[str, int]]:
        """Return each rule's ceilings as ranks."""
        return [limits(rule, self.pack) for rule in self.pack.rules.rules]

    @cached_property
    def regions(self) -> list[Mask]:
        """Return where each rule applies: nowhere, for a rule that does not hold in this period."""
        nowhere = np.broadcast_to(np.False_, self.space.shape)
        return [
            self.space.region(rule.when, rule.unless) if holds_on(rule, self.begins) else nowhere
            for rule in self.pack.rules.rules
        ]

    @cached_property
    def checks(self) -> list[ProvedCheck]:
        """Return what is proved, with the combinations that each check speaks of."""
        return proved_checks(self.pack, self.space)

    def binds(self, number: int, fields: Sequence[str] = FIELDS) -> Mask:
        """Return where a rule gives what is answered in one of ``fields``, alone or with others.

        Where nothing is shown, that is any rule that allows nothing.
        """
        limit, nothing = self.limits[number], self.ranks["tier"] == 0
        bound = nothing & np.bool_(any(limit.get(field) == 0 for field in SHOWING))
        for field in fields:
            if field in limit:
                bound = bound | (~nothing & (self.ranks[field] == limit[field]))
        mask: Mask = self.regions[number] & bound
        return mask

    def applied(self, position: tuple[int, ...]) -> list[int]:
        """Return the numbers of the rules that apply to the combination at ``position``."""
        return [number for number, region in enumerate(self.regions) if region[position]]

    def bound_fields(self, number: int, position: tuple[int, ...]) -> tuple[str, ...]:
        """Return the fields in which a rule gives what the combination at ``position`` is answered.

        Where nothing is shown, a rule that allows nothing in any field gives that, and so the tier.
        """
        limit = self.limits[number]
        if self.ranks["tier"][position] == 0:
            fields = tuple(field for field in SHOWING if limit.get(field) == 0)
            return fields if "tier" in fields or not fields else ("tier", *fields)
        return tuple(field for field, rank in limit.items() if rank == self.ranks[field][position])


def compile_folder(folder: Path) -> Compiled:
    """Load, compile and try the cases of the pack in ``folder``; raise InvalidPolicy if anything fails."""
    return _tried(compile_pack(load(folder)))


def compile_documents(documents: Mapping[str, Any]) -> Compiled:
    """Compile a pack from plain values, as a bundle holds them, and try its cases; raises like compile_folder."""
    return _tried(compile_pack(load_documents(documents)))


def compile_bundle(bundle: Bundle) -> Compiled:
    """Compile a bundle's documents anew; raise PolicyRefused unless they are exactly what the bundle says they mean."""
    compiled = compile_documents(bundle.documents)
    digest = bundle.earlier or compiled.digest == bundle.digest
    later = [table for _, table in bundle.timeline.later]
    same = compiled.days == tuple(day for day, _ in bundle.timeline.later) and all(
        read.same_as(period.table) for read, period in zip([bundle.table, *later], compiled.periods, strict=True)
    )
    if not digest or not same or bundle.retention != compiled.retention.meaning():
        raise PolicyRefused("the bundle's table is not what its documents compile to")
    return compiled


def _tried(compiled: Compiled) -> Compiled:
    problems = Diagnostics()
    for source, path, message in try_cases(compiled.pack.cases, compiled):
        problems.add(source.position(path), "case-failed", message)
    problems.refuse()
    return compiled


def compile_pack(pack: Pack) -> Compiled:
    """Return ``pack`` compiled; raise InvalidPolicy if it is too large, has gaps, or rules or clauses for nothing."""
    problems = Diagnostics()
    space = combination_space(pack.vocabulary)
    place = pack.rules_source.position(("rules",))
    if space.size > MAX_COMBINATIONS:
        limit = f"at most {MAX_COMBINATIONS:,} can be proved. Use fewer words"
        problems.add(place, "too-many-combinations", f"the vocabulary makes {space.size:,} combinations; {limit}")
        problems.refuse()
    days = switch_days(pack.rules.rules)
    if (total := space.size * (len(days) + 1)) > MAX_ON_ALL_DATES:
        limit = f"at most {MAX_ON_ALL_DATES:,} can be proved. Use fewer dates or words"
        problems.add(place, "too-many-combinations", f"all dates together make {total:,} combinations; {limit}")
        problems.refuse()
    impossible = np.zeros(space.shape, dtype=np.bool_)
    for condition in pack.vocabulary.impossible:
        impossible |= space.region(condition)
    _refuse_dead_rules(pack, space, impossible, problems)
    refuse_hollow_clauses(pack, space, impossible, problems)
    problems.refuse()
    retention = compile_retention(pack)
    always = no_ceilings(space, pack.vocabulary.outcomes.limited)
    always = lowered(always, _placed(pack, space, [rule for rule in pack.rules.rules if not rule.dated]))
    first, *later = (_period(pack, space, impossible, retention, always, begins) for begins in ("", *days))
    return replace(first, dated=tuple(later))


def _placed(
    pack: Pack, space: CombinationSpace, rules: Iterable[PolicyRule]
) -> Iterator[tuple[int, Mask, Mapping[str, int]]]:
    """Yield each rule with its place in the order of ids, where it applies, and its ceilings."""
    places = {pack.rules.rules[number].id: place for place, number in enumerate(_by_id(pack.rules.rules))}
    for rule in rules:
        yield places[rule.id], space.region(rule.when, rule.unless), limits(rule, pack)


def _period(
    pack: Pack, space: CombinationSpace, impossible: Mask, retention: RetentionTable, always: Ceilings, begins: str
) -> Compiled:
    """Return the pack as it is from the day ``begins`` on; ``always`` has the ceilings of the rules without dates."""
    problems, rules = Diagnostics(), pack.rules.rules
    held = [rule for rule in rules if rule.dated and holds_on(rule, begins)]
    lowest, places = lowered(always, _placed(pack, space, held)) if held else always
    ranks = canonical(lowest, impossible)
    for field in FIELDS:
        gap = ranks[field] == UNSET
        if gap.any():
            summary = "; ".join(s.text for s in summarise(space, gap, impossible=impossible)[:3])
            message = f"no rule limits {field} in {int(gap.sum()):,} combinations{when_text(begins)}: {summary}"
            problems.add(pack.rules_source.position(("rules",)), "gap", message)
            break
    problems.refuse()
    bound = np.array(_by_id(rules), dtype=np.uint16)[places]
    table = build_table(pack, space, ranks, bound, impossible, retention)
    return Compiled(pack, space, ranks, bound, impossible, retention, table, begins)


def _by_id(rules: Sequence[PolicyRule]) -> list[int]:
    return sorted(range(len(rules)), key=lambda number: rules[number].id)


def _refuse_dead_rules(pack: Pack, space: CombinationSpace, impossible: Mask, problems: Diagnostics) -> None:
    for number, rule in enumerate(pack.rules.rules):
        if not (space.region(rule.when, rule.unless) & ~impossible).any():
            place = pack.rules_source.position(("rules", number))
            message = f"rule '{rule.id}' matches no combination that can occur; take it away or mend its condition"
            problems.add(place, "dead-rule", message)
    problems.refuse()
