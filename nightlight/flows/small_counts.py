"""Which counts of a report may be told: none that is small, and none from which a small one could be worked out.

This is the complementary suppression of official statistics: where one cell of a sum is withheld, another goes with it.
Source: Hundepool et al., Statistical Disclosure Control (Wiley, 2012), chapter 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

_Key = TypeVar("_Key")


def shown(count: int, threshold: int) -> int | None:
    """Return a count that may be told, None for one that is small; nothing is nothing."""
    return count if count == 0 or count >= threshold else None


def shown_beside(count: int, whole: int, threshold: int) -> int | None:
    """Return a part of a whole that is told; None where it is small, or what is left of the whole is."""
    return count if shown(count, threshold) == count and shown(whole - count, threshold) is not None else None


def parts_shown(counts: Mapping[_Key, int], total: int, threshold: int) -> dict[_Key, int]:
    """Return the parts of a total that may be told beside it: what is left out is nothing, or is not small."""
    parts = {key: count for key, count in counts.items() if count >= threshold}
    while parts and 0 < total - sum(parts.values()) < threshold:
        del parts[min(parts, key=lambda key: parts[key])]
    return parts


def group_shown(counts: Mapping[_Key, int], threshold: int) -> dict[_Key, int | None]:
    """Return the counts of a group whose sum others may know: a withheld one is never the only one.

    With it goes the smallest that is told; where nothing else was counted, it stays alone.
    """
    published = {key: shown(count, threshold) for key, count in counts.items()}
    others = {key: count for key, count in published.items() if count}
    if sum(count is None for count in published.values()) == 1 and others:
        published[min(others, key=lambda key: counts[key])] = None
    return published
