import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlight.watermark.payload import CHANCE, Payload, bits_to_payload, payload_size, payload_to_bits

KEY = bytes(range(32))


@given(st.integers(0, 2**56 - 1), st.integers(0, 255))
def test_what_is_sealed_opens_with_the_same_key_alone(rendition, variant):
    payload = Payload(rendition, variant)
    bits = payload_to_bits(payload, KEY)
    assert len(bits) == payload_size(short=False)
    assert bits_to_payload(bits, KEY, short=False) == payload
    assert bits_to_payload(bits, bytes(32), short=False) is None
    short = payload.shortened()
    assert bits_to_payload(payload_to_bits(short, KEY), KEY, short=True) == short
    assert short.rendition == rendition % 2**16


@given(st.integers(0, 91))
def test_one_wrong_bit_anywhere_is_noticed(at):
    bits = payload_to_bits(Payload(123_456_789, 3), KEY)
    bits[at] ^= 1
    assert bits_to_payload(bits, KEY, short=False) is None


def test_random_bits_do_not_open():
    random = np.random.default_rng(1)
    assert all(
        bits_to_payload(random.integers(0, 2, 92).astype(np.uint8), KEY, short=False) is None for _ in range(5000)
    )


def test_a_search_is_wrong_less_than_once_in_a_million():
    assert CHANCE < 1e-6


@pytest.mark.parametrize(
    ("rendition", "variant", "short"),
    [(2**56, 0, False), (-1, 0, False), (0, 256, False), (2**16, 0, True), (0, 16, True)],
)
def test_what_does_not_fit_is_refused(rendition, variant, short):
    with pytest.raises(ValueError, match="bits"):
        Payload(rendition, variant, short=short)
