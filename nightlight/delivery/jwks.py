"""The public keys of callers: a JWKS (RFC 7517) or PEM file, or an https URL of a JWKS.

A set of keys counts for at most ``LIFE_S`` from the moment at which its reading began, so that a key that left it opens
nothing after that. There is no grace: while no set can be read nobody is let in (Unavailable).

::

    age of the set      what a token meets
    up to AHEAD_S       the set
    up to LIFE_S        the set; a token that is good by it has the next one read in the background
    more, or no set     the next set is read first. A token that is good by the old set may have it read again soon
                        after a failure; any other token, an unknown key id say, at most once in LIFE_S
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from nightlight import logs
from nightlight_core.errors import SettingsRefused, Unavailable
from nightlight_core.files import read_text

LIFE_S = 30.0
# A set from elsewhere is read again from so many seconds on; a file, which costs nothing, sooner.
AHEAD_S, _FILE_AHEAD_S = 15.0, 5.0
# After a failure a caller whom the last set knows may have it tried again so soon.
_AGAIN_S = 2.0
# A set of a thousand keys has 150 kB. The server has so long for all of it.
_MAX_BYTES, _FETCH_S = 1_000_000, 5.0
# The id under which the one key of a PEM file is kept: no token can name it, for it is no text that a header may hold.
_ANY = "\0"

K = TypeVar("K")
Keys = Mapping[str, Ed25519PublicKey]


@dataclass(frozen=True, slots=True)
class KeySet(Generic[K]):
    """Keys by id, and when their reading began, on a clock that only goes forward. Two readings are never equal."""

    keys: Mapping[str, K] = field(repr=False)
    read_at: float
    number: int

    def key(self, key_id: object) -> K | None:
        """Return the key that a token's header names; the key of a PEM file serves whatever is named."""
        key = self.keys.get(key_id) if isinstance(key_id, str) and key_id != _ANY else None
        return key or self.keys.get(_ANY)


class KeySource(Generic[K]):
    """Holds the newest set and has it read again. Safe to share between threads."""

    def __init__(self, load: Callable[[], Mapping[str, K]], *, ahead_s: float, elapsed: Callable[[], float]) -> None:
        """Read by ``load``, which raises Unavailable; ``elapsed`` is in seconds and only goes forward."""
        self._load, self._ahead_s, self._elapsed = load, ahead_s, elapsed
        self._lock = threading.Lock()
        self._tried_at = float("-inf")
        self._failed: str | None = None
        self.held: KeySet[K] | None = None

    def fresh(self) -> KeySet[K] | None:
        """Return the set if it still counts."""
        held = self.held
        return held if held is not None and self._elapsed() - held.read_at < LIFE_S else None

    def read(self, *, known: bool) -> KeySet[K]:
        """Return a set that counts, read now if need be; raise Unavailable where that fails or was just tried.

        ``known`` says that whoever has it read has a token that is valid by the last set.
        """
        with self._lock:  # who waits here finds what the first one read, or that it failed
            key_set = self.fresh()
            if key_set is None and self._elapsed() - self._tried_at >= (_AGAIN_S if known else LIFE_S):
                self._try()
                key_set = self.fresh()
        if key_set is None:
            raise Unavailable(f"the keys of callers cannot be read: {self._failed}")
        return key_set

    def read_ahead(self) -> None:
        """Read the next set in the background if the one at hand is old enough and nobody is reading already."""
        held, now = self.held, self._elapsed()
        if held is None or now - held.read_at < self._ahead_s or now - self._tried_at < _AGAIN_S:
            return
        if self._lock.acquire(blocking=False):
            try:
                threading.Thread(target=self._try_and_release, name="jwks", daemon=True).start()
            except RuntimeError:  # no more threads: whoever finds the set too old reads it
                self._lock.release()

    def _try_and_release(self) -> None:
        try:
            self._try()
        finally:
            self._lock.release()

    def _try(self) -> None:
        """Read, holding the lock. A failure leaves the last set, to its end."""
        self._tried_at = began = self._elapsed()
        try:
            keys = self._load()
        except Unavailable as error:
            self._failed = str(error)
            logs.get("auth").error("callers.keys_not_read", detail=self._failed)
            return
        self._failed = None
        self.held = KeySet(keys, began, self.held.number + 1 if self.held else 0)


