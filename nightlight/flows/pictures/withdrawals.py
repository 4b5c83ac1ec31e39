"""Which tiers a change takes from somebody: their renditions need other names, and nobody else's do.

A change of age must not be seen by an outsider whose picture stays what it was. So a tier that outsiders keep is left
alone, even where a connection loses it: whoever was given it may go on having it as a stranger would.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from nightlight_core.decisions.answers import outcome_of
from nightlight_core.policy.table import NONE_TIER

if TYPE_CHECKING:
    from nightlight_core.policy.table import Outcome, Table

# Everybody else is an outsider.
INSIDERS = frozenset({"self", "guardian", "connection"})


class Standing(NamedTuple):
    """What a profile brings to decisions: words of the vocabulary, and the band that its picture is held to."""

    band: str
    assurance: str
    region: str
    choice: str
    report_flag: str
    effective_ceiling: str


class _Taken(NamedTuple):
    """What a table takes: from outsiders, from others, and what outsiders have afterwards."""

    from_outsiders: frozenset[str]
    from_insiders: frozenset[str]
    kept: frozenset[str]

    @property
    def tiers(self) -> frozenset[str]:
        return self.from_outsiders | (self.from_insiders - self.kept)


def withdrawn(
    tables: Iterable[Table], before: Iterable[Standing], after: Standing, *, earlier: Iterable[Table] = ()
) -> frozenset[str]:
    """Return the tiers that some viewer was given ``before`` and is given no more, or for a shorter time.

    ``tables`` are all that may decide for the profile, ``before`` all that was in force while URLs that still work were
    given out. ``earlier`` are tables that decided then and decide no more: what outsiders have by now is left alone.
    """
    changed = [standing for standing in before if standing != after]
    now = [_taken(table, standing, after) for table in tables for standing in changed]
    then = [_taken(table, standing, after) for table in earlier for standing in changed]
    kept = frozenset[str]().union(*(taken.kept for taken in now))
    return frozenset[str]().union(*(taken.tiers for taken in now), *(taken.tiers - kept for taken in then))


def _taken(table: Table, before: Standing, after: Standing) -> _Taken:
    from_insiders, from_outsiders, kept = set[str](), set[str](), set[str]()
    axes = (table.attributes[name] for name in ("relation", "viewer", "context"))
    for relation, viewer, context in itertools.product(*axes):
        viewed = {"relation": relation, "viewer": viewer, "context": context}
        was, now = _outcome(table, viewed, before), _outcome(table, viewed, after)
        outsider = relation not in INSIDERS
        if was.tier != NONE_TIER and _less(was, now):
            (from_outsiders if outsider else from_insiders).add(was.tier)
        if outsider:
            kept.add(now.tier)
    return _Taken(frozenset(from_outsiders), frozenset(from_insiders), frozenset(kept))


def _less(was: Outcome, now: Outcome) -> bool:
    """Say whether a smaller tier is given, or the same for a shorter time."""
    return now.rank[0] < was.rank[0] or (now.tier == was.tier and now.rank[1] < was.rank[1])


def _outcome(table: Table, viewed: dict[str, str], standing: Standing) -> Outcome:
    own = {
        "subject_age": standing.band,
        "assurance": standing.assurance,
        "region": standing.region,
        "choice": standing.choice,
        "report_flag": standing.report_flag,
    }
    return outcome_of(table, {**viewed, **own}, standing.effective_ceiling)
