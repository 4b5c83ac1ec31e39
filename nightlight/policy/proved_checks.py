"""The checks that are proved of a pack: those of ``checks.yaml``, and those that regimes' clauses carry themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.policy.regimes import bound_clauses

if TYPE_CHECKING:
    from nightlight.policy.combinations import Box, CombinationSpace, Mask
    from nightlight.policy.diagnostics import SourcePosition
    from nightlight.policy.load import Pack
    from nightlight.policy.models import AlwaysLimits, CompareOrder, SameAlong


@dataclass(frozen=True, slots=True)
class ProvedCheck:
    """A check with its id (a clause's is ``regime/clause``), its place, what it speaks of, and a box around that."""

    id: str
    kind: str
    position: SourcePosition
    check: AlwaysLimits | CompareOrder | SameAlong
    region: Mask
    box: Box


def proved_checks(pack: Pack, space: CombinationSpace) -> list[ProvedCheck]:
    """Return the checks of a pack in the order of its files."""
    proved = [
        ProvedCheck(
            check.id,
            kind,
            pack.checks_source.position((kind, number)),
            check,
            space.region(check.where, check.unless),
            space.box(check.where),
        )
        for kind in ("always", "compare", "same")
        for number, check in enumerate(getattr(pack.checks, kind))
    ]
    for bound in bound_clauses(pack):
        if (own := bound.clause.own) is not None:
            region = space.region(own.where, own.unless)
            proved.append(ProvedCheck(bound.name, bound.kind, bound.position, own, region, space.box(own.where)))
    return proved
