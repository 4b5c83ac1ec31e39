import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlight.delivery.access_tokens import AccessVerifier, TokenScope, generate_key, issue_token
from nightlight.delivery.object_names import NAME_PATTERN, ObjectNames
from nightlight_core.decisions.url_signing import HmacUrlSigner, bucketed_expiry
from nightlight_core.errors import Forbidden, SettingsRefused, Unauthenticated, Unavailable
from nightlight_core.keyring import KeyRing

KEY = bytes(range(32))
RING = KeyRing({"b2": KEY, "a1": bytes(32)})
SIGNER = HmacUrlSigner(RING, "https://pictures.example/")
PATH = "/a/" + "a" * 32 + ".webp"
NOW = 1_790_000_000


def parts(url):
    path, _, query = url.removeprefix("https://pictures.example").partition("?")
    return path, *(pair.partition("=")[2] for pair in query.split("&"))


@given(st.integers(1_600_000_000, 2_000_000_000), st.integers(1, 86_400), st.text("abc", min_size=1, max_size=8))
def test_a_url_lives_at_most_as_long_as_allowed_and_at_least_about_half(now, life, path):
    left = bucketed_expiry(path, now=now, life_s=life) - now
    assert max(1, life // 2) <= left <= life


def test_everybody_within_a_bucket_gets_the_same_url():
    urls = {SIGNER.url(PATH, now=NOW + second, life_s=3600)[0] for second in range(0, 3600, 10)}
    assert len(urls) <= 3


def test_names_do_not_all_expire_at_once():
    expiries = {bucketed_expiry(f"/a/{number}", now=NOW, life_s=3600) for number in range(300)}
    assert len(expiries) > 200


def test_what_was_signed_verifies_until_it_expires():
    url, expiry = SIGNER.url(PATH, now=NOW, life_s=300)
    path, e, k, s = parts(url)
    assert (path, e, k) == (PATH, str(expiry), "b2")
    assert SIGNER.verify(path, e, k, s, now=NOW) == expiry - NOW
    assert SIGNER.verify(path, e, k, s, now=expiry - 1) == 1
    assert SIGNER.verify(path, e, k, s, now=expiry) is None


def test_an_old_key_still_verifies_after_rotation_and_not_once_it_is_gone():
    old = HmacUrlSigner(KeyRing({"a1": bytes(32)}), "https://pictures.example")
    path, e, k, s = parts(old.url(PATH, now=NOW, life_s=300)[0])
    assert SIGNER.verify(path, e, k, s, now=NOW)
    assert HmacUrlSigner(KeyRing({"b2": KEY}), "x").verify(path, e, k, s, now=NOW) is None


@given(st.integers(0, 21), st.sampled_from("ABCDabcd0123-_"))
def test_a_signature_with_one_character_changed_is_refused(position, character):
    path, e, k, s = parts(SIGNER.url(PATH, now=NOW, life_s=300)[0])
    forged = s[:position] + character + s[position + 1 :]
    # The last character carries two bits that base64 does not use; only its canonical form verifies.
    assert (SIGNER.verify(path, e, k, forged, now=NOW) is not None) == (forged == s)


@pytest.mark.parametrize(
    ("expiry", "key_id", "signature"),
    [
        ("", "", ""),
        ("1e9", "b2", "A" * 22),
        ("-1790000000", "b2", "A" * 22),
        ("99999999999", "b2", "A" * 22),
        ("\uff11\uff17\uff19" + "\uff10" * 7, "b2", "A" * 22),
        ("1790000100", "zz", "A" * 22),
        ("1790000100", "b2", "A" * 21),
        ("1790000100", "b2", "A" * 23),
        ("1790000100", "b2", "é" * 22),
        ("1790000100\n", "b2", "A" * 22),
    ],
)
def test_malformed_parts_are_refused(expiry, key_id, signature):
    assert SIGNER.verify(PATH, expiry, key_id, signature, now=NOW) is None


def test_names_have_one_length_and_say_nothing():
    import re

    names = ObjectNames(KEY)
    drawn = [names.rendition(f"{number:032x}", tier, 0, "r") for number in range(50) for tier in ("tiny", "full")]
    assert all(re.fullmatch(NAME_PATTERN, name) for name in [*drawn, names.placeholder()])
    assert len(set(drawn)) == 100
    assert drawn[0] == names.rendition(f"{0:032x}", "tiny", 0, "r")
    assert drawn[0] != names.rendition(f"{0:032x}", "tiny", 1, "r")
    assert drawn[0] != names.rendition(f"{0:032x}", "tiny", 0, "s")
    assert drawn[0] != ObjectNames(bytes(32)).rendition(f"{0:032x}", "tiny", 0, "r")


@pytest.fixture
def keyed(tmp_path):
    private, public = generate_key()
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(public))
    return private, AccessVerifier(str(path), issuer="i", audience="a", leeway_s=30)


