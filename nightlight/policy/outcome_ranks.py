"""Ceilings of rules to outcomes, as ranks: places in the vocabulary's lists, of which 0 protects most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nightlight.policy.combinations import CombinationSpace, Mask, Ranks
    from nightlight.policy.load import Pack
    from nightlight.policy.models import PolicyRule

UNSET = 255
# Fields of which the lowest value shows nothing, and those that limit what is shown.
SHOWING = ("tier", "cache_s", "per_hour")
FIELDS = (*SHOWING, "capture")


def limits(rule: PolicyRule, pack: Pack) -> dict[str, int]:
    """Return a rule's ceilings as ranks: positions in the vocabulary's lists of outcomes."""
    given = rule.at_most.model_dump(exclude_none=True)
    return {field: getattr(pack.vocabulary.outcomes, field).index(value) for field, value in given.items()}


def ceilings(
    rules: Sequence[tuple[Mask, Mapping[str, int]]],
    space: CombinationSpace,
    *,
    order: Sequence[int],
    limited: Sequence[str],
) -> tuple[dict[str, Ranks], np.ndarray[tuple[int, ...], np.dtype[np.uint16]]]:
    """Return, for each field, the lowest ceiling of each combination (UNSET where none), and the binding rule.

    Rules are taken in ``order``, and a tie keeps the first, so that the order in which they are written
    cannot matter. A field that is not ``limited`` has one value, everywhere.
    """
    lowest: dict[str, Ranks] = {
        field: np.full(space.shape, UNSET if field in limited else 0, dtype=np.uint8) for field in FIELDS
    }
    bound = np.zeros(space.shape, dtype=np.uint16)
    for number in order:
        region, limit = rules[number]
        for field, rank in limit.items():
            lower = region & (lowest[field] > rank)
            lowest[field][lower] = rank
            if field == "tier":
                bound[lower] = number
    return lowest, bound


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
