"""Ranks of every combination to the table that decides."""

from __future__ import annotations

import hashlib
import json
from array import array
from typing import TYPE_CHECKING

import numpy as np

from nightlight.policy.outcome_ranks import packed_ranks, unpacked_ranks
from nightlight_core.policy.table import Outcome, Table, none_because

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nightlight.policy.combinations import CombinationSpace, Mask, Ranks
    from nightlight.policy.load import Pack
    from nightlight.policy.retention import RetentionTable

# The rule that is told where a combination cannot occur.
IMPOSSIBLE = "impossible"


def build_table(
    pack: Pack,
    space: CombinationSpace,
    ranks: Mapping[str, Ranks],
    bound: np.ndarray[tuple[int, ...], np.dtype[np.uint16]],
    impossible: Mask,
    retention: RetentionTable,
) -> Table:
    """Return the table: combinations with equal outcome and rule share one Outcome."""
    rules = len(pack.rules.rules) + 1
    who = np.where(impossible, np.uint16(rules - 1), bound)
    packed = (packed_ranks(ranks).astype(np.uint32) * np.uint32(rules) + who).ravel()
    # Counted and not sorted: there are few kinds, and at most a step for each outcome and rule.
    kinds = np.flatnonzero(np.bincount(packed))
    numbers = np.zeros(int(kinds[-1]) + 1, dtype=np.uint16)
    numbers[kinds] = np.arange(len(kinds))
    outcomes = tuple(_outcome(pack, *divmod(int(kind), rules)) for kind in kinds)
    vocabulary, recipes = pack.vocabulary, pack.tiers.recipes()
    meaning = {
        "tiers": {name: recipe.written for name, recipe in recipes.items()},
        "retention": retention.meaning(),
        "outcomes": vocabulary.outcomes.model_dump(mode="json"),
        **({"assurance": list(vocabulary.assurance)} if vocabulary.assurance else {}),
    }
    text = json.dumps(meaning, sort_keys=True, separators=(",", ":"))
    return Table(
        space.attributes,
        array("H", numbers[packed].tobytes()),
        outcomes,
        recipes,
        besides=hashlib.sha256(text.encode()).hexdigest(),
        replaced=vocabulary.replaced,
    )


def _outcome(pack: Pack, packed: int, number: int) -> Outcome:
    rule = IMPOSSIBLE if number == len(pack.rules.rules) else pack.rules.rules[number].id
    tier, cache_s, per_hour, capture = rank = unpacked_ranks(packed)
    if tier == 0:
        return none_because(rule)
    outcomes = pack.vocabulary.outcomes
    values = outcomes.tier[tier], outcomes.cache_s[cache_s], outcomes.per_hour[per_hour], outcomes.capture[capture]
    return Outcome(rank, *values, rule)