def minted(private, ahead=timedelta(), **changes):
    given_ = {
        "subject": "s",
        "scopes": ["decide"],
        "issuer": "i",
        "audience": "a",
        "now": datetime.now(UTC) + ahead,
        "life": timedelta(hours=1),
    }
    return issue_token(private, **{**given_, **changes})


def test_a_token_names_its_caller_and_scopes(keyed):
    private, verifier = keyed
    caller = verifier.verify(minted(private))
    assert caller.subject == "s"
    caller.require(TokenScope.DECIDE)
    with pytest.raises(Forbidden):
        caller.require(TokenScope.INGEST)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "other"},
        {"audience": "other"},
        {"life": timedelta(seconds=-60)},
        {"ahead": timedelta(minutes=20)},
    ],
)
def test_a_token_for_others_or_other_times_is_refused(keyed, changes):
    private, verifier = keyed
    now = datetime.now(UTC) + changes.pop("ahead", timedelta())
    with pytest.raises(Unauthenticated):
        verifier.verify(minted(private, now=now, **changes))


def test_a_clock_that_is_a_little_off_is_forgiven(keyed):
    private, verifier = keyed
    assert verifier.verify(minted(private, ahead=timedelta(seconds=20)))


def test_a_pem_key_file_serves_as_well(tmp_path):
    from cryptography.hazmat.primitives import serialization
    from jwt import PyJWK

    private, _ = generate_key()
    public = PyJWK(private).key.public_key()
    path = tmp_path / "key.pem"
    path.write_bytes(public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    verifier = AccessVerifier(str(path), issuer="i", audience="a", leeway_s=30)
    assert verifier.verify(minted(private)).subject == "s"
    with pytest.raises(Unauthenticated):
        verifier.verify(minted(generate_key()[0]))


def test_a_jwks_that_cannot_be_fetched_is_an_outage_and_no_refusal(keyed, socket_enabled):
    private, _ = keyed
    remote = AccessVerifier("https://127.0.0.1:1/jwks", issuer="i", audience="a", leeway_s=30)
    with pytest.raises(Unavailable):
        remote.verify(minted(private))


@pytest.mark.parametrize(
    "content",
    [
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        "",
        "{}",
        '{"keys": []}',
        '{"keys": [{"kty": "oct", "k": "eHg", "kid": "1"}]}',
    ],
)
def test_a_jwks_without_a_usable_key_stops_the_start(tmp_path, content):
    path = tmp_path / "jwks.json"
    path.write_text(content)
    with pytest.raises(SettingsRefused):
        AccessVerifier(str(path), issuer="i", audience="a", leeway_s=0)


@pytest.mark.parametrize("life_s", [60, 300, 86_400, 10**9])
@pytest.mark.parametrize("most_s", [2, 60, 86_400, 10**9])
def test_no_url_outlives_the_longest_life_and_never_a_day(life_s, most_s):
    """Edges forget after a day, and those without a list of revoked pictures take a minute."""
    _, expiry = HmacUrlSigner(RING, "", max_life_s=most_s).url("/a/x.webp", now=NOW, life_s=life_s)
    assert 0 < expiry - NOW <= min(life_s, most_s, 86_400)
