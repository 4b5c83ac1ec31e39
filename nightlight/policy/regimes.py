"""Regimes: what laws, codes and bills ask, clause by clause, with the dates between which each is asked.

A clause is bound to a check of ``checks.yaml``, to a check that it carries itself, or to a duty of the platform, which
nothing here can prove. A check that a clause carries is proved like every other one.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from nightlight.policy.models import AlwaysLimits, CompareOrder
from nightlight.policy.summarise import summarise

if TYPE_CHECKING:
    from nightlight.policy.combinations import CombinationSpace, Mask
    from nightlight.policy.diagnostics import Diagnostics, SourcePosition
    from nightlight.policy.load import Pack
    from nightlight.policy.models import SameAlong
    from nightlight.policy.regime_models import Clause, RegimeDocument

_AGE = "subject_age"


class Force(StrEnum):
    """Whether a clause is asked on a day. One whose date is not known counts as if it were."""

    ASKED = "in force"
    LATER = "begins later"
    ENDED = "ended"
    UNDATED = "no date known"


@dataclass(frozen=True, slots=True)
class BoundClause:
    """A clause with its regime, where it stands, and the check that proves it (None: the platform's duty)."""

    regime: RegimeDocument
    clause: Clause
    position: SourcePosition
    kind: str
    check: AlwaysLimits | CompareOrder | SameAlong | None

    @property
    def name(self) -> str:
        """Return the name of the clause and of the check that it carries: ``regime/clause``."""
        return f"{self.regime.regime}/{self.clause.id}"

    @property
    def proved_by(self) -> str | None:
        """Return the id under which the clause's check is proved."""
        return None if self.check is None else self.clause.check or self.name

    @property
    def begins(self) -> str | None:
        """Return the day or month from which the clause is asked."""
        return self.clause.begins or self.regime.begins

    @property
    def until(self) -> str | None:
        """Return the last day or month on which the clause is asked."""
        return self.clause.until or self.regime.until

    def force(self, day: date) -> Force:
        """Return whether the clause is asked on ``day``."""
        if self.until is not None and last_day(self.until) < day:
            return Force.ENDED
        if self.begins is None:
            return Force.UNDATED
        return Force.ASKED if first_day(self.begins) <= day else Force.LATER


def first_day(text: str) -> date:
    """Return a day, or the first one of a month: what begins in a month is asked from its first day."""
    return date.fromisoformat(text if text.count("-") > 1 else f"{text}-01")


def last_day(text: str) -> date:
    """Return a day, or the last one of a month."""
    first = first_day(text)
    return first if text.count("-") > 1 else first.replace(day=calendar.monthrange(first.year, first.month)[1])


def bound_clauses(pack: Pack) -> Iterator[BoundClause]:
    """Yield every clause of a pack's regimes, in the order of the files."""
    checks = {check.id: (kind, check) for kind in ("always", "compare", "same") for check in getattr(pack.checks, kind)}
    for source, regime in pack.regimes:
        for number, clause in enumerate(regime.clauses):
            kind, check = clause.bindings[0], clause.own
            if clause.check is not None:
                kind, check = checks[clause.check]
            yield BoundClause(regime, clause, source.position(("clauses", number)), kind, check)


def covered(bound: BoundClause, space: CombinationSpace, possible: Mask) -> Mask:
    """Return the combinations that a clause's check speaks of; none for a duty.

    A check that compares speaks of a combination only where there is another one to compare it with.
    """
    check = bound.check
    if check is None:
        return np.zeros(space.shape, dtype=np.bool_)
    mask: Mask = space.region(check.where, check.unless) & possible
    if isinstance(check, AlwaysLimits):
        return mask
    if isinstance(check, CompareOrder):
        mask = mask & space.region({check.along: check.never_more_open})
    compared: Mask = mask & (mask.sum(axis=space.axis(check.along), keepdims=True) > 1)
    return compared


def refuse_hollow_clauses(pack: Pack, space: CombinationSpace, impossible: Mask, problems: Diagnostics) -> None:
    """Note every clause whose check proves nothing where the regime is, or would tell outsiders an age.

    A check ``same`` along age says for whom ages must look alike. There a clause may not cover one age and leave
    another out: whoever is treated as the law asks would be known to be of the age that it speaks of.
    """
    alike = [space.region(same.where, same.unless) & ~impossible for same in pack.checks.same if same.along == _AGE]
    for bound in bound_clauses(pack):
        if bound.check is None:
            continue
        cells = covered(bound, space, ~impossible)
        for attribute, words in bound.regime.where.items():
            for word in sorted(space.words(attribute, words)):
                if not (cells & space.region({attribute: (word,)})).any():
                    message = f"clause '{bound.name}': its check covers nothing where {attribute} is {word}"
                    problems.add(bound.position, "clause-covers-nothing", message)
        if isinstance(bound.check, AlwaysLimits):
            _refuse_everything_allowed(bound, bound.check, pack, problems)
            for region in alike:
                _refuse_telling(bound, cells, region, space, problems)


def _refuse_everything_allowed(bound: BoundClause, check: AlwaysLimits, pack: Pack, problems: Diagnostics) -> None:
    outcomes = pack.vocabulary.outcomes
    open_to_all = {field: getattr(outcomes, field)[-1] for field in outcomes.limited}
    if not check.recipe and all(value == open_to_all.get(field) for field, value in check.caps.items()):
        message = f"clause '{bound.name}': its check allows everything"
        problems.add(bound.position, "empty-ceiling", message)


def _refuse_telling(
    bound: BoundClause, cells: Mask, region: Mask, space: CombinationSpace, problems: Diagnostics
) -> None:
    """Note a clause that covers a combination of ``region`` and leaves out another one that differs in age alone."""
    some = (cells & region).any(axis=space.axis(_AGE), keepdims=True)
    left_out = np.broadcast_to(some, space.shape) & region & ~cells
    if left_out.any():
        first = summarise(space, left_out, impossible=np.zeros_like(left_out))[0].text
        message = f"clause '{bound.name}' would tell outsiders an age: it leaves out {first}"
        problems.add(bound.position, "clause-tells-ages-apart", message)
