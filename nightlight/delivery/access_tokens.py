"""Service tokens: Ed25519-signed JWTs (RFC 7519, RFC 8037) whose ``scope`` says which calls they open."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from nightlight.delivery.jwks import key_source, parse_keys
from nightlight_core.errors import Forbidden, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from nightlight.delivery.jwks import KeySet

ALGORITHM = "EdDSA"
MAX_TOKEN_CHARS = 4_096
# A token may be made to last so long, in seconds, unless the settings say otherwise.
MAX_LIFE_S = 86_400
# A token that was good is taken for good so long, as long as its set of keys counts; then it has that read again.
_GOOD_S, _MOST_GOOD = 10.0, 1_000
# The end of the year 9999.
_LAST_MOMENT = 253_402_300_799


class TokenScope(StrEnum):
    """What a token may open: in the whole deployment, which is one platform's. Callers are not kept apart."""

    INGEST = "ingest"  # declare profiles, upload, release and delete images: any caller's
    DECIDE = "decide"  # ask for decisions
    SEARCH = "search"  # search profiles and viewers by what they would be shown: it tells which ids are accounts
    LOCAL = "local"  # decide inside the platform: bands, blocks and keys of the day
    EXPLAIN = "explain"  # ask why, as an operator
    POLICY = "policy"  # activate policies, and read counters
    RELATE = "relate"  # push blocks
    REPORT = "report"  # set and clear report flags
    HOLD = "hold"  # place legal and safeguarding holds, and approve of their end
    IMPORT = "import"  # notify of pictures in other buckets
    TRACE = "trace"  # find where copies come from
    EXPORT = "export"  # have a person's own data put together, the original among it
    TAKEDOWN = "takedown"  # place takedown notices, and take verdicts on their matches
    REVIEW = "review"  # look at a notice's matches, softened, and take verdicts on them


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the token's ``sub``, and the scopes that it carries."""

    subject: str
    scopes: frozenset[str]

    def require(self, *scopes: TokenScope) -> None:
        """Raise Forbidden unless the token carries one of ``scopes``; without any, it does."""
        if scopes and not any(scope.value in self.scopes for scope in scopes):
            named = " or ".join(f"'{scope.value}'" for scope in scopes)
            raise Forbidden(f"the token lacks the scope {named}")


class TokenClocks(NamedTuple):
    """The time of day in Unix seconds, and seconds that only go forward."""

    wall: Callable[[], float]
    elapsed: Callable[[], float]


SYSTEM_CLOCKS = TokenClocks(time.time, time.monotonic)


