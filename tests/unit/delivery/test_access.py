"""Tokens that are not what they should be, and keys that left the set."""

import json
import time
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from nightlight.delivery.access_tokens import AccessVerifier, TokenClocks, generate_key, issue_token
from nightlight_core.errors import Unauthenticated, Unavailable

NOW = 1_800_000_000.0


class Time:
    """Both clocks, which stand still."""

    def __init__(self):
        self.wall, self.elapsed = NOW, 1000.0
        self.clocks = TokenClocks(lambda: self.wall, lambda: self.elapsed)

    def forward(self, seconds):
        self.wall += seconds
        self.elapsed += seconds


@pytest.fixture
def moment():
    return Time()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jwks.json"


@pytest.fixture
def pair(path):
    (first, first_set), (second, second_set) = generate_key(), generate_key()
    path.write_text(json.dumps({"keys": [*first_set["keys"], *second_set["keys"]]}))
    return first, second, first_set, second_set


@pytest.fixture
def verifier(path, pair, moment):
    return AccessVerifier(str(path), issuer="i", audience="a", leeway_s=30, clocks=moment.clocks)


def signed(private, **claims):
    """A token with these claims, whatever they are."""
    usual = {"sub": "s", "iss": "i", "aud": "a", "scope": "decide", "iat": int(NOW), "exp": int(NOW) + 600}
    key = jwt.PyJWK(private).key
    return jwt.encode({**usual, **claims}, key, algorithm="EdDSA", headers={"kid": private["kid"]})


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value",
    [
        10**400, -(10**400), 1e308, float("inf"), float("-inf"), float("nan"), 2**63, 2**64, -1, 1e20, 253_402_300_800,
        "1800000600", "", True, False, None, [1_800_000_600], {"x": 1}, {},
    ],
)  # fmt: skip
def test_a_time_that_no_clock_can_show_is_a_refusal(verifier, pair, name, value):
    with pytest.raises(Unauthenticated):
        verifier.verify(signed(pair[0], **{name: value}))


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"exp": NOW + 86_400}, True),
        ({"exp": NOW + 86_401}, False),
        ({"iat": NOW + 30, "exp": NOW + 86_430}, True),
        ({"iat": NOW + 31, "exp": NOW + 60}, False),
        ({"iat": NOW - 86_400, "exp": NOW - 29}, True),
        ({"iat": 0, "exp": NOW + 60}, False),
        ({"iat": NOW - 10**9, "exp": NOW + 60}, False),
        ({"iat": NOW + 600, "exp": NOW + 1200}, False),
        ({"iat": NOW - 60, "exp": NOW - 30}, False),
        ({"iat": NOW - 60, "exp": NOW - 29}, True),
        ({"iat": NOW + 10, "exp": NOW + 5}, True),  # two clocks that differ; it ends at once
        ({"nbf": NOW + 31}, False),
        ({"nbf": NOW - 10**6}, True),
        ({"exp": NOW + 0.5}, True),
    ],
)
def test_a_token_counts_in_its_time_and_may_not_be_made_to_last(verifier, pair, claims, good):
    token = signed(pair[0], **claims)
    if good:
        assert verifier.verify(token).subject == "s"
    else:
        with pytest.raises(Unauthenticated):
            verifier.verify(token)


def test_the_longest_life_is_a_setting(path, pair, moment):
    short = AccessVerifier(str(path), issuer="i", audience="a", leeway_s=0, max_life_s=60, clocks=moment.clocks)
    assert short.verify(signed(pair[0], exp=NOW + 60))
    with pytest.raises(Unauthenticated, match="longer than 60 s"):
        short.verify(signed(pair[0], exp=NOW + 61))


@pytest.mark.parametrize("changes", [{"issuer": "other"}, {"audience": "other"}])
def test_a_token_for_somebody_else_is_refused(verifier, pair, changes):
    claims = {"subject": "s", "scopes": ["decide"], "issuer": "i", "audience": "a", **changes}
    token = issue_token(pair[0], now=datetime.fromtimestamp(NOW, UTC), life=timedelta(hours=1), **claims)
    with pytest.raises(Unauthenticated):
        verifier.verify(token)


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "...", "e30.e30.e30", "[" * 4000, "W1tb." + "W" * 4000 + ".x",
        "\u00e9.\u00e9.\u00e9", "a" * 5000, "eyJhbGciOiJub25lIn0.e30.",
    ],
)  # fmt: skip
def test_what_is_no_token_is_a_refusal(verifier, token):
    with pytest.raises(Unauthenticated):
        verifier.verify(token)


