"""What a tier asks of the pipeline, and whether every step it asks for is installed. Loads nothing heavy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from nightlight.errors import PolicyRefused

# Part of every recipe's digest: raise it when the same recipe would give other pixels.
PIPELINE_VERSION = 1

MEDIA_TYPES = {"webp": "image/webp", "jpeg": "image/jpeg"}

# Steps that a tier may name and this release does not have. A later release takes its line away.
NOT_INSTALLED = {
    "face_px": None,
    "hidden_mark": "none",
    "provenance": "none",
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One tier's recipe; the fields are those of ``tiers.yaml``. ``edge`` is in pixels, ``quality`` 1 to 100."""

    tier: str
    edge: int
    crop: str = "square"
    format: str = "webp"
    quality: int = 80
    effort: int = 2
    face_px: int | None = None
    visible_mark: str = "none"
    hidden_mark: str = "none"
    provenance: str = "none"

    @property
    def media_type(self) -> str:
        """Return the IANA media type of the rendition."""
        return MEDIA_TYPES[self.format]

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits that change whenever this recipe would give other pixels."""
        text = json.dumps([PIPELINE_VERSION, asdict(self)], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def recipes(tiers: Mapping[str, Mapping[str, object]]) -> tuple[Recipe, ...]:
    """Return the recipes of a policy's tiers, the largest first; refuse a step that is not installed.

    Raises PolicyRefused naming every tier that asks for a missing step.
    """
    missing = [
        f"tier '{name}' asks for {step}, which is not installed"
        for name, fields in tiers.items()
        for step, absent in NOT_INSTALLED.items()
        if fields.get(step) != absent
    ]
    if missing:
        raise PolicyRefused("; ".join(missing))
    made = [Recipe(tier=name, **fields) for name, fields in tiers.items()]  # type: ignore[arg-type]
    return tuple(sorted(made, key=lambda recipe: (-recipe.edge, recipe.tier)))
