"""Service tokens: Ed25519-signed JWTs (RFC 7519, RFC 8037) whose ``scope`` says which calls they open."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import OKPAlgorithm

from nightlight.errors import Forbidden, SettingsRefused, Unauthenticated, Unavailable

ALGORITHM = "EdDSA"
MAX_TOKEN_CHARS = 4_096
# The id under which the one key of a PEM file is kept; no token can name it, for key ids are text.
_ANY = ""
# A key that leaves the JWKS counts for at most so much longer.
_GOOD_S, _MOST_GOOD = 30.0, 1_000


class Scope(StrEnum):
    """What a token may open."""

    INGEST = "ingest"  # declare profiles, upload and delete images
    DECIDE = "decide"  # ask for decisions
    LOCAL = "local"  # decide inside the platform: bands, blocks and keys of the day
    EXPLAIN = "explain"  # ask why, as an operator
    POLICY = "policy"  # activate policies, and read counters
    RELATE = "relate"  # push blocks
    HOLD = "hold"  # hide and unhide reported profiles
    VAULT = "vault"  # place legal and safeguarding holds, and approve of their end
    ARRIVE = "arrive"  # tell of pictures in other buckets
    TRACE = "trace"  # find where copies come from


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the token's ``sub``, and the scopes that it carries."""

    subject: str
    scopes: frozenset[str]

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless the token carries ``scope``."""
        if scope.value not in self.scopes:
            message = f"the token lacks the scope '{scope.value}'"
            raise Forbidden(message)


class Verifier:
    """Checks service tokens against a set of public keys, by key id."""

    def __init__(self, jwks: str, *, issuer: str, audience: str, leeway_s: int) -> None:
        """Read ``jwks`` now if it is a file, so that a bad one stops the start; an https URL is read when needed."""
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway_s
        self._remote: jwt.PyJWKClient | None = None
        # Tokens that were good lately, and until when that is taken for granted: checking one takes 0.1 ms.
        self._good: dict[str, tuple[Caller, float]] = {}
        self._keys: Mapping[str, jwt.PyJWK | Ed25519PublicKey] = {}
        if jwks.startswith("https://"):
            self._remote = jwt.PyJWKClient(jwks, cache_keys=True, lifespan=300, timeout=5)
        else:
            self._keys = _read_keys(Path(jwks))

    def known(self, token: str) -> Caller | None:
        """Return the caller that a token which was good lately names."""
        known = self._good.get(token)
        return known[0] if known is not None and time.time() < known[1] else None

    def verify(self, token: str) -> Caller:
        """Return the caller that ``token`` names, or raise Unauthenticated."""
        known = self.known(token)
        if known is not None:
            return known
        if len(token) > MAX_TOKEN_CHARS:
            message = "the token is too long"
            raise Unauthenticated(message)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key=self._key(token),
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise Unavailable(f"the JWKS cannot be fetched: {type(error).__name__}") from error
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"{type(error).__name__}: {error}") from error
        scope = claims.get("scope", "")
        if not isinstance(scope, str):
            message = "scope must be a string of words"
            raise Unauthenticated(message)
        found = Caller(str(claims["sub"])[:128], frozenset(scope.split()))
        if len(self._good) >= _MOST_GOOD:
            self._good.clear()
        self._good[token] = found, min(time.time() + _GOOD_S, float(claims["exp"]) + self._leeway)
        return found

    def _key(self, token: str) -> jwt.PyJWK | Ed25519PublicKey:
        if self._remote is not None:
            return self._remote.get_signing_key_from_jwt(token)
        key_id = jwt.get_unverified_header(token).get("kid")
        key = self._keys.get(key_id if isinstance(key_id, str) else _ANY) or self._keys.get(_ANY)
        if key is None:
            message = "the token's key id is not known"
            raise Unauthenticated(message)
        return key


def _read_keys(path: Path) -> Mapping[str, jwt.PyJWK | Ed25519PublicKey]:
    """Return public keys by key id; the one key of a PEM file serves whatever id a token names."""
    try:
        text = path.read_text("utf-8")
        if text.startswith("-----BEGIN"):
            key = load_pem_public_key(text.encode())
            if isinstance(key, Ed25519PublicKey):
                return {_ANY: key}
            message = f"NIGHTLIGHT_AUTH_JWKS: {path} is not an Ed25519 public key"
            raise SettingsRefused(message)
        found = jwt.PyJWKSet.from_dict(json.loads(text))
    except (OSError, ValueError, UnsupportedAlgorithm, jwt.PyJWTError) as error:
        message = f"NIGHTLIGHT_AUTH_JWKS: {path} cannot be read as a JWKS or PEM ({type(error).__name__})"
        raise SettingsRefused(message) from error
    keys = {key.key_id: key for key in found.keys if key.key_id and key.key_type == "OKP"}
    if not keys:
        message = f"NIGHTLIGHT_AUTH_JWKS: {path} holds no Ed25519 key with a key id"
        raise SettingsRefused(message)
    return keys


def generate_key() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a fresh (private JWK, JWKS with its public half), for development."""
    key_id = secrets.token_hex(8)
    private_key = Ed25519PrivateKey.generate()
    private = {**OKPAlgorithm.to_jwk(private_key, as_dict=True), "kid": key_id, "alg": ALGORITHM}
    public = {**OKPAlgorithm.to_jwk(private_key.public_key(), as_dict=True), "kid": key_id, "alg": ALGORITHM}
    return private, {"keys": [public]}


def mint(
    private_jwk: dict[str, Any],
    *,
    subject: str,
    scopes: list[str],
    issuer: str,
    audience: str,
    now: datetime,
    life: timedelta,
) -> str:
    """Return a signed token for ``subject`` with ``scopes``, valid from ``now`` for ``life``."""
    claims = {
        "sub": subject,
        "scope": " ".join(scopes),
        "iss": issuer,
        "aud": audience,
        "iat": now,
        "exp": now + life,
    }
    return jwt.encode(claims, jwt.PyJWK(private_jwk).key, algorithm=ALGORITHM, headers={"kid": private_jwk["kid"]})
