"""Which rendition is shown while pictures follow a change of the policy: never more than both policies allow."""

import math
import random
from array import array
from dataclasses import replace

import pytest

from nightlight_core.decisions.profile_views import AvailableRendition, ProfileView
from nightlight_core.decisions.rendition_choice import choose_rendition
from nightlight_core.policy import protection
from nightlight_core.policy.table import NONE_TIER, UNKNOWN_TABLE, Outcome, Table, none_because
from nightlight_core.policy.tier import TierRecipe

TIERS = ("none", "tiny", "low", "medium", "full")
SITUATIONS = ("stranger", "mutual", "connection", "self")
BASE = {
    "tiny": TierRecipe(
        edge=96,
        face_px=5,
        no_face_px=16,
        visible_watermark="soft",
        invisible_watermark="best_effort",
        provenance="sidecar",
    ),
    "low": TierRecipe(
        edge=160, face_px=16, visible_watermark="clear", invisible_watermark="best_effort", provenance="sidecar"
    ),
    "medium": TierRecipe(edge=320, visible_watermark="clear", invisible_watermark="best_effort", provenance="embedded"),
    "full": TierRecipe(edge=1024, invisible_watermark="best_effort", provenance="embedded"),
}
OTHER = {
    "edge": (64, 96, 128, 320, 640), "face_px": (3, 5, 16, None), "no_face_px": (12, 16, 24, None),
    "visible_watermark": ("none", "soft", "faint", "clear", "strong"),
    "invisible_watermark": ("none", "best_effort", "required"), "provenance": ("none", "sidecar", "embedded"),
    "crop": ("face", "centre"), "quality": (60, 90), "variants": (1, 2), "visible_pattern": ("tiles", "fine", "sparse"),
}  # fmt: skip


def table(tiers, given):
    """A policy whose only attribute is the relation; ``given`` says which tier each is given."""
    names = [name for name in TIERS if name == "none" or name in tiers]
    outcomes = tuple(
        none_because("r") if name == NONE_TIER else Outcome((place, 1, 1, 1), name, 60, 30, "allow", "r")
        for place, name in enumerate(names)
    )
    cells = array("H", [names.index(given[situation]) for situation in SITUATIONS])
    return Table({"relation": SITUATIONS}, cells, outcomes, tiers)


def random_table(rng):
    tiers = dict(BASE)
    for _ in range(rng.randrange(4)):
        name, field = rng.choice(list(tiers)), rng.choice(list(OTHER))
        fields = {slot: getattr(tiers[name], slot) for slot in TierRecipe.__slots__}
        tiers[name] = TierRecipe(**{**fields, field: rng.choice(OTHER[field])})
    if rng.random() < 0.2:
        del tiers[rng.choice(list(tiers))]
    return table(tiers, {situation: rng.choice(["none", *tiers]) for situation in SITUATIONS})


def rendered(*tables):
    """A picture that was rendered by the recipes of these tables."""
    available = {}
    for each in tables:
        for name, recipe in each.pixels.items():
            more = tuple(
                AvailableRendition(f"/a/{name}-{hash(recipe)}-{variant}", recipe.edge, recipe)
                for variant in range(recipe.variants)
            )
            available[name] = available.get(name, ()) + tuple(
                variant for variant in more if variant not in available.get(name, ())
            )
    return ProfileView("p", known=True, available=available, image_id="i" * 32)


def allows(policy, tier, recipe):
    """An account of its own of what a policy allows: no field that hides is weaker than in some tier up to this one."""
    rank = {outcome.tier: outcome.rank[0] for outcome in policy.outcomes}
    up_to = [name for name in policy.pixels if name in rank and tier != NONE_TIER and rank[name] <= rank[tier]]

    def shows(tier):
        face = math.inf if tier.face_px is None else tier.face_px
        no_face = max(face, tier.no_face_px or 0)
        others = [name for name in protection.HIDING if name not in {"face_px", "no_face_px"}]
        return [face, no_face, *(protection.FIELDS[name].exposure(getattr(tier, name)) for name in others)]

    return any(all(a <= b for a, b in zip(shows(recipe), shows(policy.pixels[name]), strict=True)) for name in up_to)


