"""The combinations of the vocabulary's words as one array, and regions of it as masks.

An attribute is an axis, a word a position on it. Arrays here are numpy's, in the order of the vocabulary
(the last attribute varies fastest), so that proofs, mutants and comparisons are a few array operations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from nightlight.policy.models import Vocabulary

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Ranks = np.ndarray[Any, np.dtype[np.uint8]]
# Positions on each axis: the combinations of these.
Box = Sequence[np.ndarray[Any, np.dtype[np.intp]]]
Condition = Mapping[str, Iterable[str]]


@dataclass(frozen=True, slots=True)
class CombinationSpace:
    """Every combination of ``attributes``; ``groups`` are names for several words of one attribute."""

    attributes: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, Mapping[str, tuple[str, ...]]]

    @property
    def shape(self) -> tuple[int, ...]:
        """Return how many words each attribute has."""
        return tuple(len(words) for words in self.attributes.values())

    @property
    def size(self) -> int:
        """Return the number of combinations."""
        return math.prod(self.shape)

    def axis(self, attribute: str) -> int:
        """Return which axis an attribute is."""
        return list(self.attributes).index(attribute)

    def words(self, attribute: str, words: Iterable[str]) -> frozenset[str]:
        """Return plain words for words and groups."""
        groups = self.groups.get(attribute, {})
        return frozenset(plain for word in words for plain in groups.get(word, (word,)))

    def region(self, when: Condition, unless: Condition | None = None) -> Mask:
        """Return which combinations match all of ``when`` and not all of ``unless`` (if it is given)."""
        mask = self._all_of(when)
        if unless:
            mask = mask & ~self._all_of(unless)
        return np.broadcast_to(mask, self.shape)

    def _all_of(self, condition: Condition) -> Mask:
        mask: Mask = np.ones((1,) * len(self.attributes), dtype=np.bool_)
        for attribute, words in condition.items():
            chosen = self.words(attribute, words)
            axis = self.axis(attribute)
            members = np.array([word in chosen for word in self.attributes[attribute]], dtype=np.bool_)
            mask = mask & members.reshape([-1 if number == axis else 1 for number in range(len(self.attributes))])
        return mask

    def box(self, when: Condition) -> Box:
        """Return the combinations that match all of ``when`` as positions on each axis."""
        return [
            np.array([place for place, word in enumerate(words) if name not in when or word in chosen], dtype=np.intp)
            for name, words in self.attributes.items()
            for chosen in [self.words(name, when.get(name, ()))]
        ]

    def given(self, cell: Iterable[int]) -> dict[str, str]:
        """Return the combination at these positions, as attribute to word."""
        pairs = zip(self.attributes.items(), cell, strict=True)
        return {name: words[position] for (name, words), position in pairs}

    def position(self, given: Mapping[str, str]) -> tuple[int, ...]:
        """Return where a combination stands; raises KeyError or ValueError for a word that is not known."""
        return tuple(words.index(given[name]) for name, words in self.attributes.items())


def cut(values: np.ndarray[Any, Any], box: Box) -> np.ndarray[Any, Any]:
    """Return ``values`` in a box: a view where its positions are neighbours, else a copy."""
    neighbours = [len(part) == 0 or len(part) == part[-1] - part[0] + 1 for part in box]
    cut_out = values[
        tuple(
            slice(part[0], part[-1] + 1) if near and len(part) else slice(None)
            for part, near in zip(box, neighbours, strict=True)
        )
    ]
    for axis, (part, near) in enumerate(zip(box, neighbours, strict=True)):
        if not near:
            cut_out = cut_out.take(part, axis=axis)
    return cut_out


def combination_space(vocabulary: Vocabulary) -> CombinationSpace:
    """Return the space of a vocabulary."""
    return CombinationSpace(vocabulary.attributes, vocabulary.groups)
