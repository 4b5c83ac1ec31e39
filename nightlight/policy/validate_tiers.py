"""Checks of tiers: that every tier but none has a recipe that can be made, and that a more open tier shows no less."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.policy.diagnostics import Diagnostics, did_you_mean
from nightlight_core.policy import protection
from nightlight_core.policy.table import NONE_TIER
from nightlight_core.policy.tier import CLAIMS

if TYPE_CHECKING:
    from nightlight.policy.models import Tier, TiersDocument, Vocabulary
    from nightlight.policy.yaml_source import YamlSource

# Pixels a side under which a rendition can carry no invisible watermark (nightlight.watermark.embed.LEAST_SIDE).
LEAST_WATERMARKED_EDGE = 64
# An embedded manifest takes so many bytes (docs/provenance.md, "What it costs"); no picture is smaller than the least
# byte budget that a tier may have.
MANIFEST_BYTES = {"webp": 2400, "jpeg": 2400, "avif": 4600}
LEAST_PICTURE_BYTES = 500


def validate_tiers(source: YamlSource, tiers: TiersDocument, vocabulary: Vocabulary, problems: Diagnostics) -> None:
    """Note in ``problems`` what is wrong with the tiers of a pack with this vocabulary."""
    wanted = [tier for tier in vocabulary.outcomes.tier if tier != NONE_TIER]
    for tier in tiers.tiers:
        if tier not in wanted:
            place = source.position(("tiers", tier))
            problems.add(place, "unknown-word", f"'{tier}' is not a tier{did_you_mean(tier, wanted)}")
    before: Tier | None = None
    for tier in wanted:
        recipe = tiers.tiers.get(tier)
        if recipe is None:
            problems.add(source.position(("tiers",)), "tier-missing", f"tier '{tier}' has no recipe")
            continue
        for field in protection.weaker(recipe, before, protection.ORDERING) if before is not None else ():
            place = source.position(("tiers", tier, field))
            message = (
                f"tier '{tier}' opens more than the one before it but has a smaller {field}{_counted(recipe, field)}"
            )
            problems.add(place, "outcome-order", message)
        for claim in CLAIMS:
            if getattr(recipe, claim) is not None and recipe.face_px is None:
                place = source.position(("tiers", tier, claim))
                message = f"tier '{tier}' claims a rate of re-identification without a face budget (face_px)"
                problems.add(place, "claim-without-budget", message)
        _validate_no_face(source, tier, recipe, problems)
        _validate_invisible_watermark(source, tier, recipe, problems)
        _validate_provenance(source, tier, recipe, problems)
        before = recipe


def _counted(recipe: Tier, field: str) -> str:
    """Return which field's value counts, where it is another's."""
    least = protection.FIELDS[field].least
    return f" (without it {least} counts, {getattr(recipe, least)})" if least and getattr(recipe, field) is None else ""


def _validate_no_face(source: YamlSource, tier: str, recipe: Tier, problems: Diagnostics) -> None:
    if recipe.no_face_px is None or (recipe.face_px is not None and recipe.face_px <= recipe.no_face_px):
        return
    budget = "no face budget (face_px)" if recipe.face_px is None else f"a larger one across a face ({recipe.face_px})"
    message = f"tier '{tier}' has a limit for pictures without a face (no_face_px, {recipe.no_face_px}) and {budget}"
    problems.add(source.position(("tiers", tier, "no_face_px")), "no-face-without-budget", message)


def _validate_invisible_watermark(source: YamlSource, tier: str, recipe: Tier, problems: Diagnostics) -> None:
    if recipe.invisible_watermark == "none" and recipe.variants > 1:
        place = source.position(("tiers", tier, "variants"))
        message = f"tier '{tier}' has variants, which differ in the invisible watermark alone, and has none"
        problems.add(place, "variants-without-mark", message)
    if recipe.invisible_watermark == "required" and recipe.edge < LEAST_WATERMARKED_EDGE:
        place = source.position(("tiers", tier, "invisible_watermark"))
        message = f"tier '{tier}' requires an invisible watermark, and so an edge of {LEAST_WATERMARKED_EDGE} pixels"
        problems.add(place, "mark-without-room", message)


def _validate_provenance(source: YamlSource, tier: str, recipe: Tier, problems: Diagnostics) -> None:
    least = MANIFEST_BYTES[recipe.format] + LEAST_PICTURE_BYTES
    if recipe.provenance == "embedded" and recipe.max_bytes is not None and recipe.max_bytes < least:
        place = source.position(("tiers", tier, "max_bytes"))
        message = (
            f"tier '{tier}' has its manifest within, which takes {MANIFEST_BYTES[recipe.format]} bytes of its "
            f"{recipe.max_bytes}: at least {least}, or `provenance: sidecar`"
        )
        problems.add(place, "manifest-without-room", message)
