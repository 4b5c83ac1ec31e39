"""Tokens of search pages: opaque, and good for one search under one key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlight.delivery.page_tokens import MAX_TOKEN_CHARS, PageTokens
from nightlight_core.errors import InvalidInput

KEY, SEARCH = b"k" * 32, b"search"
TOKENS = PageTokens(lambda: KEY)


@given(st.text(max_size=300), st.binary(max_size=40))
def test_a_place_comes_back_for_its_own_search(place, search):
    assert TOKENS.open(TOKENS.seal(place, search), search) == place


def test_the_longest_place_fits():
    assert len(TOKENS.seal(f"{2**53}:" + "\U0001f600" * 256, SEARCH)) <= MAX_TOKEN_CHARS


def test_nothing_can_be_read_of_a_token_and_no_two_are_the_same():
    tokens = {TOKENS.seal("u-81", SEARCH) for _ in range(100)}
    assert len(tokens) == 100
    assert not any("u-81" in token for token in tokens)


def test_another_search_or_another_key_opens_nothing():
    token = TOKENS.seal("u-81", SEARCH)
    for tokens, search in ((TOKENS, b"other"), (PageTokens(lambda: b"o" * 32), SEARCH)):
        with pytest.raises(InvalidInput):
            tokens.open(token, search)


@given(st.text(max_size=100))
def test_what_is_no_token_is_refused(text):
    with pytest.raises(InvalidInput):
        TOKENS.open(text, SEARCH)


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_token_that_was_changed_is_refused(at, by):
    import base64

    sealed = bytearray(base64.urlsafe_b64decode(TOKENS.seal("u-81", SEARCH)))
    sealed[at % len(sealed)] ^= by
    with pytest.raises(InvalidInput):
        TOKENS.open(base64.urlsafe_b64encode(sealed).decode(), SEARCH)
