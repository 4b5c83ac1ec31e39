"""What a tier asks of the pipeline. Loads no heavy library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from nightlight_core.policy.tier import CLAIMS, TierRecipe

# Part of every recipe's digest: raise it when the same recipe would give other pixels, or another BlurHash.
PIPELINE_VERSION = 6


@dataclass(frozen=True, slots=True)
class Recipe:
    """One tier's recipe; the fields are those of ``tiers.yaml``.

    ``edge``, ``face_px`` and ``no_face_px`` are in pixels, ``quality`` is 1 to 100, ``max_bytes`` a target.
    ``psnr_at_least``, in dB, is what the invisible watermark must leave of the picture. ``variants`` is 1 or 2; they
    differ in that watermark alone. ``design`` is the digest of the visible watermark. ``preview``: the BlurHash is made
    from this tier.
    """

    tier: str
    edge: int
    crop: str = "face"
    format: str = "webp"
    quality: int = 80
    effort: int = 2
    max_bytes: int | None = None
    face_px: int | None = None
    no_face_px: int | None = None
    visible_watermark: str = "none"
    visible_pattern: str = "tiles"
    invisible_watermark: str = "none"
    psnr_at_least: int = 40
    variants: int = 1
    provenance: str = "none"
    design: str = ""
    preview: bool = False

    @property
    def media_type(self) -> str:
        """Return the IANA media type of the rendition."""
        return f"image/{self.format}"

    @property
    def pixels(self) -> TierRecipe:
        """Return what the policy asks for of it, without claims."""
        return TierRecipe(**{name: getattr(self, name) for name in TierRecipe.__slots__ if name not in CLAIMS})

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits that change whenever this recipe would give other pixels."""
        fields = {name: value for name, value in asdict(self).items() if name != "preview"}
        text = json.dumps([PIPELINE_VERSION, fields], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def build_recipes(tiers: Mapping[str, TierRecipe], *, order: tuple[str, ...] = ()) -> tuple[Recipe, ...]:
    """Return the recipes of a policy's tiers, the largest first.

    ``order`` is the policy's tiers, the most protective first: the preview is made from the first of them that
    has a recipe.
    """
    preview = next((name for name in order if name in tiers), None)
    unsorted = [
        Recipe(
            tier=name,
            preview=name == preview,
            **{field: value for field, value in asdict(tier).items() if field not in CLAIMS},
        )
        for name, tier in tiers.items()
    ]
    return tuple(sorted(unsorted, key=lambda recipe: (-recipe.edge, recipe.tier)))


def with_visible_watermark(recipes: tuple[Recipe, ...], design: str) -> tuple[Recipe, ...]:
    """Return the recipes with the digest of this deployment's visible watermark in those that draw it."""
    return tuple(replace(recipe, design=design) if recipe.visible_watermark != "none" else recipe for recipe in recipes)


def digest_of(recipes: Sequence[Recipe]) -> str:
    """Return 64 hexadecimal digits that change whenever other recipes are wanted."""
    text = "\n".join(sorted(f"{recipe.tier} {recipe.digest}" for recipe in recipes))
    return hashlib.sha256(text.encode()).hexdigest()
