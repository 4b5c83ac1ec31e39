"""The compiled policy: one cell for every combination, and the look-up."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import sys
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from nightlight_core.policy.tier import TierRecipe

NONE_TIER = "none"
# Whether apps are asked to refuse screenshots and downloads, or need not; the first protects most.
CAPTURE = ("forbid", "allow")
FORBID, ALLOW = CAPTURE
# Words of before by attribute, each with the words in its place.
Replaced = Mapping[str, Mapping[str, tuple[str, ...]]]
_DIGEST = "nightlight-policy/3"
# Of words of before in several attributes at once, at most so many combinations are looked at.
_MOST_REPLACEMENTS = 1000
_BYTE = 256


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the policy gives: the tier, how long a copy may be cached, how many an hour, and whether it may be captured.

    ``rank`` orders outcomes by how much they open (smaller protects more); ``rule`` is the id of the
    rule that bound the tier, or ``impossible`` / ``doubt`` where no rule did. ``capture`` is a word of ``CAPTURE``.
    """

    rank: tuple[int, int, int, int]
    tier: str
    cache_s: int
    per_hour: int
    capture: str
    rule: str


def none_because(rule: str) -> Outcome:
    """Return the one canonical outcome that shows nothing."""
    return Outcome((0, 0, 0, 0), NONE_TIER, 0, 0, FORBID, rule)


DOUBT = none_because("doubt")
# The rule that binds a tier where less was asked for than the policy allows.
ASKED = "asked-for-less"


class Table:
    """Every combination's outcome. Immutable; safe to share between threads."""

    __slots__ = (
        "_columns", "_ladders", "_pick_column", "_pick_row", "_rows", "_tier_ranks", "attributes", "besides", "cells",
        "digest", "outcomes", "pixels", "replaced", "tiers",
    )  # fmt: skip

    def __init__(
        self,
        attributes: Mapping[str, tuple[str, ...]],
        cells: array[int],
        outcomes: tuple[Outcome, ...],
        tiers: Mapping[str, TierRecipe],
        *,
        besides: str = "",
        replaced: Replaced | None = None,
    ) -> None:
        """Take cells in row-major order of ``attributes``; each is an index into ``outcomes``.

        ``besides`` is a hash of what else the policy means, for the digest: recipes, retention, the order of outcomes.
        ``replaced`` has words of before that may still be stored, by attribute, with the words in their place.
        """
        self.attributes = dict(attributes)
        self.outcomes = outcomes
        self.tiers = dict(tiers)
        self.pixels = {name: recipe.pixels for name, recipe in tiers.items()}
        self._ladders = _ladders(outcomes, self.pixels)
        self._tier_ranks = {outcome.tier: outcome.rank[0] for outcome in outcomes}
        self.cells = cells
        names = tuple(self.attributes)
        split = _balanced(tuple(map(len, self.attributes.values())))
        # The words of the first attributes give a row, those of the others a place in it: a whole decision is two
        # look-ups, and what is kept is far smaller than one entry for each combination.
        self._pick_row, self._pick_column = _picker(names[:split]), _picker(names[split:])
        self._columns = _places([self.attributes[name] for name in names[split:]])
        self._rows = self._shared_rows(_places([self.attributes[name] for name in names[:split]]))
        self.besides = besides
        self.replaced = {name: dict(words) for name, words in (replaced or {}).items()}
        self.digest = self._digest()

    def __len__(self) -> int:
        """Return the number of combinations."""
        return len(self.cells)

    def decide(self, given: Mapping[str, str]) -> Outcome:
        """Return the outcome for ``given`` (attribute to word); a missing or unknown word gives DOUBT.

        A word of before gives the most protective outcome of the words in its place.
        """
        try:
            return self._rows[self._pick_row(given)][self._columns[self._pick_column(given)]]
        except (KeyError, TypeError):
            return self._by_replacements(given) if self.replaced else DOUBT

    def _shared_rows(self, places: Mapping[tuple[str, ...], int]) -> dict[tuple[str, ...], tuple[Outcome, ...]]:
        """Return the outcomes of each row; rows that are alike are one object."""
        width, outcome_of, alike = len(self._columns), self.outcomes.__getitem__, dict[bytes, tuple[Outcome, ...]]()
        rows = {}
        for words, place in places.items():
            row = self.cells[place * width : (place + 1) * width]
            key = row.tobytes()
            rows[words] = alike.get(key) or alike.setdefault(key, tuple(map(outcome_of, row)))
        return rows

    def _by_replacements(self, given: Mapping[str, str]) -> Outcome:
        choices = [self.words_for(name, given.get(name, "")) for name in self.attributes]
        if not all(choices) or math.prod(map(len, choices)) > _MOST_REPLACEMENTS:
            return DOUBT
        combinations = (dict(zip(self.attributes, words, strict=True)) for words in itertools.product(*choices))
        return functools.reduce(more_protective, map(self.decide, combinations))

    def words_for(self, attribute: str, word: str) -> tuple[str, ...]:
        """Return the word, or the words in the place of one of before; empty for one that nobody knows."""
        if word in self.attributes[attribute]:
            return (word,)
        return self.replaced.get(attribute, {}).get(word, ())

    def ladder(self, tier: str) -> tuple[str, ...]:
        """Return a tier and those that protect more and are given somewhere, the most open first; empty for none."""
        return self._ladders.get(tier, ())

    @property
    def tier_words(self) -> tuple[str, ...]:
        """Return the tiers that somebody may ask for at most: none, and those that are given somewhere."""
        return (NONE_TIER, *self._ladders)

    def at_most(self, outcome: Outcome, tier: str) -> Outcome:
        """Return an outcome that opens no more than a tier that was asked for.

        A tier that this table never gives shows nothing.
        """
        if tier == outcome.tier:
            return outcome
        if tier not in self._ladders:
            return none_because(ASKED)
        if tier not in self.ladder(outcome.tier):
            return outcome
        rank = self._tier_ranks[tier], *outcome.rank[1:]
        return replace(outcome, rank=rank, tier=tier, rule=ASKED)

    def unknown_words(self, given: Mapping[str, str]) -> list[str]:
        """Return the names of attributes in ``given`` that are missing or whose word is not known."""
        return [name for name in self.attributes if not self.words_for(name, given.get(name, ""))]

    def same_as(self, other: Table) -> bool:
        """Say whether two tables are alike in all that they hold, the names of rules and their order included."""
        alike = (self.outcomes, self.tiers, self.cells) == (other.outcomes, other.tiers, other.cells)
        return alike and list(self.attributes.items()) == list(other.attributes.items())

    def _digest(self) -> str:
        """Return a SHA-256, in hexadecimal, of all that a reader of the table acts on; the names of rules are not."""
        rows = [[o.rank, o.tier, o.cache_s, o.per_hour, o.capture] for o in self.outcomes]
        return self._hashed(rows, self._head(_DIGEST))

    def _head(self, name: str) -> list[Any]:
        recipes = {name: tier.written for name, tier in self.tiers.items()}
        head = [name, list(self.attributes.items()), json.dumps(recipes, sort_keys=True), self.besides]
        if self.replaced:
            head.insert(-1, json.dumps(self.replaced, sort_keys=True))
        return head

    def earlier_digest(self, number: int) -> str:
        """Return the digest as bundles of format 2 have it, without capture, or of 1, without ranks and recipes too."""
        if number == 1:
            rows = [[o.tier, o.cache_s, o.per_hour] for o in self.outcomes]
            return self._hashed(rows, [self.attributes, self.besides])
        rows = [[o.rank[:3], o.tier, o.cache_s, o.per_hour] for o in self.outcomes]
        return self._hashed(rows, self._head("nightlight-policy/2"))

    def _hashed(self, meaning: list[list[Any]], head: list[Any]) -> str:
        texts = [json.dumps(m) for m in meaning]
        unique = sorted(set(texts))
        number = {text: position for position, text in enumerate(unique)}
        body = _renumbered(self.cells, [number[text] for text in texts])
        head.insert(-1, unique)
        return hashlib.sha256(json.dumps(head, separators=(",", ":")).encode() + b"\0" + body).hexdigest()


