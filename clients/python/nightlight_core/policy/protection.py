"""How much a recipe shows: for each field of a tier, which of two values protects more, and what follows from that.

::

    field                      protects more when       a weaker value   orders tiers   a rendition made under
                                                        in a change is                  a weaker value is
    edge, face_px, no_face_px  smaller (None: no limit) OPENS            yes            hidden
    visible_watermark          stronger                 OPENS            no             hidden
    invisible_watermark        required, best_effort    OPENS            no             hidden
    provenance                 there is a manifest      OPENS            no             hidden
    psnr_at_least              smaller                  OPENS            no             shown
    claims (tier.CLAIMS)       smaller                  OPENS            no             shown
    variants                   more                     CHANGES          no             shown
    all other fields           neither                  CHANGES          no             shown

Where ``no_face_px`` is absent, or less than ``face_px``, ``face_px`` counts in its place: the whole picture is a face.

The comparison of policies, the checks of recipes and the choice of renditions all read this one table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nightlight_core.policy.tier import CLAIMS

Exposure = Callable[[Any], float]


@dataclass(frozen=True, slots=True)
class RecipeField:
    """One field: ``exposure`` gives a number that grows with what a value shows.

    ``opens``: a weaker value weakens protection. ``orders_tiers``: it may not shrink from a tier to a more open one.
    ``hides``: a rendition that was made under a weaker value is not shown any more. ``words`` are its values, the most
    protective first, where they are words. ``least`` is another field, whose value counts where this one is absent or
    less.
    """

    exposure: Exposure
    opens: bool = True
    orders_tiers: bool = False
    hides: bool = False
    words: tuple[str, ...] = ()
    least: str = ""


def _pixels(value: Any) -> float:
    return math.inf if value is None else float(value)


def _more_protects(value: Any) -> float:
    return -float(value)


def _words(*words: str, equal: Iterable[str] = (), hides: bool = True) -> RecipeField:
    """Return a field of words, the most protective first; those in ``equal`` count as the first."""
    place = {word: float(number) for number, word in enumerate(words)} | dict.fromkeys(equal, 0.0)
    return RecipeField(place.__getitem__, hides=hides, words=words)


FIELDS: Mapping[str, RecipeField] = {
    "edge": RecipeField(_pixels, orders_tiers=True, hides=True),
    "face_px": RecipeField(_pixels, orders_tiers=True, hides=True),
    "no_face_px": RecipeField(_pixels, orders_tiers=True, hides=True, least="face_px"),
    "visible_watermark": _words("strong", "clear", "faint", "soft", "none"),
    "invisible_watermark": _words("required", "best_effort", "none"),
    "provenance": _words("embedded", "sidecar", "none", equal=("sidecar",)),
    "psnr_at_least": RecipeField(_pixels),
    **dict.fromkeys(CLAIMS, RecipeField(_pixels)),
    "variants": RecipeField(_more_protects, opens=False),
}
OPENING = tuple(name for name, field in FIELDS.items() if field.opens)
HIDING = tuple(name for name, field in FIELDS.items() if field.hides)
ORDERING = tuple(name for name, field in FIELDS.items() if field.orders_tiers)


def effective(recipe: Any, name: str) -> Any:
    """Return the value of a field that counts: its own, or that of the field which it cannot be less than."""
    value = getattr(recipe, name)
    if name not in FIELDS or not (least := FIELDS[name].least):
        return value
    floor = getattr(recipe, least)
    return floor if value is None or floor is None else max(value, floor)


def exposure(recipe: Any, fields: Iterable[str] = OPENING) -> tuple[float, ...]:
    """Return how much a tier or recipe shows, a number for each of ``fields``; larger shows more."""
    return tuple(FIELDS[name].exposure(effective(recipe, name)) for name in fields)


def weaker(before: Any, after: Any, fields: Iterable[str] = OPENING) -> tuple[str, ...]:
    """Return the names of those ``fields`` in which the recipe ``after`` protects less than ``before``."""
    listed = tuple(fields)
    pairs = zip(listed, exposure(before, listed), exposure(after, listed), strict=True)
    return tuple(name for name, left, right in pairs if right > left)
