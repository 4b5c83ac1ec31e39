"""Viewers' tokens: JWTs (RFC 7519) that the platform signs, and that say who looks.

::

    claim               what it says
    viewer_claim (sub)  the viewer, in the platform's own opaque id
    nightlight_viewer   the word for what is assured of the viewer's age; `unverified` without it
    nightlight_proofs   relation proofs by profile id, each as `relation proof` with a space between
    iss, aud, iat, exp  as everywhere; `exp` and `iat` must be there

Whatever is wrong with a token, its bearer is nobody: an outsider who is not signed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from nightlight import logs
from nightlight.delivery.access_tokens import SYSTEM_CLOCKS, TokenClocks, TokenTimes, expiry_of
from nightlight.delivery.jwks import key_source, keys_of
from nightlight_core.decisions.relation_proofs import MAX_PROOF
from nightlight_core.errors import NightlightError, Unauthenticated
from nightlight_core.ids import is_profile_id

if TYPE_CHECKING:
    from nightlight.delivery.jwks import KeySet

# What a header of nginx carries at most.
MAX_TOKEN_CHARS = 8_192
UNVERIFIED, SIGNED_OUT = "unverified", "signed_out"
_MAX_WORD = 32
_MIN_RSA_BITS = 2048
# A token that was good counts so long without being checked again, as long as its set of keys counts.
_GOOD_S, _MOST_GOOD = 10.0, 10_000
PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey


@dataclass(frozen=True, slots=True)
class AvatarViewer:
    """Who looks: an id, None for nobody; the word for what is assured; relation proofs by profile id.

    A proof is (relation, proof).
    """

    viewer_id: str | None = None
    word: str = SIGNED_OUT
    proofs: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)


NOBODY = AvatarViewer()


@dataclass(frozen=True, slots=True)
class SigningKeyKind:
    """A public key, and the one algorithm that it is used with: a token has no say in that."""

    key: PublicKey
    algorithm: str


def algorithm_of(key: object) -> SigningKeyKind | None:
    """Return a key with its algorithm; None for a kind that does not count."""
    if isinstance(key, Ed25519PublicKey):
        return SigningKeyKind(key, "EdDSA")
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return SigningKeyKind(key, "ES256")
    if isinstance(key, RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return SigningKeyKind(key, "RS256")
    return None


@dataclass(frozen=True, slots=True)
class ViewerTerms:
    """What a viewer's token must say; ``issuer`` None is any. Times are in seconds."""

    issuer: str | None
    audience: str
    claim: str
    max_life_s: int
    leeway_s: int


class ViewerTokens:
    """Reads viewers' tokens. Safe to share between threads."""

    def __init__(self, jwks: str, terms: ViewerTerms, *, clocks: TokenClocks = SYSTEM_CLOCKS) -> None:
        """Read ``jwks`` now if it is a file; raises SettingsRefused where it cannot be used."""
        self._source = key_source(
            jwks, clocks.elapsed, lambda text: keys_of(text, algorithm_of), variable="NIGHTLIGHT_AVATARS_VIEWER_JWKS"
        )
        self._terms, self._clock = terms, clocks.wall
        self._good: dict[str, tuple[AvatarViewer, float, KeySet[SigningKeyKind]]] = {}

    def try_cached(self, token: str) -> AvatarViewer | None:
        """Return whom a token names that was good lately; None says nothing of it. It waits for nothing."""
        cached = self._good.get(token)
        if cached is None:
            return None
        viewer, until, keys = cached
        return viewer if keys is self._source.fresh() and self._clock() < until else None

    def read(self, token: str) -> AvatarViewer:
        """Return whom a token names; ``NOBODY`` for one that is broken, forged or expired. Never raises."""
        try:
            return self.try_cached(token) or self._verify(token)
        except Unauthenticated:
            return NOBODY
        except NightlightError as error:
            logs.get("avatars").error("viewers.keys_not_read", detail=str(error))
            return NOBODY

    def _verify(self, token: str) -> AvatarViewer:
        if len(token) > MAX_TOKEN_CHARS:
            raise Unauthenticated("the token is too long")
        held = self._source.fresh() or self._source.read(known=False)
        claims = self._claims(token, held)
        expires_at = expiry_of(
            claims,
            self._clock(),
            TokenTimes(self._terms.leeway_s, self._terms.max_life_s, "NIGHTLIGHT_AVATARS_VIEWER_MAX_LIFE_S"),
        )
        viewer = self._viewer(claims)
        if len(self._good) >= _MOST_GOOD:
            self._good.clear()
        self._good[token] = viewer, min(self._clock() + _GOOD_S, expires_at + self._terms.leeway_s), held
        self._source.read_ahead()
        return viewer

    def _claims(self, token: str, held: KeySet[SigningKeyKind]) -> dict[str, Any]:
        terms = self._terms
        required = ["exp", "iat", "aud", terms.claim, *(["iss"] if terms.issuer is not None else [])]
        try:
            key = held.key(jwt.get_unverified_header(token).get("kid"))
            if key is None:
                raise Unauthenticated("the token's key id is not known")
            claims: dict[str, Any] = jwt.decode(
                token,
                key=key.key,
                algorithms=[key.algorithm],
                audience=terms.audience,
                issuer=terms.issuer,
                options={
                    "require": required,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "verify_sub": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Unauthenticated(f"{type(error).__name__}: {error}") from error
        return claims

    def _viewer(self, claims: Mapping[str, Any]) -> AvatarViewer:
        viewer_id, word = claims[self._terms.claim], claims.get("nightlight_viewer", UNVERIFIED)
        if not is_profile_id(viewer_id):
            raise Unauthenticated("the viewer's id is none that could be")
        proofs = claims.get("nightlight_proofs", {})
        pairs = proofs.items() if isinstance(proofs, dict) else ()
        return AvatarViewer(
            viewer_id, viewer_word(word), {key: proof for key, text in pairs if (proof := proof_of(text))}
        )


def viewer_word(word: object) -> str:
    """Return the word for what is assured of a viewer; ``signed_out``, which opens least, for what is no word."""
    return word if isinstance(word, str) and 0 < len(word) <= _MAX_WORD else SIGNED_OUT


def proof_of(text: object) -> tuple[str, str] | None:
    """Return (relation, proof) of ``relation proof``; None for anything else."""
    if not isinstance(text, str):
        return None
    relation, _, proof = text.partition(" ")
    return (relation, proof) if 0 < len(relation) <= _MAX_WORD and 0 < len(proof) <= MAX_PROOF else None
