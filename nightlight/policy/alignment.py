"""Two packs' combinations laid beside each other, so that each can be compared with what it was.

Words of the same spelling belong together, and words that a mapping names: ``br=other`` says that the new word ``br``
was ``other`` before, ``age_16_17=age_16+age_17`` that a word was split. An axis of the common space is a list of such
pairs. A word that one pack does not know gives ``none`` there, as it does when it is running; an attribute that a pack
does not have does not matter to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from nightlight.policy.combinations import CombinationSpace
from nightlight.policy.diagnostics import did_you_mean
from nightlight_core.errors import PolicyRefused

if TYPE_CHECKING:
    from nightlight.policy.combinations import Mask
    from nightlight.policy.compile import Compiled

# The words of one place on an axis: before, and now; None where a pack has none.
Pair = tuple[str | None, str | None]
_MOST_RENAMED = 64


@dataclass(frozen=True, slots=True)
class Renamed:
    """One mapping: these words of the old pack are those of the new one."""

    old: tuple[str, ...]
    new: tuple[str, ...]


def parse_renamed(texts: Iterable[str]) -> tuple[Renamed, ...]:
    """Return the mappings in ``a=b`` and ``a=b+c``, as written: which side is the old one is found out later.

    Raises PolicyRefused for anything else.
    """
    parsed = []
    for text in texts:
        sides = [tuple(word.strip() for word in side.split("+")) for side in text.split("=")]
        if len(sides) != 2 or not all(word for side in sides for word in side):  # noqa: PLR2004 - two sides
            message = f"'{text}' is no mapping of words; write new=old, or old=new+new where a word was split"
            raise PolicyRefused(message)
        parsed.append(Renamed(sides[1], sides[0]))
    if len(parsed) > _MOST_RENAMED:
        message = f"at most {_MOST_RENAMED} words can be mapped"
        raise PolicyRefused(message)
    return tuple(parsed)


@dataclass(frozen=True, slots=True)
class Alignment:
    """The common space: ``space`` has a label for each pair, ``pairs`` the pairs themselves, by attribute."""

    space: CombinationSpace
    pairs: Mapping[str, tuple[Pair, ...]]
    old: CombinationSpace
    new: CombinationSpace

    def before(self, values: np.ndarray[Any, Any], missing: int) -> np.ndarray[Any, Any]:
        """Return ``values`` of the old pack over the common space, ``missing`` where it does not know a word."""
        return self._laid(self.old, values, missing, 0)

    def after(self, values: np.ndarray[Any, Any], missing: int) -> np.ndarray[Any, Any]:
        """Return ``values`` of the new pack over the common space, ``missing`` where it does not know a word."""
        return self._laid(self.new, values, missing, 1)

    def spread(self, views: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return counts by the old pack's words over the common space: a word that stands twice is shared out."""
        laid = self.before(views, 0)
        for number, (name, pairs) in enumerate(self.pairs.items()):
            words = [old for old, _ in pairs]
            times = np.array([words.count(word) for word in words], dtype=np.float64)
            if name not in self.old.attributes:
                times = np.full(len(pairs), len(pairs), dtype=np.float64)
            laid = laid / times.reshape([-1 if axis == number else 1 for axis in range(laid.ndim)])
        return laid

    def known(self) -> Mask:
        """Return where both packs know every word."""
        ones = np.ones(self.old.shape, dtype=np.bool_), np.ones(self.new.shape, dtype=np.bool_)
        mask: Mask = self.before(ones[0], 0) & self.after(ones[1], 0)
        return mask

    def _laid(
        self, space: CombinationSpace, values: np.ndarray[Any, Any], missing: int, side: int
    ) -> np.ndarray[Any, Any]:
        order = [name for name in self.pairs if name in space.attributes]
        laid = np.transpose(values, [space.axis(name) for name in order])
        for number, (name, pairs) in enumerate(self.pairs.items()):
            if name not in space.attributes:
                laid = np.repeat(np.expand_dims(laid, number), len(pairs), axis=number)
                continue
            known, words = space.attributes[name], [pair[side] for pair in pairs]
            laid = np.take(laid, [0 if word is None else known.index(word) for word in words], axis=number)
            np.moveaxis(laid, number, 0)[[place for place, word in enumerate(words) if word is None]] = missing
        return laid


def replaced_words(old: Compiled, new: Compiled) -> list[Renamed]:
    """Return the mappings that the new pack's vocabulary says itself, of words that the old one has."""
    return [
        Renamed((word,), tuple(words))
        for attribute, by_word in new.pack.vocabulary.replaced.items()
        for word, words in by_word.items()
        if word in old.space.attributes.get(attribute, ())
    ]


def align(old: CombinationSpace, new: CombinationSpace, renamed: Sequence[Renamed] = ()) -> Alignment:
    """Return the common space of two packs.

    Raises PolicyRefused for a mapping whose words the packs do not have.
    """
    used: set[int] = set()
    pairs: dict[str, tuple[Pair, ...]] = {}
    for name in (*new.attributes, *(name for name in old.attributes if name not in new.attributes)):
        pairs[name] = _pairs(old.attributes.get(name, ()), new.attributes.get(name, ()), renamed, used)
    for number, mapping in enumerate(renamed):
        if number not in used:
            words = [word for space in (old, new) for listed in space.attributes.values() for word in listed]
            strange = next((word for word in (*mapping.new, *mapping.old) if word not in words), mapping.new[0])
            message = f"no attribute had {'+'.join(mapping.old)} and has {'+'.join(mapping.new)} now, or the reverse"
            raise PolicyRefused(message + did_you_mean(strange, dict.fromkeys(words)))
    labels = {name: _labels(listed) for name, listed in pairs.items()}
    groups = {name: _groups(labels[name], old.groups.get(name, {}), new.groups.get(name, {})) for name in labels}
    return Alignment(CombinationSpace(labels, groups), pairs, old, new)


def _pairs(old: tuple[str, ...], new: tuple[str, ...], renamed: Sequence[Renamed], used: set[int]) -> tuple[Pair, ...]:
    """Return an attribute's pairs: the new words in their order, then the old ones that nothing has taken over."""
    if not old or not new:
        return tuple((None, word) for word in new) + tuple((word, None) for word in old)
    mapped: list[Pair] = []
    for number, mapping in enumerate(renamed):
        for before, after in ((mapping.old, mapping.new), (mapping.new, mapping.old)):
            fits = set(before) <= set(old) and set(after) <= set(new)
            if fits and not (set(before) <= set(new) and set(after) <= set(old)):
                mapped += product(before, after)
                used.add(number)
                break
    taken, given = {before for before, _ in mapped}, {after for _, after in mapped}
    pairs: list[Pair] = []
    for word in new:
        if word in given:
            pairs += [pair for pair in mapped if pair[1] == word]
        if word in old:
            pairs.append((word, word))
        elif word not in given:
            pairs.append((None, word))
    return (*pairs, *((word, None) for word in old if word not in new and word not in taken))


def _labels(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Return a name for each pair: the new word, with the old one where the new word stands twice."""
    words = [after if after is not None else before for before, after in pairs]
    labels = []
    for (before, _), word in zip(pairs, words, strict=True):
        labels.append(str(word) if words.count(word) == 1 or before == word else f"{word} (was {before})")
    return tuple(labels)


def _groups(
    labels: tuple[str, ...], old: Mapping[str, tuple[str, ...]], new: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Return the groups that can be told in labels, the new pack's meaning first."""
    return {name: words for name, words in {**old, **new}.items() if set(words) <= set(labels)}
