"""The statistics of ``make bench-face``: known answers."""

import numpy as np
import pytest

from bench.face_statistics import ENOUGH, cosine, found, fused, rates, standardised, wilson


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_intervals_are_the_published_ones(hits, count, low, high):
    assert wilson(hits, count) == pytest.approx((low, high), abs=5e-5)


def test_a_share_comes_with_its_counts():
    assert (found(3, 12).share, found(3, 12).hits, found(3, 12).count) == (0.25, 3, 12)


def test_who_is_told_apart_every_time_is_found_every_time():
    result = rates(np.eye(40), np.arange(40))
    assert (result.at_1_percent.share, result.at_01_percent.share, result.first.share) == (1.0, 1.0, 1.0)
    assert (result.enrolled, result.others) == (40, 40 * 39)
    assert result.enough


def test_a_score_that_says_nothing_finds_nobody():
    result = rates(np.zeros((10, 10)), np.arange(10))
    assert (result.at_1_percent.share, result.first.share) == (0.0, 0.0)
    assert result.others < ENOUGH
    assert not result.enough


def test_chance_is_found_as_often_as_false_matches_are():
    scores = np.random.default_rng(7).standard_normal((2000, 300))
    result = rates(scores, np.arange(2000) % 300)
    assert result.at_1_percent.low < 0.01 < result.at_1_percent.high
    assert result.first.low < 1 / 300 < result.first.high


def test_the_threshold_is_that_of_different_people_alone():
    # One in a hundred of the others scores 5; half of the mates score 6.
    scores = np.tile(np.r_[np.full(2, 5.0), np.zeros(198)], (40, 1))
    mates = np.full(40, 199)
    scores[:20, 199] = 6.0
    assert rates(scores, mates).at_1_percent.hits == 20


def test_one_person_cannot_be_told_apart():
    with pytest.raises(ValueError, match="no two people"):
        rates(np.ones((1, 1)), np.zeros(1, dtype=int))


def test_standardising_takes_away_who_looks_like_everybody():
    generator = np.random.default_rng(3)
    plain = generator.standard_normal((60, 50))
    biased = plain * generator.uniform(1, 9, 50) + 10 * generator.standard_normal(50)
    assert standardised(biased) == pytest.approx(standardised(plain))
    assert standardised(biased).std(axis=1) == pytest.approx(np.ones(60))


def test_a_constant_score_stays_finite():
    assert np.isfinite(standardised(np.ones((3, 4)))).all()


def test_fusing_weighs_scores_alike_whatever_their_scale():
    generator = np.random.default_rng(5)
    one, other = generator.standard_normal((2, 30, 30))
    assert fused(one, 1000 * other + 7) == pytest.approx(fused(one, other))


def test_cosines_of_vectors():
    assert cosine([[3, 0], [1, 1]], [[1, 0], [0, 2]]) == pytest.approx(np.array([[1, 0], [0.5**0.5, 0.5**0.5]]))
