"""What each viewer is shown of each profile otherwise than before, field by field, recipes included.

What is shown is compared on every day on which either pack changes by itself. What a pack opens by itself on a day is
told too, unless the pack before opens the same on that day, and so had it approved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nightlight.policy.alignment import align
from nightlight.policy.changes import Change, ChangeKind, ordered
from nightlight.policy.diff_recipes import differing_fields, recipe_text
from nightlight.policy.outcome_ranks import PACKED_BITS, unpacked_ranks
from nightlight.policy.summarise import summarise
from nightlight_core.policy import protection
from nightlight_core.policy.table import CAPTURE, FORBID, NONE_TIER

if TYPE_CHECKING:
    from nightlight.policy.alignment import Alignment
    from nightlight.policy.combinations import Mask
    from nightlight.policy.compile import Compiled
    from nightlight.policy.traffic import Traffic
    from nightlight_core.policy.tier import TierRecipe


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a combination shows: the outcome, and the recipe of its tier (None: nothing)."""

    tier: str
    recipe: TierRecipe | None
    cache_s: int
    per_hour: int
    capture: str


_NOTHING = _Shown(NONE_TIER, None, 0, 0, FORBID)


def _shown(compiled: Compiled) -> tuple[np.ndarray[Any, Any], dict[int, _Shown]]:
    """Return a number for each combination's outcome (0: nothing is shown), and what each number stands for."""
    packed, outcomes, recipes = compiled.packed, compiled.pack.vocabulary.outcomes, compiled.table.tiers
    meaning = {0: _NOTHING}
    for number in map(int, np.flatnonzero(np.bincount(packed.ravel()))):
        tier, cache_s, per_hour, capture = unpacked_ranks(number)
        if tier:
            name, limits = outcomes.tier[tier], (outcomes.cache_s[cache_s], outcomes.per_hour[per_hour])
            meaning[number] = _Shown(name, recipes[name], *limits, outcomes.capture[capture])
    return packed, meaning


def _pairs(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], list[int]]:
    """Return a number for each pair of outcomes, and the numbers of those that occur."""
    pairs = before.astype(np.uint32) << PACKED_BITS | after
    # Most outcomes are as before: those are counted, and the others alone sorted.
    alike = np.flatnonzero(np.bincount(before[before == after])) * (1 + (1 << PACKED_BITS))
    return pairs, sorted(map(int, (*alike, *np.unique(pairs[before != after]))))


def changed_outcomes(
    old: Compiled, new: Compiled, alignment: Alignment, traffic: Traffic | None, today: str
) -> list[Change]:
    """Return what is shown otherwise from a day on, each change with the first day of those on which it is so."""
    days = [today, *sorted(day for day in {*old.days, *new.days} if day > today)]
    changes: list[Change] = []
    before: list[Change] = []
    for number, day in enumerate(days):
        now = _outcomes(old.on(day), new.on(day), alignment, traffic)
        dated = day if number else ""
        changes += [replace(change, begins=dated) for change in now if change not in before]
        if number and (cells := _opened_by_date(old, new, days[number - 1], day)).any():
            itself = align(new.space, new.space)
            opened = _outcomes(new.on(days[number - 1]), new.on(day), itself, traffic, cells)
            changes += [replace(change, begins=dated) for change in opened]
        before = now
    return ordered(list(dict.fromkeys(changes)))


def _opened_by_date(old: Compiled, new: Compiled, before: str, day: str) -> Mask:
    """Return what ``new`` opens by itself on a day, but for what ``old`` opens by itself on that day too.

    The latter was approved for that day. Where the two packs have other words, that is nothing.
    """
    opened = _opened(new.on(before), new.on(day))
    if list(old.space.attributes.items()) == list(new.space.attributes.items()):
        opened = opened & ~(_opened(old.on(before), old.on(day)) & ~_opened(old.on(day), new.on(day)))
    return opened


def _opened(before: Compiled, after: Compiled) -> Mask:
    """Return which combinations are shown more, or finer, by ``after``; both have the same ones."""
    if before.pack is after.pack and (before.packed == after.packed).all():
        return np.zeros(before.space.shape, dtype=np.bool_)
    (packed_before, meaning_before), (packed_after, meaning_after) = _shown(before), _shown(after)
    pairs, occurring = _pairs(packed_before, packed_after)
    kinds = []
    for pair in occurring:
        left, right = meaning_before[pair >> PACKED_BITS], meaning_after[pair & (1 << PACKED_BITS) - 1]
        if _weaker(left, right) or _finer(left, right):
            kinds.append(pair)
    mask: Mask = np.isin(pairs, kinds) if kinds else np.zeros(pairs.shape, dtype=np.bool_)
    return mask


