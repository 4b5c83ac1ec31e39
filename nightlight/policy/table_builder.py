"""Ranks of every combination to the table that decides."""

from __future__ import annotations

import hashlib
import json
from array import array
from typing import TYPE_CHECKING

import numpy as np

from nightlight.policy.outcome_ranks import FIELDS
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
    columns = [ranks[field].astype(np.uint32) for field in FIELDS]
    who = np.where(impossible, np.uint32(len(pack.rules.rules)), bound.astype(np.uint32))
    packed = (columns[0] << 28 | columns[1] << 24 | columns[2] << 20 | columns[3] << 19 | who).ravel()
    kinds, cells = np.unique(packed, return_inverse=True)
    outcomes = tuple(_outcome(pack, int(kind)) for kind in kinds)
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
        array("H", cells.astype(np.uint16).tobytes()),
        outcomes,
        recipes,
        besides=hashlib.sha256(text.encode()).hexdigest(),
        replaced=vocabulary.replaced,
    )


def _outcome(pack: Pack, kind: int) -> Outcome:
    number = kind & 0x7FFFF
    rule = IMPOSSIBLE if number == len(pack.rules.rules) else pack.rules.rules[number].id
    tier, cache_s, per_hour, capture = kind >> 28, kind >> 24 & 0xF, kind >> 20 & 0xF, kind >> 19 & 1
    if tier == 0:
        return none_because(rule)
    outcomes = pack.vocabulary.outcomes
    values = outcomes.tier[tier], outcomes.cache_s[cache_s], outcomes.per_hour[per_hour], outcomes.capture[capture]
    return Outcome((tier, cache_s, per_hour, capture), *values, rule)
