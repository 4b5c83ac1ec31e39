"""Pictures without a face: as much detail as their tier allows them, and no more wherever there is doubt."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nightlight.imaging.cascade import Cascade
from nightlight.imaging.recipe import Recipe, build_recipes
from nightlight_core.policy.tier import TierRecipe
from tests.support import pictures

SIDE = 320
TINY = Recipe("tiny", 96, face_px=5, no_face_px=16)


@pytest.fixture
def frame():
    return pictures.opened(pictures.photograph()).convert("RGB").resize((SIDE, SIDE))


def cascade(frame, *, widest=SIDE, **more):
    return Cascade(frame, (0, 0, *frame.size), float(widest), **more)


@pytest.mark.parametrize("limit", [12, 16, 24])
def test_it_has_the_detail_that_its_tier_allows(frame, limit):
    resized = cascade(frame, no_face=True).resize(replace(TINY, no_face_px=limit))
    assert (resized.grid, resized.canvas, resized.no_face) == (limit, 96, True)


def test_nothing_finer_than_that_is_in_it():
    """Two pictures that agree on the grid are the same rendition."""
    coarse = Image.fromarray(np.random.default_rng(3).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    blocks = coarse.resize((SIDE, SIDE), Image.Resampling.NEAREST)
    checks = np.asarray(blocks, dtype=int)
    checks = checks + 20 * ((np.indices((SIDE, SIDE)).sum(0) % 2) * 2 - 1)[..., None]
    fine = Image.fromarray(np.clip(checks, 0, 255).astype(np.uint8))
    shown = [cascade(picture, no_face=True).resize(TINY).picture for picture in (blocks, fine)]
    assert pictures.psnr(*shown) > 35 > pictures.psnr(blocks, fine)


def test_it_shows_what_a_face_budget_would_hide(frame):
    with_doubt, without = (cascade(frame, no_face=no_face).resize(TINY).picture for no_face in (False, True))
    plain = frame.resize((96, 96), Image.Resampling.LANCZOS)
    assert pictures.psnr(plain, without) > pictures.psnr(plain, with_doubt) + 3


@pytest.mark.parametrize(
    ("recipe", "more"),
    [
        (TINY, {}),  # nobody said that there is none
        (TINY, {"no_face": False}),
        (replace(TINY, no_face_px=None), {"no_face": True}),
        (TINY, {"no_face": True, "widest": SIDE - 1}),  # a face was found all the same
        (TINY, {"no_face": True, "widest": SIDE / 5}),
    ],
)
def test_with_any_doubt_the_face_budget_counts(frame, recipe, more):
    resized = cascade(frame, **more).resize(recipe)
    widest = more.get("widest", SIDE)
    assert resized.grid == int(SIDE * 5 / widest)
    assert not resized.no_face


def test_a_tier_without_a_budget_is_as_it_was(frame):
    resized = cascade(frame, no_face=True).resize(Recipe("medium", 160))
    assert (resized.grid, resized.no_face) == (SIDE, False)


def test_a_square_with_fewer_pixels_has_no_more_than_it_has():
    small = Image.new("RGB", (14, 14), (9, 9, 9))
    assert cascade(small, widest=14, no_face=True).resize(TINY).grid == 14


def test_a_recipe_that_allows_it_is_another_recipe():
    given, absent = TierRecipe(edge=96, face_px=5, no_face_px=16), TierRecipe(edge=96, face_px=5)
    (with_limit,), (without,) = build_recipes({"a": given}), build_recipes({"a": absent})
    assert with_limit.digest != without.digest
    assert (with_limit.pixels, without.pixels) == (given, absent)