def _renumbered(cells: array[int], numbers: list[int]) -> bytes:
    """Return the number of each cell in two bytes, the higher one first."""
    if len(numbers) <= _BYTE:  # each cell is one byte beside a zero: one look-up in C
        plain = cells.tobytes()[0 if sys.byteorder == "little" else 1 :: 2]
        body = bytearray(2 * len(plain))
        body[1::2] = plain.translate(bytes(numbers).ljust(_BYTE, b"\0"))
        return bytes(body)
    listed = array("H", map(numbers.__getitem__, cells))
    if sys.byteorder == "little":
        listed.byteswap()
    return listed.tobytes()


def more_protective(left: Outcome, right: Outcome) -> Outcome:
    """Return the outcome that opens no more than either, field by field."""
    lower, higher = (left, right) if left.rank <= right.rank else (right, left)
    if all(a <= b for a, b in zip(lower.rank, higher.rank, strict=True)):
        return lower
    rank = tuple(min(pair) for pair in zip(lower.rank, higher.rank, strict=True))
    return Outcome(
        (rank[0], rank[1], rank[2], rank[3]),
        lower.tier,
        lower.cache_s if lower.rank[1] <= higher.rank[1] else higher.cache_s,
        lower.per_hour if lower.rank[2] <= higher.rank[2] else higher.per_hour,
        lower.capture if lower.rank[3] <= higher.rank[3] else higher.capture,
        lower.rule,
    )


def _ladders(outcomes: tuple[Outcome, ...], tiers: Mapping[str, TierRecipe]) -> dict[str, tuple[str, ...]]:
    ranks = {outcome.tier: outcome.rank[0] for outcome in outcomes if outcome.tier in tiers}
    ordered = sorted(ranks, key=ranks.__getitem__, reverse=True)
    return {tier: tuple(ordered[place:]) for place, tier in enumerate(ordered)}


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, str]], tuple[str, ...]]:
    """Return what picks the words of a combination, in order, as a tuple."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda given: tuple(given[name] for name in names)


def _balanced(sizes: tuple[int, ...]) -> int:
    """Return after how many attributes to split, so that there are few rows and few columns."""
    splits = range(1, len(sizes)) or range(1)
    return min(splits, key=lambda split: math.prod(sizes[:split]) + math.prod(sizes[split:]))


def _places(words: list[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    """Return each combination's number, the last attribute varying fastest."""
    return {combination: number for number, combination in enumerate(itertools.product(*words))}


# A policy that cannot be read: it allows nothing.
UNKNOWN_TABLE = Table({"unknown": ("",)}, array("H", [0]), (DOUBT,), {})
