"""A set of combinations told in few sentences, each naming only what matters.

A sentence is a box: for some attributes a list of words, for the others any word. Finding the fewest boxes
that cover a set is NP-hard (it is two-level logic minimisation); this is the greedy way of Espresso: grow a
box from a combination that is not covered yet until nothing more fits, in several orders of growth, keep
the one that covers most, and drop boxes at the end that the others cover. Combinations that cannot occur
may be covered or not, whichever gives the shorter sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from nightlight.policy.combinations import CombinationSpace, Mask

# More sentences than this help nobody; the rest is counted in one line.
MAX_SUMMARIES = 200


@dataclass(frozen=True, slots=True)
class Summary:
    """One box: its words by attribute (only those that matter), and how many combinations it adds."""

    words: dict[str, tuple[str, ...]]
    count: int
    text: str


def summarise(space: CombinationSpace, cells: Mask, *, impossible: Mask) -> list[Summary]:
    """Return few sentences that together cover exactly ``cells`` (and perhaps impossible combinations)."""
    allowed = cells | impossible
    boxes: list[tuple[Any, ...]] = []
    left = cells.copy()
    while left.any() and len(boxes) < MAX_SUMMARIES:
        seed = np.unravel_index(int(np.argmax(left)), left.shape)
        candidates = [_grow(allowed, seed, order) for order in _orders(len(space.shape))]
        best = max(candidates, key=lambda box: int(left[_mesh(box)].sum()))
        boxes.append(best)
        left[_mesh(best)] = False
    boxes = _needed(boxes, cells)
    summaries: list[Summary] = []
    covered = np.zeros_like(cells)
    for box in sorted(boxes, key=lambda box: -int(cells[_mesh(box)].sum())):
        part = _mesh(box)
        count = int((cells[part] & ~covered[part]).sum())
        covered[part] = True
        words = _words(space, _trimmed(box, cells))
        summaries.append(Summary(words, count, phrase(space, words)))
    rest = int((cells & ~covered).sum())
    if rest:
        summaries.append(Summary({}, rest, "and other combinations, too scattered to tell in a few sentences"))
    return summaries


def phrase(space: CombinationSpace, words: dict[str, tuple[str, ...]]) -> str:
    """Return a box in words, with the names of groups where a list is one."""
    if not words:
        return "every combination"
    return ", ".join(f"{attribute} {_list(space, attribute, listed)}" for attribute, listed in words.items())


def _list(space: CombinationSpace, attribute: str, words: tuple[str, ...]) -> str:
    chosen = set(words)
    names: list[str] = []
    for group, members in sorted(space.groups.get(attribute, {}).items(), key=lambda item: -len(item[1])):
        if set(members) <= chosen and len(members) > 1:
            names.append(group)
            chosen -= set(members)
    known = space.attributes[attribute]
    others = [word for word in known if word not in words]
    if not names and len(others) < len(words) and len(others) <= 3 < len(known):  # noqa: PLR2004 - the shorter list
        return f"not {' or '.join(others)}"
    names += [word for word in known if word in chosen]
    return " or ".join(names)


def _words(space: CombinationSpace, box: tuple[Any, ...]) -> dict[str, tuple[str, ...]]:
    chosen = {}
    for (attribute, words), positions in zip(space.attributes.items(), box, strict=True):
        if len(positions) < len(words):
            chosen[attribute] = tuple(words[position] for position in sorted(positions))
    return chosen


def _trimmed(box: tuple[Any, ...], cells: Mask) -> tuple[Any, ...]:
    """Return the box without words that only stand for impossible combinations, unless an axis is full."""
    trimmed = list(box)
    for axis, positions in enumerate(box):
        if len(positions) < cells.shape[axis]:
            others = tuple(number for number in range(len(box)) if number != axis)
            real = cells[_mesh(trimmed)].any(axis=others)
            trimmed[axis] = positions[real]
    return tuple(trimmed)


def _orders(axes: int) -> list[tuple[int, ...]]:
    """Return orders to grow in: every rotation, forwards and backwards."""
    forwards = tuple(range(axes))
    rotations = [forwards[number:] + forwards[:number] for number in range(axes)]
    return rotations + [rotation[::-1] for rotation in rotations]


def _grow(allowed: Mask, seed: Any, order: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the box that grows from ``seed``, axis after axis, as long as all of it is allowed."""
    box = [np.array([int(position)]) for position in seed]
    for axis in order:
        # All positions of this axis at which the rest of the box is allowed.
        rest = [np.arange(allowed.shape[axis]) if number == axis else box[number] for number in range(len(box))]
        others = tuple(number for number in range(len(box)) if number != axis)
        box[axis] = np.flatnonzero(allowed[_mesh(rest)].all(axis=others))
    return tuple(box)


def _mesh(box: Sequence[Any]) -> tuple[Any, ...]:
    """Return positions on each axis as indexes of all their combinations: numpy's ``ix_`` without its questions."""
    ones = [1] * len(box)
    return tuple(positions.reshape([*ones[:axis], -1, *ones[axis + 1 :]]) for axis, positions in enumerate(box))


def _needed(boxes: list[tuple[Any, ...]], cells: Mask) -> list[tuple[Any, ...]]:
    """Return the boxes without those that the others cover."""
    times = np.zeros(cells.shape, dtype=np.uint16)
    for box in boxes:
        times[_mesh(box)] += 1
    kept = []
    for box in sorted(boxes, key=lambda box: int(cells[_mesh(box)].sum())):
        part = _mesh(box)
        if (times[part][cells[part]] >= 2).all():  # noqa: PLR2004 - covered by another one too
            times[part] -= 1
        else:
            kept.append(box)
    return kept
