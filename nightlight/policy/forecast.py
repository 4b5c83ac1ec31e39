"""What a change of recipes comes to: pictures to be rendered again, and what viewers are shown until they are.

Every picture has a rendition of each tier, so a recipe that changed is work for every picture that is shown. Until a
picture is rendered again, a viewer is shown what both policies allow of what there is: see
``nightlight_core.decisions.rendition_choice``, whose choice this makes for every combination.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nightlight_core.decisions.profile_views import AvailableRendition, ProfileView
from nightlight_core.decisions.rendition_choice import choose_rendition
from nightlight_core.policy.table import NONE_TIER

if TYPE_CHECKING:
    from nightlight.policy.alignment import Alignment
    from nightlight.policy.compile import Compiled
    from nightlight.policy.traffic import Traffic
    from nightlight_core.policy.table import Table


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a change of recipes comes to.

    ``tiers`` have another recipe, or are new. ``pictures`` wait to be rendered again, for about ``seconds`` on the
    present workers; ``placeholder`` and ``lower`` are the combinations that are shown the placeholder, or a tier that
    protects more, until then, with the views a day that are of those. What is not known is None.
    """

    tiers: tuple[str, ...]
    pictures: int | None
    seconds: float | None
    placeholder: int
    placeholder_views: float | None
    lower: int
    lower_views: float | None

    def __str__(self) -> str:
        """Return the line that a person reads."""
        pictures = "every picture" if self.pictures is None else f"{self.pictures:,} pictures"
        took = (
            "" if self.seconds is None else f", about {max(1, round(self.seconds / 60)):,} min on the present workers"
        )
        parts = [
            f"{count:,} combinations{'' if views is None else f' ({views:,.0f} views a day)'} {what}"
            for count, views, what in (
                (self.placeholder, self.placeholder_views, "show the placeholder"),
                (self.lower, self.lower_views, "show a lower tier"),
            )
            if count
        ]
        meanwhile = f"until then {', '.join(parts)}" if parts else "until then nobody is shown less than after it"
        return f"{pictures} to be rendered again ({', '.join(self.tiers)}){took}; {meanwhile}"

    def to_json(self) -> dict[str, Any]:
        """Return the forecast as plain values."""
        return asdict(self)


def forecast(old: Compiled, new: Compiled, alignment: Alignment, traffic: Traffic | None) -> Forecast | None:
    """Return what a change of recipes comes to; None where no recipe gives other pixels."""
    changed = tuple(name for name, recipe in new.table.pixels.items() if old.table.pixels.get(name) != recipe)
    if not changed:
        return None
    before, after = alignment.before(old.ranks["tier"], 0), alignment.after(new.ranks["tier"], 0)
    both = np.uint32(256) * before.astype(np.uint32) + after
    counts = alignment.spread(traffic.over(old.space)) if traffic and traffic.cells else None
    totals = {"placeholder": 0, "lower": 0}
    views = {"placeholder": 0.0, "lower": 0.0}
    for pair in map(int, np.unique(both)):
        then, now = old.pack.vocabulary.outcomes.tier[pair >> 8], new.pack.vocabulary.outcomes.tier[pair & 255]
        kind = _meanwhile(old.table, new.table, then, now)
        if kind is not None:
            cells = both == pair
            totals[kind] += int(cells.sum())
            views[kind] += float(counts[cells].sum()) if counts is not None else 0.0
    pictures = traffic.pictures if traffic else None
    rate = traffic.pictures_a_second if traffic else None
    return Forecast(
        changed,
        pictures,
        None if pictures is None or not rate else pictures / rate,
        totals["placeholder"],
        None if counts is None else views["placeholder"],
        totals["lower"],
        None if counts is None else views["lower"],
    )


def _meanwhile(old: Table, new: Table, then: str, now: str) -> str | None:
    """Return what a viewer who is given ``now`` is shown of a picture as it was: less, nothing, or (None) all of it."""
    if now == NONE_TIER:
        return None
    available = {name: (AvailableRendition(name, recipe.edge, recipe),) for name, recipe in old.pixels.items()}
    view = ProfileView("", known=True, available=available)
    shown = choose_rendition(view, new, now, lambda: (old, then))
    if not shown:
        return "placeholder"
    return None if shown[0].path == now else "lower"
