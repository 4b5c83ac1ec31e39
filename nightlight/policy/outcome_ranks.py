"""Ceilings of rules to outcomes, as ranks: places in the vocabulary's lists, of which 0 protects most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nightlight.policy.combinations import CombinationSpace, Mask, Ranks
    from nightlight.policy.load import Pack
    from nightlight.policy.models import PolicyRule

UNSET = 255
# Fields of which the lowest value shows nothing, and those that limit what is shown.
SHOWING = ("tier", "cache_s", "per_hour")
FIELDS = (*SHOWING, "capture")
# Tier, cache_s and per_hour have at most 16 values each, capture two.
PACKED_BITS = 13
_TIER, _CACHE_S, _PER_HOUR = np.uint16(9), np.uint16(5), np.uint16(1)


def packed_ranks(ranks: Mapping[str, Ranks]) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Return the four ranks of each combination as one number below 2 ** PACKED_BITS, in the order of FIELDS."""
    tier, cache_s, per_hour, capture = (ranks[field].astype(np.uint16) for field in FIELDS)
    packed: np.ndarray[Any, np.dtype[np.uint16]] = tier << _TIER | cache_s << _CACHE_S | per_hour << _PER_HOUR | capture
    return packed


def unpacked_ranks(packed: int) -> tuple[int, int, int, int]:
    """Return the ranks that were packed to one number."""
    return packed >> int(_TIER), packed >> int(_CACHE_S) & 0xF, packed >> int(_PER_HOUR) & 0xF, packed & 1


def limits(rule: PolicyRule, pack: Pack) -> dict[str, int]:
    """Return a rule's ceilings as ranks: positions in the vocabulary's lists of outcomes."""
    given = rule.at_most.model_dump(exclude_none=True)
    return {field: getattr(pack.vocabulary.outcomes, field).index(value) for field, value in given.items()}


class Ceilings(NamedTuple):
    """For each field the lowest ceiling of each combination (UNSET where none), and the place of the rule that binds.

    A place is one in the order in which ties are settled. LAST stands where no rule limits the tier.
    """

    lowest: Mapping[str, Ranks]
    place: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]


LAST = 0xFFFF


def no_ceilings(space: CombinationSpace, limited: Sequence[str]) -> Ceilings:
    """Return the ceilings of no rule at all. A field that is not ``limited`` has one value, everywhere."""
    lowest = {field: np.full(space.shape, UNSET if field in limited else 0, dtype=np.uint8) for field in FIELDS}
    return Ceilings(lowest, np.full(space.shape, LAST, dtype=np.uint16))


def lowered(before: Ceilings, rules: Iterable[tuple[int, Mask, Mapping[str, int]]]) -> Ceilings:
    """Return ceilings with more rules, each with its place, where it applies, and its ceilings.

    A tie binds the rule of the lower place, so that neither the order in which rules are written nor that in which they
    are taken can matter.
    """
    lowest = {field: ranks.copy() for field, ranks in before.lowest.items()}
    places = before.place.copy()
    for place, region, limit in rules:
        for field, rank in limit.items():
            lower = region & (lowest[field] > rank)
            if field == "tier":
                places[lower | (region & (lowest[field] == rank) & (places > place))] = place
            lowest[field][lower] = rank
    return Ceilings(lowest, places)


def canonical(lowest: Mapping[str, Ranks], impossible: Mask) -> dict[str, Ranks]:
    """Return ranks in which everything that shows nothing is one and the same ``none``.

    A picture that may not be cached at all, or be seen zero times an hour, is not shown; nor is anything
    in a combination that cannot occur. A combination without a ceiling for its tier stays UNSET.
    """
    nothing = impossible.copy()
    for field in SHOWING:
        nothing |= lowest[field] == 0
    nothing &= impossible | (lowest["tier"] != UNSET)
    return {field: np.where(nothing, np.uint8(0), lowest[field]) for field in FIELDS}