@pytest.mark.parametrize("key_id", [None, 7, [], {}, "", "\0", "x" * 500, "nobody"])
def test_a_key_id_that_is_not_known_is_a_refusal(verifier, pair, key_id):
    headers = {} if key_id is None else {"kid": key_id}
    head = {"alg": "EdDSA", "typ": "JWT", **headers}
    encoded = jwt.utils.base64url_encode(json.dumps(head).encode()).decode()
    _, body, signature = signed(pair[0]).split(".")
    with pytest.raises(Unauthenticated):
        verifier.verify(f"{encoded}.{body}.{signature}")


def test_a_key_that_left_the_file_opens_nothing_after_thirty_seconds(verifier, path, pair, moment):
    first, second, _, second_set = pair
    old = signed(first)
    assert verifier.verify(old)
    path.write_text(json.dumps(second_set))
    moment.forward(30)
    for token in (old, signed(first, sub="new")):
        assert verifier.try_cached(token) is None
        with pytest.raises(Unauthenticated):
            verifier.verify(token)
    assert verifier.verify(signed(second)).subject == "s"


def test_a_key_that_is_put_under_the_same_id_replaces_the_other(verifier, path, pair, moment):
    first, _, _first_set, _ = pair
    other, public = generate_key()
    assert verifier.verify(signed(first))
    path.write_text(json.dumps({"keys": [{**public["keys"][0], "kid": first["kid"]}]}))
    moment.forward(30)
    with pytest.raises(Unauthenticated):
        verifier.verify(signed(first))
    assert verifier.verify(signed({**other, "kid": first["kid"]}))


def test_a_set_that_was_emptied_lets_nobody_in(verifier, path, pair, moment):
    token = signed(pair[0])
    assert verifier.verify(token)
    path.write_text('{"keys": []}')
    moment.forward(30)
    assert verifier.try_cached(token) is None
    with pytest.raises(Unauthenticated):
        verifier.verify(token)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"keys": 1}', b"\xff", b"[" * 100_000, b" " * 2_000_000])
def test_a_file_that_broke_lets_nobody_in_and_says_so_until_it_is_mended(verifier, path, pair, moment, content):
    good, token = path.read_bytes(), signed(pair[0])
    assert verifier.verify(token)
    path.unlink() if content is None else path.write_bytes(content)
    moment.forward(29)
    assert verifier.verify(
        token
    )  # so long the last reading counts: a file that is written in place is nothing for a moment
    moment.forward(31)
    assert verifier.try_cached(token) is None
    for _ in range(2):
        with pytest.raises(Unavailable):
            verifier.verify(token)
    path.write_bytes(good)
    moment.forward(2)
    assert verifier.verify(token)


@pytest.mark.parametrize(
    "bad",
    [
        {"kty": "OKP"}, {"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "z"}, 7, None, [], "x",
        {"kty": "oct", "k": "eHg", "kid": "1"}, {"kty": "OKP", "crv": "Ed25519", "x": 7, "kid": "z"}, {"kid": ["z"]},
    ],
)  # fmt: skip
def test_one_bad_key_does_not_keep_the_others_out(path, pair, moment, bad):
    _, _, first_set, second_set = pair
    path.write_text(json.dumps({"keys": [bad, *first_set["keys"], *second_set["keys"]]}))
    verifier = AccessVerifier(str(path), issuer="i", audience="a", leeway_s=30, clocks=moment.clocks)
    assert verifier.verify(signed(pair[0]))


def test_keys_for_encryption_and_private_ones_are_not_for_tokens(path, pair, moment):
    first, second, first_set, _two = pair
    path.write_text(json.dumps({"keys": [{**first_set["keys"][0], "use": "enc"}, second, *generate_key()[1]["keys"]]}))
    verifier = AccessVerifier(str(path), issuer="i", audience="a", leeway_s=30, clocks=moment.clocks)
    for private in (first, second):
        with pytest.raises(Unauthenticated):
            verifier.verify(signed(private))


def test_a_good_token_is_not_checked_again_each_time(verifier, pair, moment):
    token = signed(pair[0], exp=int(NOW) + 5)
    assert verifier.try_cached(token) is None
    caller = verifier.verify(token)
    assert verifier.try_cached(token) is caller
    moment.forward(11)
    assert verifier.try_cached(token) is None


def test_a_token_that_was_good_ends_in_time(path, pair, moment):
    verifier = AccessVerifier(str(path), issuer="i", audience="a", leeway_s=0, clocks=moment.clocks)
    token = signed(pair[0], exp=int(NOW) + 5)
    assert verifier.verify(token)
    moment.forward(5)
    assert verifier.try_cached(token) is None
    with pytest.raises(Unauthenticated):
        verifier.verify(token)


def test_the_systems_clocks_are_used_where_none_are_given(path, pair):
    verifier = AccessVerifier(str(path), issuer="i", audience="a", leeway_s=30)
    assert verifier.verify(signed(pair[0], iat=time.time(), exp=time.time() + 60))