def _outcomes(
    old: Compiled, new: Compiled, alignment: Alignment, traffic: Traffic | None, only: Mask | None = None
) -> list[Change]:
    (packed_old, meaning_old), (packed_new, meaning_new) = _shown(old), _shown(new)
    before, after = alignment.before(packed_old, 0), alignment.after(packed_new, 0)
    both_impossible = alignment.before(old.impossible, 1) & alignment.after(new.impossible, 1)
    counts = alignment.spread(traffic.over(old.space)) if traffic and traffic.cells else None
    outsiders = _outsiders(old, new, alignment)
    pairs, occurring = _pairs(before, after)
    cells_of: dict[Change, Mask] = {}
    for pair in occurring:
        left, right = meaning_old[pair >> PACKED_BITS], meaning_new[pair & (1 << PACKED_BITS) - 1]
        if left == right:
            continue
        cells = pairs == pair if only is None else (pairs == pair) & only
        if not cells.any():
            continue
        change = _judged(left, right, outsider=bool((cells & outsiders).any()))
        # What differs in the same way is told together, whatever the fields that stay have for values.
        cells_of[change] = cells_of[change] | cells if change in cells_of else cells
    changes = []
    for change, cells in cells_of.items():
        for sentence in summarise(alignment.space, cells, impossible=both_impossible):
            views = None
            if counts is not None:
                views = float(counts[alignment.space.region(sentence.words) & cells].sum())
            changes.append(replace(change, where=sentence.text, count=sentence.count, views_a_day=views))
    return ordered(changes)


def _outsiders(old: Compiled, new: Compiled, alignment: Alignment) -> Mask:
    """Return where the viewer is an outsider in either pack: a relation of the group of that name, all without one."""
    regions = []
    for compiled in (old, new):
        group = compiled.space.groups.get("relation", {}).get("outsider")
        regions.append(compiled.space.region({"relation": group} if group else {}))
    mask: Mask = alignment.before(regions[0], 0).astype(np.bool_) | alignment.after(regions[1], 0).astype(np.bool_)
    return mask


def _judged(before: _Shown, after: _Shown, *, outsider: bool) -> Change:
    """Return the change of one combination, without its place."""
    opened, closed = _weaker(before, after), _weaker(after, before)
    kind = ChangeKind.OPENS if opened else ChangeKind.CLOSES if closed else ChangeKind.CHANGES
    recipes = before.recipe, after.recipe
    finer = _finer(before, after)
    texts = _text(before, after), _text(after, before)
    fields = opened or closed or differing_fields(*recipes) or ("tier",)
    return Change(kind, "", *texts, 0, fields=fields, safety=bool(opened) or (finer and outsider))


def _finer(before: _Shown, after: _Shown) -> bool:
    """Say whether ``after`` shows the same picture at a higher quality, or with more bytes until that is lowered."""
    if before.recipe is None or after.recipe is None:
        return False
    room = before.recipe.max_bytes or math.inf, after.recipe.max_bytes or math.inf
    return after.recipe.quality > before.recipe.quality or room[1] > room[0]


def _weaker(before: _Shown, after: _Shown) -> tuple[str, ...]:
    """Return the fields in which ``after`` protects less."""
    if after.recipe is None:
        return ()
    if before.recipe is None:
        return ("tier",)
    limits = tuple(name for name in ("cache_s", "per_hour") if getattr(after, name) > getattr(before, name))
    capture = ("capture",) if (before.capture, after.capture) == CAPTURE else ()
    return protection.weaker(before.recipe, after.recipe) + limits + capture


def _text(shown: _Shown, other: _Shown) -> str:
    """Return what is shown, with the recipe and the limits in so far as they differ from the other side."""
    if shown.recipe is None:
        return NONE_TIER
    text = shown.tier
    if other.recipe is not None and shown.recipe != other.recipe:
        text += f" ({recipe_text(shown.recipe)})"
    if other.recipe is None or (shown.cache_s, shown.per_hour) != (other.cache_s, other.per_hour):
        text += f", {shown.cache_s} s, {shown.per_hour}/h"
    # Beside nothing, that it may not be captured goes without saying.
    if shown.capture != other.capture:
        text += f", capture {shown.capture}"
    return text