@pytest.mark.parametrize("seed", range(400))
def test_nobody_is_shown_more_than_both_policies_allow_until_the_picture_is_rendered_again(seed):
    rng = random.Random(seed)
    old, new = random_table(rng), random_table(rng)
    before, after, both = rendered(old), rendered(new), rendered(old, new)
    for situation in SITUATIONS:
        given = {"relation": situation}
        then, now = old.decide(given).tier, new.decide(given).tier
        earlier = lambda then=then: (old, then)  # noqa: E731
        shown = choose_rendition(before, new, now, earlier)
        if shown:
            recipe = shown[0].recipe
            assert allows(new, now, recipe)
            nothing_to_render = new.pixels.items() <= old.pixels.items()
            assert allows(old, then, recipe) or nothing_to_render
            assert len(shown) == recipe.variants
        elif NONE_TIER not in {now, then}:  # there was really nothing that both allow
            assert not any(allows(new, now, recipe) and allows(old, then, recipe) for recipe in old.pixels.values())
        for view in (after, both):  # rendered again, or rendered before the activation
            shown = choose_rendition(view, new, now, earlier)
            assert (shown[0].recipe if shown else None) == new.pixels.get(now)


def test_a_lower_tier_takes_the_place_of_what_is_hidden():
    stronger = {**BASE, "medium": TierRecipe(edge=320, visible_watermark="strong", provenance="embedded")}
    given = dict.fromkeys(SITUATIONS, "medium")
    old, new = table(BASE, given), table(stronger, given)
    shown = choose_rendition(rendered(old), new, "medium", lambda: (old, "medium"))
    assert [variant.recipe for variant in shown] == [BASE["low"]]


def test_what_looks_otherwise_and_protects_alike_goes_on_being_shown():
    cropped = {
        **BASE,
        "medium": TierRecipe(
            edge=320,
            crop="centre",
            quality=90,
            visible_watermark="clear",
            invisible_watermark="best_effort",
            provenance="embedded",
        ),
    }
    given = dict.fromkeys(SITUATIONS, "medium")
    old, new = table(BASE, given), table(cropped, given)
    (shown,) = choose_rendition(rendered(old), new, "medium", lambda: (old, "medium"))
    assert shown.recipe == BASE["medium"]


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ((5, 16), (5, None), False),  # the whole picture is one face again
        ((5, 16), (5, 12), False),
        ((5, None), (5, 16), True),
        ((5, 16), (6, 24), True),
        ((14, None), (5, 16), False),
        ((5, None), (4, 16), False),
        ((5, 24), (None, None), True),
        ((None, None), (5, 24), False),
    ],
)
def test_closing_what_a_picture_without_a_face_may_show_hides_what_was_rendered_before(before, after, shown):
    tiers = [{"tiny": replace(BASE["tiny"], face_px=face, no_face_px=no_face)} for face, no_face in (before, after)]
    given = dict.fromkeys(SITUATIONS, "tiny")
    old, new = (table(recipes, given) for recipes in tiers)
    choice = choose_rendition(rendered(old), new, "tiny", lambda: (old, "tiny"))
    assert [rendition.recipe for rendition in choice] == ([tiers[0]["tiny"]] if shown else [])


def test_a_picture_whose_recipe_nobody_knows_counts_as_unmarked():
    given = dict.fromkeys(SITUATIONS, "tiny")
    policy = table(BASE, given)
    view = ProfileView(
        "p", known=True, available={"tiny": (AvailableRendition("/a/x", 96, TierRecipe(edge=96, face_px=5)),)}
    )
    assert choose_rendition(view, policy, "tiny", lambda: None) == ()


def test_where_the_policy_before_cannot_be_read_nothing_is_shown_until_the_picture_is_rendered_again():
    stronger = {**BASE, "tiny": TierRecipe(edge=64, face_px=3, visible_watermark="clear", provenance="sidecar")}
    given = dict.fromkeys(SITUATIONS, "medium")
    old, new = table(BASE, given), table(stronger, given)
    earlier = lambda: (UNKNOWN_TABLE, UNKNOWN_TABLE.decide({"relation": "stranger"}).tier)  # noqa: E731
    assert choose_rendition(rendered(old), new, "medium", earlier) == ()
    for view in (rendered(new), rendered(old, new)):
        (shown,) = choose_rendition(view, new, "medium", earlier)
        assert shown.recipe == BASE["medium"]
