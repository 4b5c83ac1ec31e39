"""Viewers' tokens: which keys count, by which algorithm, and that nothing else makes anybody of somebody."""

import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from nightlight.catalogue.images import PENDING, RECEIVING
from nightlight.catalogue.profiles import WAITING
from nightlight.delivery.access_tokens import TokenClocks
from nightlight.delivery.viewer_tokens import NOBODY, AvatarViewer, ViewerTerms, ViewerTokens
from nightlight_core.errors import SettingsRefused

TERMS = ViewerTerms(None, "nightlight-avatars", "sub", 86_400, 30)
KEYS = {
    "EdDSA": (Ed25519PrivateKey.generate(), OKPAlgorithm),
    "ES256": (ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "RS256": (rsa.generate_private_key(65537, 2048), RSAAlgorithm),
}
REFUSED = {"ES384": (ec.generate_private_key(ec.SECP384R1()), ECAlgorithm)}


def public(name):
    key, algorithm = (KEYS | REFUSED)[name]
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": name}


def token(name, *, algorithm=None, kid=None, key=None, **claims):
    now = int(time.time())
    payload = {"sub": "v-1", "aud": "nightlight-avatars", "iat": now, "exp": now + 600, **claims}
    signing = key if key is not None else (KEYS | REFUSED)[name][0]
    return jwt.encode(payload, signing, algorithm=algorithm or name, headers={"kid": kid or name})


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [public(name) for name in (*KEYS, *REFUSED)]}))
    return ViewerTokens(str(path), TERMS)


@pytest.mark.parametrize("name", KEYS)
def test_each_kind_of_key_counts_by_its_own_algorithm(tokens, name):
    assert tokens.read(token(name)) == AvatarViewer("v-1", "unverified")
    assert tokens.read(token(name, nightlight_viewer="peer")).word == "peer"
    for other in KEYS.keys() - {name}:
        assert tokens.read(token(name, kid=other)) == NOBODY


def test_a_token_has_no_say_in_its_algorithm(tokens):
    pem = KEYS["RS256"][0].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = jwt.utils.base64url_encode(b'{"alg":"HS256","kid":"RS256"}')
    body = token("RS256").split(".")[1].encode()
    signature = jwt.utils.base64url_encode(hmac.digest(pem, head + b"." + body, hashlib.sha256))
    assert tokens.read(b".".join([head, body, signature]).decode()) == NOBODY
    assert tokens.read(token("RS256", algorithm="PS256")) == NOBODY
    assert tokens.read(token("RS256", algorithm="RS512")) == NOBODY
    assert tokens.read(token("ES384")) == NOBODY


def test_a_pem_file_is_a_key_without_a_name(tmp_path):
    path = tmp_path / "viewer.pem"
    key = KEYS["EdDSA"][0]
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    tokens = ViewerTokens(str(path), TERMS)
    now = int(time.time())
    claims = {"sub": "v-1", "aud": "nightlight-avatars", "iat": now, "exp": now + 60}
    assert tokens.read(jwt.encode(claims, key, "EdDSA")) == AvatarViewer("v-1", "unverified")


def test_proofs_are_read_where_they_could_be_some(tokens):
    good = tokens.read(token("EdDSA", nightlight_proofs={"u-1": "connection r1.1.2.x", "u-2": "self", "u-3": 7}))
    assert good.proofs == {"u-1": ("connection", "r1.1.2.x")}
    for proofs in (None, [], "u-1", {"u-1": {}}, {"u-1": " x"}, {"u-1": "connection " + "x" * 5000}):
        assert tokens.read(token("EdDSA", nightlight_proofs=proofs)).proofs == {}


def test_a_token_that_was_good_is_looked_up_until_it_expires(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [public("EdDSA")]}))
    moment = [time.time()]
    tokens = ViewerTokens(str(path), TERMS, clocks=TokenClocks(lambda: moment[0], time.monotonic))
    good = token("EdDSA", exp=int(moment[0]) + 5)
    assert tokens.try_cached(good) is None
    assert tokens.read(good) == tokens.try_cached(good) == AvatarViewer("v-1", "unverified")
    moment[0] += 36  # past its end and the leeway
    assert tokens.try_cached(good) is None
    assert tokens.read(good) == NOBODY


def test_keys_that_cannot_be_used_stop_the_start_and_keys_that_cannot_be_read_make_nobody(tmp_path):
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [public("ES384")]}))
    with pytest.raises(SettingsRefused, match="VIEWER_JWKS"):
        ViewerTokens(str(path), TERMS)
    path.write_text(json.dumps({"keys": [public("EdDSA")]}))
    elapsed = [1000.0]
    tokens = ViewerTokens(str(path), TERMS, clocks=TokenClocks(time.time, lambda: elapsed[0]))
    assert tokens.read(token("EdDSA")) != NOBODY
    path.unlink()
    elapsed[0] += 31
    assert tokens.read(token("EdDSA")) == NOBODY


def test_what_waits_is_named_in_two_places_alike():
    assert WAITING == (RECEIVING, PENDING)