class AccessVerifier:
    """Checks service tokens against a set of public keys, by key id."""

    def __init__(
        self,
        jwks: str,
        *,
        issuer: str,
        audience: str,
        leeway_s: int,
        max_life_s: int = MAX_LIFE_S,
        clocks: TokenClocks = SYSTEM_CLOCKS,
    ) -> None:
        """Read ``jwks`` now if it is a file, so that a bad one stops the start; an https URL is read when needed.

        No token counts that is made to last longer than ``max_life_s``. Raises SettingsRefused.
        """
        self._source, self._clock = key_source(jwks, clocks.elapsed, parse_keys), clocks.wall
        self._issuer, self._audience = issuer, audience
        self._leeway, self._max_life = leeway_s, max_life_s
        # Tokens that were good lately, until when, and by which set of keys: checking one takes 0.1 ms.
        self._good: dict[str, tuple[Caller, float, KeySet[Ed25519PublicKey]]] = {}

    def keys(self) -> dict[str, bytes]:
        """Return the public keys that were read last, raw, by id."""
        held = self._source.held
        return {key_id: key.public_bytes_raw() for key_id, key in held.keys.items()} if held is not None else {}

    def try_cached(self, token: str) -> Caller | None:
        """Return the caller that a token which was good lately names, by the set of keys that is held now.

        None says nothing of the token: ``verify`` does. It waits for nothing.
        """
        cached = self._good.get(token)
        if cached is None:
            return None
        caller, until, keys = cached
        # Not the same set: read again since. Too old a set: to be read again, whoever the token is of.
        return caller if keys is self._source.fresh() and self._clock() < until else None

    def verify(self, token: str) -> Caller:
        """Return the caller that ``token`` names.

        Raises Unauthenticated, or Unavailable while the keys of callers cannot be read.
        """
        cached = self.try_cached(token)
        if cached is not None:
            return cached
        if len(token) > MAX_TOKEN_CHARS:
            raise Unauthenticated("the token is too long")
        held = self._source.fresh()
        if held is None:
            held = self._source.read(known=self._was_valid(token))
        caller, expires_at = self._checked(token, held)
        if len(self._good) >= _MOST_GOOD:
            self._good.clear()
        self._good[token] = caller, min(self._clock() + _GOOD_S, expires_at + self._leeway), held
        self._source.read_ahead()
        return caller

    def check(self) -> str | None:
        """Return ``callers_keys_missing`` where nobody could be let in: no key, or none that could be read lately."""
        try:
            held = self._source.fresh() or self._source.read(known=True)
        except Unavailable:
            return "callers_keys_missing"
        return None if held.keys else "callers_keys_missing"

    def _was_valid(self, token: str) -> bool:
        """Say whether a token is valid by the last set of keys, which is too old to open anything."""
        held = self._source.held
        try:
            return held is not None and bool(self._checked(token, held))
        except Unauthenticated:
            return False

    def _checked(self, token: str, held: KeySet[Ed25519PublicKey]) -> tuple[Caller, float]:
        """Return the caller that a token names, and when it expires, in Unix seconds."""
        try:
            key = held.key(jwt.get_unverified_header(token).get("kid"))
            if key is None:
                raise Unauthenticated("the token's key id is not known")
            claims: dict[str, Any] = jwt.decode(
                token,
                key=key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                # Its own reading of times is looser than ours: it takes texts, and numbers that no clock reaches.
                options={
                    "require": ["exp", "iat", "sub", "aud", "iss"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Unauthenticated(f"{type(error).__name__}: {error}") from error
        times = TokenTimes(self._leeway, self._max_life, "NIGHTLIGHT_AUTH_MAX_LIFE_S")
        expires_at = expiry_of(claims, self._clock(), times)
        scope = claims.get("scope", "")
        if not isinstance(scope, str):
            raise Unauthenticated("scope must be a string of words")
        return Caller(str(claims["sub"])[:128], frozenset(scope.split())), expires_at


class TokenTimes(NamedTuple):
    """What bounds a token's times, in seconds; ``setting`` is the variable that says its longest life."""

    leeway_s: float
    max_life_s: float
    setting: str


def expiry_of(claims: Mapping[str, Any], now: float, times: TokenTimes) -> float:
    """Return when a token expires; raise Unauthenticated unless it counts now and is not made to last."""
    issued_at, expires_at = numeric_date(claims, "iat"), numeric_date(claims, "exp")
    not_before = numeric_date(claims, "nbf") if "nbf" in claims else issued_at
    if max(issued_at, not_before) > now + times.leeway_s:
        raise Unauthenticated("the token is not valid yet")
    if expires_at <= now - times.leeway_s:
        raise Unauthenticated("the token has expired")
    if expires_at - issued_at > times.max_life_s:
        raise Unauthenticated(f"the token is made to last longer than {times.max_life_s} s ({times.setting})")
    return expires_at


def numeric_date(claims: Mapping[str, Any], name: str) -> float:
    """Return a NumericDate (RFC 7519) in Unix seconds; raise Unauthenticated if it is none that a clock can show."""
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_MOMENT:
        raise Unauthenticated(f"{name} must be a number of seconds since 1970, before the year 10000")
    return float(value)


def generate_key() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a fresh (private JWK, JWKS with its public half), for development."""
    key_id = secrets.token_hex(8)
    private_key = Ed25519PrivateKey.generate()
    private = {**OKPAlgorithm.to_jwk(private_key, as_dict=True), "kid": key_id, "alg": ALGORITHM}
    public = {**OKPAlgorithm.to_jwk(private_key.public_key(), as_dict=True), "kid": key_id, "alg": ALGORITHM}
    return private, {"keys": [public]}


def issue_token(
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
