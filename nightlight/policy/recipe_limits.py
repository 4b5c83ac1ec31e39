"""Limits that checks set to the recipes of tiers: ``at_most 5``, ``at_least faint``.

``at_least`` asks for as much protection as a word gives, or more; numbers are compared as they are. A field that is not
given in a tier has no limit, and so is above every ``at_most``; for ``no_face_px``, ``face_px`` counts then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight_core.errors import PolicyRefused
from nightlight_core.policy.protection import FIELDS, effective
from nightlight_core.policy.tier import CLAIMS, RANGES, TierRecipe

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMIT = re.compile(r"(at_most|at_least) +([a-z_]+|[0-9]{1,7}(?:\.[0-9]{1,4})?)")
_NUMBERS = (*(name for name in RANGES if name != "effort"), *CLAIMS)
LIMITED = (*_NUMBERS, *(name for name, field in FIELDS.items() if field.words))


class RecipeLimit(NamedTuple):
    """One limit: at most or at least so much of a field."""

    at_most: bool
    value: str | float


def parse_limit(field: str, text: str) -> RecipeLimit | str:
    """Return the limit that ``text`` sets to a field, or what is wrong with it, for an editor."""
    match = _LIMIT.fullmatch(text.strip())
    words = FIELDS[field].words if field in FIELDS else ()
    if words:
        if match is None or match[1] == "at_most" or match[2] not in words:
            return f"{field} must be `at_least` one of {', '.join(words)}"
        return RecipeLimit(at_most=False, value=match[2])
    if match is None or not match[2][0].isdigit():
        return f"{field} must be `at_most` or `at_least` a number"
    return RecipeLimit(match[1] == "at_most", float(match[2]))


def weaker_than(recipe: TierRecipe, limits: Mapping[str, str]) -> tuple[str, ...]:
    """Return the fields of a tier's recipe that do not keep the limits, which must be valid ones."""
    return tuple(field for field, text in limits.items() if not _kept(effective(recipe, field), field, text))


def _kept(value: Any, field: str, text: str) -> bool:
    limit = parse_limit(field, text)
    if isinstance(limit, str):
        raise PolicyRefused(limit)
    if isinstance(limit.value, str):
        exposure = FIELDS[field].exposure
        return exposure(value) <= exposure(limit.value)
    if value is None:
        return not limit.at_most
    return bool(value <= limit.value if limit.at_most else value >= limit.value)


def problems(limits: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (field, what is wrong) for every limit that is none."""
    for field, text in limits.items():
        if field not in LIMITED:
            yield field, f"'{field}' is not a field of a recipe that a check can limit; known: {', '.join(LIMITED)}"
        elif isinstance(parsed := parse_limit(field, text), str):
            yield field, parsed
