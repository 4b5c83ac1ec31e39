"""What tiers asked for when pictures were rendered, by the digest of the recipe that each rendition names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import select

from nightlight.catalogue.policy_schema import recipes
from nightlight.catalogue.rows import Rows, add_if_absent
from nightlight_core.policy.tier import TierRecipe


class Recipes(Rows):
    """Recipe rows, inside one transaction."""

    def add(self, by_digest: Mapping[str, TierRecipe], now: datetime) -> None:
        """Keep recipes; those that are known stay as they are."""
        known = self.get(by_digest)
        fresh = [
            {"digest": digest, "fields": recipe.pixels.written, "created_at": now}
            for digest, recipe in by_digest.items()
            if digest not in known
        ]
        if fresh:
            self._execute(add_if_absent(self._connection, recipes), fresh)

    def get(self, digests: Collection[str]) -> dict[str, TierRecipe]:
        """Return those of the recipes that are known, by their digests."""
        query = select(recipes.c.digest, recipes.c.fields).where(recipes.c.digest.in_(digests))
        return {digest: TierRecipe(**fields) for digest, fields in self._execute(query)}