def key_source(
    jwks: str,
    elapsed: Callable[[], float],
    parse: Callable[[str], Mapping[str, K]],
    *,
    variable: str = "NIGHTLIGHT_AUTH_JWKS",
) -> KeySource[K]:
    """Return the source of a file, which is read now, or of an https URL, which is read when needed.

    ``parse`` is ``parse_keys`` or another that raises ValueError; ``variable`` is the setting that named ``jwks``.
    Raises SettingsRefused for a file without a usable key: a bad one stops the start.
    """
    if jwks.startswith("https://"):
        # The system's own authorities, or those of SSL_CERT_FILE.
        http = httpx.Client(verify=ssl.create_default_context(), timeout=_FETCH_S, follow_redirects=False)
        return KeySource(lambda: _fetch(http, jwks, parse), ahead_s=AHEAD_S, elapsed=elapsed)
    path = Path(jwks)

    def load() -> Mapping[str, K]:
        try:
            return parse(read_text(path))
        except (OSError, ValueError) as error:
            raise Unavailable(f"{path} cannot be read as a JWKS or PEM ({type(error).__name__}: {error})") from error

    source = KeySource(load, ahead_s=_FILE_AHEAD_S, elapsed=elapsed)
    try:
        held = source.read(known=True)
    except Unavailable as error:
        raise SettingsRefused(f"{variable}: {error}") from error
    if not held.keys:
        raise SettingsRefused(f"{variable}: {path} holds no usable key with a key id")
    return source


def parse_keys(text: str) -> Keys:
    """Return the Ed25519 keys of a JWKS or PEM by key id; raise ValueError if it is neither.

    Keys of other kinds, for other uses or without an id are left out; a set without keys is one: nobody is let in.
    """
    return keys_of(text, _only_ed25519)


def keys_of(text: str, accept: Callable[[object], K | None]) -> Mapping[str, K]:
    """Return the keys of a JWKS or PEM by key id that ``accept`` makes something of; raise ValueError if it is neither.

    ``accept`` is given a public key of ``cryptography``, and returns None for one that does not count.
    """
    if text.startswith("-----BEGIN"):
        return {_ANY: _pem(text, accept)}
    try:
        plain = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    listed = plain.get("keys") if isinstance(plain, dict) else None
    if not isinstance(listed, list):
        raise ValueError("there is no list 'keys'")  # noqa: TRY004 - of a file, not of an argument
    keys: dict[str, K] = {}
    for jwk in listed:
        key_id, key = _key(jwk, accept) if isinstance(jwk, dict) else ("", None)
        if key is not None:
            keys.setdefault(key_id, key)
    return keys


def _only_ed25519(key: object) -> Ed25519PublicKey | None:
    return key if isinstance(key, Ed25519PublicKey) else None


def _key(jwk: dict[str, Any], accept: Callable[[object], K | None]) -> tuple[str, K | None]:
    key_id = jwk.get("kid")
    if not isinstance(key_id, str) or key_id in {"", _ANY} or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return "", None
    try:
        key = jwt.PyJWK.from_dict(jwk).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return "", None
    return key_id, accept(key)


def _pem(text: str, accept: Callable[[object], K | None]) -> K:
    try:
        key = accept(load_pem_public_key(text.encode()))
    except UnsupportedAlgorithm as error:
        raise ValueError("an unknown kind of key") from error
    if key is None:
        raise ValueError("not a public key of a kind that counts here")
    return key


def _fetch(http: httpx.Client, url: str, parse: Callable[[str], Mapping[str, K]]) -> Mapping[str, K]:
    body, end = bytearray(), time.monotonic() + _FETCH_S
    try:
        with http.stream("GET", url, headers={"Accept": "application/json"}) as answer:
            if answer.status_code != httpx.codes.OK:
                raise Unavailable(f"the JWKS server answers {answer.status_code}")
            for piece in answer.iter_bytes():  # httpx bounds each step by itself; this bounds all of them
                body += piece
                if len(body) > _MAX_BYTES or time.monotonic() > end:
                    raise Unavailable("the JWKS server's answer is too long, or too long in coming")
        return parse(body.decode("utf-8"))
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise Unavailable(f"the JWKS cannot be fetched: {type(error).__name__}: {error}") from error
