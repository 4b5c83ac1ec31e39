"""``no_face_px`` and ``soft`` in policies: which of two values protects more, and what follows from it everywhere."""

import itertools
from dataclasses import asdict

import pytest

from nightlight.flows.decisions.counters import difference, openness
from nightlight.policy.changes import ChangeKind
from nightlight.policy.compile import compile_pack
from nightlight.policy.diagnostics import InvalidPolicy
from nightlight.policy.diff import diff
from nightlight.policy.load import load
from nightlight.policy.recipe_limits import problems, weaker_than
from nightlight_core.policy import protection
from nightlight_core.policy.table import Table
from nightlight_core.policy.tier import TierRecipe

TINY = "tiny:   {edge: 96,   face_px: 5, no_face_px: 16,"


def recipe(face, no_face, **more):
    return TierRecipe(edge=96, face_px=face, no_face_px=no_face, **more)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ((5, None), (5, 12)),  # the whole picture is one face
        ((5, 12), (5, 13)),
        ((5, 24), (None, None)),
        ((12, None), (5, 13)),
        ((16, None), (16, 17)),
        ((None, None), None),
        ((5, 16), None),
    ],
)
def test_less_detail_without_a_face_protects_more(less, more):
    left = recipe(*less)
    right = left if more is None else recipe(*more)
    assert ("no_face_px" in protection.weaker(left, right)) is (more is not None)
    assert "no_face_px" not in protection.weaker(right, left)


def test_soft_protects_less_than_faint_and_more_than_nothing():
    words = [recipe(5, None, visible_watermark=word) for word in ("strong", "clear", "faint", "soft", "none")]
    for stronger, weaker in itertools.pairwise(words):
        assert protection.weaker(stronger, weaker) == ("visible_watermark",)
        assert protection.weaker(weaker, stronger) == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((TINY, "tiny:   {edge: 96, no_face_px: 16,"), "no_face_px, 16) and no face budget (face_px)"),
        ((TINY, "tiny:   {edge: 96, face_px: 20, no_face_px: 16,"), "and a larger one across a face (20)"),
        ((TINY, TINY.replace("16,", "11,")), "no_face_px must be at least 12"),
        ((TINY, TINY.replace("16,", "25,")), "no_face_px must be at most 24"),
        ((TINY, TINY.replace("16,", "17,")), "has a smaller no_face_px (without it face_px counts, 16)"),
        ((TINY, TINY.replace("16,", "true,")), "no_face_px must be a whole number"),
    ],
)
def test_what_says_nothing_or_orders_tiers_the_other_way_is_refused(edited, change, message):
    edited.change("tiers.yaml", *change)
    with pytest.raises(InvalidPolicy) as refused:
        compile_pack(load(edited.folder))
    assert message in str(refused.value)


def test_the_difference_says_which_way_it_goes(compiled, edited):
    without = edited.change("tiers.yaml", "no_face_px: 16, ", "").compiled()
    for difference_, kind, line in (
        (diff(without, compiled), ChangeKind.OPENS, "OPENS   tier tiny, no_face_px: None -> 16"),
        (diff(compiled, without), ChangeKind.CLOSES, "CLOSES  tier tiny, no_face_px: 16 -> None"),
    ):
        assert {change.kind for change in difference_.changes} == {kind}
        assert any(str(change).startswith(line) for change in difference_.recipes)
        assert difference_.opens is (kind is ChangeKind.OPENS)
    lower = edited.change("tiers.yaml", "face_px: 5, ", "face_px: 5, no_face_px: 12, ").compiled()
    assert {change.kind for change in diff(compiled, lower).changes} == {ChangeKind.CLOSES}


def test_a_candidate_that_allows_more_is_counted_as_opening(compiled, edited):
    without = edited.change("tiers.yaml", "no_face_px: 16, ", "").compiled().table
    outcome = next(outcome for outcome in compiled.table.outcomes if outcome.tier == "tiny")
    shows, shows_less = openness(compiled.table, outcome), openness(without, outcome)
    assert difference(7, shows_less, shows) == "would_open:7"
    assert difference(7, shows, shows_less) == "would_close:7"


@pytest.mark.parametrize(
    ("face", "no_face", "kept"),
    [(5, 16, True), (5, 12, True), (5, None, True), (5, 17, False), (17, None, False), (None, None, False)],
)
def test_checks_limit_what_counts(face, no_face, kept):
    assert weaker_than(recipe(face, no_face), {"no_face_px": "at_most 16"}) == (() if kept else ("no_face_px",))


def test_checks_know_the_field_and_the_word():
    limits = {"no_face_px": "at_most 16", "visible_watermark": "at_least soft"}
    assert not list(problems(limits))
    assert weaker_than(recipe(5, 16, visible_watermark="soft"), limits) == ()
    assert weaker_than(recipe(5, 16), limits) == ("visible_watermark",)


def test_the_digest_covers_it_and_that_of_a_pack_without_it_is_as_before(compiled, edited):
    younger = {"visible_pattern": "sparse", "fitted_reidentification_at_most": 0.4}
    given, absent = recipe(5, 16, **younger), recipe(5, None)
    assert given.written == asdict(given)
    assert not {"no_face_px", *younger} & set(absent.written)
    with_, without = compiled.table, edited.change("tiers.yaml", "no_face_px: 16, ", "").compiled().table
    assert isinstance(without, Table)
    assert with_.digest != without.digest
    assert "no_face_px" not in without._head("x")[2]


def test_the_digest_covers_a_pattern_and_that_of_a_pack_without_one_is_as_before(compiled, edited):
    tiled = edited.change("tiers.yaml", "visible_pattern: sparse, ", "").compiled().table
    named = edited.change("tiers.yaml", "effort: 3, ", "effort: 3, visible_pattern: tiles, ").compiled().table
    assert compiled.table.digest != tiled.digest == named.digest
    assert "visible_pattern" not in tiled._head("x")[2]
