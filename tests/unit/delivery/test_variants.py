"""Who was given which variant, and who may be accused of a leak."""

import random

import numpy as np
import pytest

from nightlight.delivery.collusion import LeakedRendition, accuse, least_agreements
from nightlight_core.decisions.variants import variant_for

KEY = bytes(range(32))
VIEWERS = 100_000


def images(count, seed=0):
    return [f"{random.Random(seed).getrandbits(64):016x}{number:016x}" for number in range(count)]


def given(viewer, wanted):
    return [LeakedRendition(image, variant_for(KEY, viewer, image)) for image in wanted]


def test_the_same_viewer_gets_the_same_variant_and_both_are_given_to_half():
    image = images(1)[0]
    drawn = [variant_for(KEY, f"v{number}", image) for number in range(10_000)]
    assert drawn == [variant_for(KEY, f"v{number}", image) for number in range(10_000)]
    assert abs(sum(drawn) - 5000) < 250
    assert variant_for(KEY, "v1", image, variants=1) == 0
    assert any(variant_for(bytes(32), f"v{number}", image) != drawn[number] for number in range(100))


def test_what_two_viewers_get_is_independent():
    wanted = images(2000)
    variants, other = (np.array([leak.variant for leak in given(viewer, wanted)]) for viewer in ("ann", "annb"))
    assert abs((variants == other).mean() - 0.5) < 0.05


def test_one_leaker_among_a_hundred_thousand_is_named_and_nobody_else():
    viewers = [f"viewer-{number}" for number in range(VIEWERS)]
    accused, considered = accuse(KEY, given("viewer-4711", images(40)), viewers)
    assert considered == VIEWERS
    assert [(accusation.viewer, accusation.agreements, accusation.pictures) for accusation in accused] == [
        ("viewer-4711", 40, 40)
    ]
    assert accused[0].chance < 1e-6


def test_too_few_pictures_accuse_nobody():
    viewers = [f"viewer-{number}" for number in range(VIEWERS)]
    assert accuse(KEY, given("viewer-4711", images(20)), viewers)[0] == []
    assert least_agreements(20, VIEWERS, 1e-3) is None
    assert least_agreements(27, VIEWERS, 1e-3) == 27
    assert accuse(KEY, [], ["a"]) == ([], 1)


def test_over_many_leaks_nobody_innocent_is_accused_more_often_than_was_promised():
    """Three hundred leaks by somebody who is not among 100,000 innocent viewers: the bound is 1 %, so three are expected."""
    dice = np.random.default_rng(1)
    pictures, bound = 40, 0.01
    least = least_agreements(pictures, VIEWERS, bound)
    # Agreements of an innocent viewer are those of a keyed hash with the leak: binomial, as the test above shows.
    most = np.array([dice.binomial(pictures, 0.5, VIEWERS).max() for _ in range(300)])
    assert (most >= least).sum() <= 9


def test_two_who_take_turns_are_found_with_more_pictures_and_never_somebody_else():
    viewers = [f"viewer-{number}" for number in range(20_000)]
    wanted = images(200, seed=3)
    mixed = [given(("viewer-7", "viewer-8")[number % 2], [image])[0] for number, image in enumerate(wanted)]
    accused, _ = accuse(KEY, mixed, viewers)
    assert {accusation.viewer for accusation in accused} == {"viewer-7", "viewer-8"}


def test_copies_of_one_image_count_once_and_a_contradiction_counts_for_nobody():
    first, second = images(2)
    twice = given("a", [first]) * 30
    accused, _ = accuse(KEY, twice, ["a"], false_accusation=0.5)
    assert [(accusation.agreements, accusation.pictures) for accusation in accused] == [(1, 1)]
    assert accuse(KEY, [LeakedRendition(second, 0), LeakedRendition(second, 1)], ["a"], false_accusation=0.4)[0] == []


@pytest.mark.parametrize("pictures", [1, 10, 64, 300])
def test_the_bound_is_met_and_one_agreement_less_would_not_do(pictures):
    from math import comb

    least = least_agreements(pictures, 1000, 1e-3)
    chance = lambda count: 1000 * sum(comb(pictures, hits) for hits in range(count, pictures + 1)) / 2**pictures  # noqa: E731
    if least is None:
        assert chance(pictures) > 1e-3
    else:
        assert chance(least) <= 1e-3 < chance(least - 1)
