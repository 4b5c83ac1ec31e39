"""What changes in the recipes of tiers between two packs, as they are written."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from nightlight.policy.changes import Change, ChangeKind, ordered
from nightlight_core.policy import protection

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled
    from nightlight_core.policy.tier import TierRecipe


def changed_recipes(old: Compiled, new: Compiled) -> list[Change]:
    """Return what changes in recipes as they are written, field by field."""
    changes = []
    before, after = old.table.tiers, new.table.tiers
    for name in dict.fromkeys((*before, *after)):
        left, right = before.get(name), after.get(name)
        if left is None or right is None:
            texts = [f"a recipe ({recipe_text(recipe)})" if recipe else "no recipe" for recipe in (left, right)]
            changes.append(Change(ChangeKind.CHANGES, f"tier {name}", texts[0], texts[1], 1))
            continue
        for field in differing_fields(left, right):
            kind = ChangeKind.CHANGES
            if field in protection.OPENING and protection.weaker(left, right, (field,)):
                kind = ChangeKind.OPENS
            elif field in protection.OPENING and protection.weaker(right, left, (field,)):
                kind = ChangeKind.CLOSES
            before_after = str(getattr(left, field)), str(getattr(right, field))
            safety = kind is ChangeKind.OPENS
            changes.append(Change(kind, f"tier {name}, {field}", *before_after, 1, fields=(field,), safety=safety))
    return ordered(changes)


def differing_fields(before: TierRecipe | None, after: TierRecipe | None) -> tuple[str, ...]:
    """Return the fields in which two recipes differ; none where one of them is none."""
    if before is None or after is None or before == after:
        return ()
    return tuple(name for name in before.__slots__ if getattr(before, name) != getattr(after, name))


def recipe_text(recipe: TierRecipe) -> str:
    """Return a recipe in one line: its size and quality, and every other field that is not the default."""
    given = {item.name: value for item in fields(recipe) if (value := getattr(recipe, item.name)) != item.default}
    always = {"edge": recipe.edge, "quality": recipe.quality}
    return ", ".join(f"{name} {value}" for name, value in {**always, **given}.items())
