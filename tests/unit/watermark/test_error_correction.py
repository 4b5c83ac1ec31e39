"""The code bears what it should, and no more is believed than it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightlight.watermark.error_correction import RATE, decode, encode


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=48, max_size=96))
def test_what_was_encoded_is_decoded(bits):
    bits = np.array(bits, np.uint8)
    coded = encode(bits)
    assert coded.shape == (RATE * len(bits),)
    assert np.array_equal(decode(1 - 2 * coded.astype(np.float32)), bits)


def test_the_code_is_linear_and_has_no_beginning():
    random = np.random.default_rng(1)
    first, other = random.integers(0, 2, (2, 92)).astype(np.uint8)
    assert np.array_equal(encode(first) ^ encode(other), encode(first ^ other))
    assert np.array_equal(encode(np.roll(first, 5)), np.roll(encode(first), 5 * RATE))


@pytest.mark.parametrize(("deviation", "least"), [(1.0, 60), (1.2, 54)])
def test_noise_of_the_signals_own_size_is_borne(deviation, least):
    random = np.random.default_rng(2)
    right = 0
    for _ in range(60):
        bits = random.integers(0, 2, 92).astype(np.uint8)
        heard = 1 - 2 * encode(bits).astype(np.float32) + random.normal(0, deviation, RATE * 92).astype(np.float32)
        right += np.array_equal(decode(heard), bits)
    assert right >= least


def test_half_of_it_may_be_missing():
    random = np.random.default_rng(3)
    bits = random.integers(0, 2, 92).astype(np.uint8)
    heard = 1 - 2 * encode(bits).astype(np.float32)
    heard[random.permutation(len(heard))[: len(heard) // 2]] = 0
    assert np.array_equal(decode(heard), bits)
