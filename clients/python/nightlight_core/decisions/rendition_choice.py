"""Which rendition of a picture is shown: one of the tier that the policy gives, or of a tier that protects more.

::

    current   made by the recipe that its tier has now: shown
    earlier   made by another recipe: shown if, in no field that hides (policy.protection), it is weaker than that tier
              or one that protects more is now
    behind    until the picture has been rendered by every recipe of now, the policy before must have allowed it too

So a change of the policy takes effect at once, before any picture is rendered again, and nobody sees more than both
policies allow. Where no rendition of the tier may be shown, the next one that protects more takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from nightlight_core.policy import protection
from nightlight_core.policy.tier import TierRecipe

if TYPE_CHECKING:
    from nightlight_core.decisions.profile_views import AvailableRendition, ProfileView
    from nightlight_core.policy.table import Table

# The table that decided before, and the tier that it gives in the same situation.
Earlier = tuple["Table", str]


def choose_rendition(
    view: ProfileView, table: Table, tier: str, earlier: Callable[[], Earlier | None]
) -> tuple[AvailableRendition, ...]:
    """Return the variants of the rendition to show where ``table`` gives ``tier``; empty for the placeholder.

    ``earlier`` is asked only where the picture has not been rendered by every recipe of ``table``.
    """
    ladder = table.ladder(tier)
    before = earlier() if ladder and is_behind(view, table) else None
    for name, variants in _candidates(view, table, ladder):
        recipe = variants[0].recipe
        current = name in ladder and recipe == table.pixels.get(name)
        if not current and not _fits(recipe, table, ladder):
            continue
        if before is None or _fits(recipe, before[0], before[0].ladder(before[1])):
            return variants
    return ()


def is_behind(view: ProfileView, table: Table) -> bool:
    """Say whether a picture lacks a rendition by a recipe of ``table``."""
    return any(
        recipe not in {rendition.recipe for rendition in view.available.get(name, ())}
        for name, recipe in table.pixels.items()
    )


def _candidates(
    view: ProfileView, table: Table, ladder: tuple[str, ...]
) -> Iterator[tuple[str, tuple[AvailableRendition, ...]]]:
    """Yield (tier, variants of one recipe): from the tier that is given downwards, then of tiers that are no more."""
    others = sorted(
        (name for name in view.available if name not in table.pixels),
        key=lambda name: (-view.available[name][0].edge, name),
    )
    for name in (*ladder, *others):
        variants = view.available.get(name, ())
        recipes = list(dict.fromkeys(variant.recipe for variant in variants))
        current = table.pixels.get(name)
        for recipe in sorted(recipes, key=lambda recipe: (recipe != current, -recipe.edge)):
            yield name, tuple(variant for variant in variants if variant.recipe == recipe)


def _fits(recipe: TierRecipe, table: Table, ladder: tuple[str, ...]) -> bool:
    """Say whether a recipe is, in every field that hides, no weaker than one of these tiers."""
    return any(not protection.weaker(table.pixels[name], recipe, protection.HIDING) for name in ladder)
