"""Takes Nightlight's events: verifies who sent them, refuses what is old or was seen before, and reads them.

By the Standard Webhooks specification (version 1.0.0). A signature with a shared secret (``v1``) needs Python alone;
one with a public key (``v1a``, Ed25519) needs ``nightlight-client[local]``. ::

    receiver = WebhookReceiver(secrets=["whsec_..."], seen=MemorySeen())

    def hook(request):                                   # the body as it came, before anything parses it
        try:
            with receiver.receive(request.body, request.headers) as event:
                forget_cached_urls(event.profile_id)     # if this raises, the event comes again
        except WebhookRefused as refused:
            return Response(status=refused.status)
        return Response(status=204)
"""

from __future__ import annotations

import base64
import binascii
import hmac
import inspect
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from nightlight_client.errors import ClientMisconfigured
from nightlight_client.webhook_seen import (
    AsyncSeenEvents,
    MemorySeen,
    SeenEvents,
    WebhookRefused,
    WebhookReplayed,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = [
    "AsyncSeenEvents",
    "AsyncWebhookReceiver",
    "MemorySeen",
    "SeenEvents",
    "WebhookEvent",
    "WebhookReceiver",
    "WebhookRefused",
    "WebhookReplayed",
    "public_keys_of",
]

_T = TypeVar("_T")
# Ours have a few hundred bytes; the specification proposes at most 20 kB.
MAX_BYTES = 65_536
TOLERANCE_S = 300
# The lengths that the specification allows a secret; a public key has 32 bytes and a signature with it 64.
_SECRET_BYTES, _KEY_BYTES = range(24, 65), range(32, 33)
_MAX_KEYS, _MAX_SIGNATURES, _MAX_HEADER = 8, 16, 4096
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SECONDS = re.compile(r"[0-9]{1,12}")
# Whoever takes longer over an event than this may be given it twice.
_CLAIM_S = 120


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An event: ``picture.changed``, ``picture.taken_down``, ``picture.restored``, ``takedown.set_aside`` or
    ``webhook.test``. A later service may send other types: answer 204 to those that you do not know.

    ``happened_at`` is the event's own moment, ``sent_at`` that of this delivery. ``data`` is all that it says.
    """  # noqa: D205 - the types are the summary

    event_id: str
    type: str
    happened_at: datetime
    sent_at: datetime
    profile_id: str | None
    image_id: str | None
    takedown_id: str | None
    data: Mapping[str, Any]


class _Verifier:
    """What both receivers have: the keys, and the verification."""

    def __init__(
        self, secrets: Iterable[str], public_keys: Iterable[str], tolerance_s: int, clock: Callable[[], float]
    ) -> None:
        self._secrets = [_decoded(text, "whsec_", _SECRET_BYTES) for text in _listed(secrets, "secrets")]
        raw = [_decoded(text, "whpk_", _KEY_BYTES) for text in _listed(public_keys, "public_keys")]
        self._public_keys = _loaded(raw)
        if not self._secrets and not raw:
            raise ClientMisconfigured("a receiver of webhooks needs secrets or public keys")
        if tolerance_s < 1:
            raise ClientMisconfigured("tolerance_s is at least a second")
        self._tolerance_s, self._clock = tolerance_s, clock
        # A timestamp may be so far ahead, and then so old.
        self._remember_s = 2 * tolerance_s + 1

    def _verified(self, payload: bytes | str, headers: Mapping[str, str]) -> WebhookEvent:
        body = payload.encode() if isinstance(payload, str) else bytes(payload)
        if len(body) > MAX_BYTES:
            raise WebhookRefused(413, "webhook_too_large", f"the body has more than {MAX_BYTES} bytes")
        event_id, moment, signatures = (_header(headers, name) for name in ("id", "timestamp", "signature"))
        if not _ID.fullmatch(event_id) or not _SECONDS.fullmatch(moment):
            raise WebhookRefused(400, "webhook_malformed", "webhook-id or webhook-timestamp is malformed")
        if abs(self._clock() - int(moment)) > self._tolerance_s:
            raise WebhookRefused(401, "webhook_expired", f"it was sent more than {self._tolerance_s} s ago, or ahead")
        if not self._signed(f"{event_id}.{moment}.".encode() + body, signatures.split(" ")):
            raise WebhookRefused(401, "webhook_unsigned", "no signature is by a key of this receiver")
        return _read(event_id, int(moment), body)

    def _signed(self, message: bytes, signatures: list[str]) -> bool:
        """Say whether one of the signatures is by one of the keys; each is compared with each, whatever comes of it."""
        if len(signatures) > _MAX_SIGNATURES:
            return False
        macs = [base64.b64encode(hmac.digest(secret, message, "sha256")) for secret in self._secrets]
        good = False
        for version, _, text in (signature.partition(",") for signature in signatures):
            given = text.encode("utf-8", "replace")
            for mac in macs if version == "v1" else ():
                good |= hmac.compare_digest(mac, given)
            for key in self._public_keys if version == "v1a" else ():
                good |= _verifies(key, given, message)
        return good


class WebhookReceiver(_Verifier):
    """Verifies events. Safe to share between threads."""

    def __init__(
        self,
        *,
        secrets: Iterable[str] = (),
        public_keys: Iterable[str] = (),
        seen: SeenEvents | None = None,
        tolerance_s: int = TOLERANCE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Accept events that one of these keys signed; several, so that they can be rotated.

        ``secrets`` are ``whsec_...``, ``public_keys`` ``whpk_...`` (``public_keys_of`` makes them of the service's
        JWKS). ``seen`` refuses replays; without it an event can be sent again for ``tolerance_s`` by whoever has seen
        it on its way. Raises ClientMisconfigured where a key is malformed, where there is none, and where
        ``public_keys`` are given without ``cryptography``.
        """
        super().__init__(secrets, public_keys, tolerance_s, clock)
        self._seen = seen

    def verify(self, payload: bytes | str, headers: Mapping[str, str]) -> WebhookEvent:
        """Return the event of a request; ``payload`` is its body, byte for byte as it came.

        With ``seen`` it counts as taken from now on. Use ``receive`` where taking it may fail. Raises WebhookRefused.
        """
        event = self._verified(payload, headers)
        if self._seen is not None and not self._seen.add(_taken(event), self._remember_s):
            raise _replayed(event)
        return event

    @contextmanager
    def receive(self, payload: bytes | str, headers: Mapping[str, str]) -> Iterator[WebhookEvent]:
        """Give the event of a request; it counts as taken once the block has ended, and not if the block raises.

        Raises WebhookRefused; with the status 503 where another thread or process is at the same event.
        """
        event, seen = self._verified(payload, headers), self._seen
        if seen is None:
            yield event
            return
        if not seen.add(_claim(event), _CLAIM_S):
            raise _replayed(event) if seen.has(_taken(event)) else _busy()
        try:
            if seen.has(_taken(event)):
                raise _replayed(event)
            yield event
            seen.add(_taken(event), self._remember_s)
        finally:
            seen.discard(_claim(event))


class AsyncWebhookReceiver(_Verifier):
    """The same for asyncio: ``seen`` may be one whose methods are awaited."""

    def __init__(
        self,
        *,
        secrets: Iterable[str] = (),
        public_keys: Iterable[str] = (),
        seen: AsyncSeenEvents | SeenEvents | None = None,
        tolerance_s: int = TOLERANCE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Accept events as a WebhookReceiver does; raises ClientMisconfigured likewise."""
        super().__init__(secrets, public_keys, tolerance_s, clock)
        self._seen = seen

    async def verify(self, payload: bytes | str, headers: Mapping[str, str]) -> WebhookEvent:
        """Return the event of a request; with ``seen`` it counts as taken from now on. Raises WebhookRefused."""
        event = self._verified(payload, headers)
        if self._seen is not None and not await _awaited(self._seen.add(_taken(event), self._remember_s)):
            raise _replayed(event)
        return event

    @asynccontextmanager
    async def receive(self, payload: bytes | str, headers: Mapping[str, str]) -> AsyncIterator[WebhookEvent]:
        """Give the event of a request; it counts as taken once the block has ended, and not if the block raises."""
        event, seen = self._verified(payload, headers), self._seen
        if seen is None:
            yield event
            return
        if not await _awaited(seen.add(_claim(event), _CLAIM_S)):
            raise _replayed(event) if await _awaited(seen.has(_taken(event))) else _busy()
        try:
            if await _awaited(seen.has(_taken(event))):
                raise _replayed(event)
            yield event
            await _awaited(seen.add(_taken(event), self._remember_s))
        finally:
            await _awaited(seen.discard(_claim(event)))


def public_keys_of(jwks: Mapping[str, Any]) -> list[str]:
    """Return the ``whpk_...`` of a JWK Set, as ``/.well-known/nightlight-webhooks.jwks.json`` gives it.

    Raises ClientMisconfigured where it is none.
    """
    try:
        keys = [str(jwk["x"]) for jwk in jwks["keys"] if jwk.get("crv") == "Ed25519"]
        raw = [base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)) for x in keys]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ClientMisconfigured(f"this is no JWK Set of Ed25519 keys ({type(error).__name__})") from error
    return [f"whpk_{base64.b64encode(key).decode()}" for key in raw]


def _read(event_id: str, moment: int, body: bytes) -> WebhookEvent:
    """Return the event of a body that is signed; raise WebhookRefused where it is none all the same."""
    try:
        content = json.loads(body)
        kind, data = content["type"], content["data"]
        happened_at = datetime.fromisoformat(content["timestamp"])
        names = {name: data.get(name) for name in ("profile_id", "image_id", "takedown_id")}
        sent_at = datetime.fromtimestamp(moment, UTC)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        message = f"the body is no event ({type(error).__name__})"
        raise WebhookRefused(400, "webhook_malformed", message) from error
    if not isinstance(kind, str) or not all(name is None or isinstance(name, str) for name in names.values()):
        raise WebhookRefused(400, "webhook_malformed", "the body is no event: type and ids are text")
    return WebhookEvent(event_id, kind, happened_at, sent_at, data=data, **names)


def _header(headers: Mapping[str, str], name: str) -> str:
    """Return a header, however its name is written: WSGI's way too."""
    wanted = {f"webhook-{name}", f"http-webhook-{name}"}
    for known, value in headers.items():
        if str(known).lower().replace("_", "-") in wanted:
            text = str(value)
            if text.isascii() and len(text) <= _MAX_HEADER:
                return text
            break
    raise WebhookRefused(400, "webhook_malformed", f"the header webhook-{name} is missing or malformed")


def _taken(event: WebhookEvent) -> str:
    return f"{event.event_id}:taken"


def _claim(event: WebhookEvent) -> str:
    return f"{event.event_id}:claimed"


def _busy() -> WebhookRefused:
    return WebhookRefused(503, "webhook_busy", "the same event is being taken at this moment")


async def _awaited(answer: _T | Awaitable[_T]) -> _T:
    return await answer if inspect.isawaitable(answer) else answer


def _replayed(event: WebhookEvent) -> WebhookReplayed:
    return WebhookReplayed(204, "webhook_replayed", f"the event {event.event_id} was taken before")


def _listed(texts: Iterable[str], what: str) -> list[str]:
    listed = [texts] if isinstance(texts, str) else list(texts)
    if len(listed) > _MAX_KEYS:
        raise ClientMisconfigured(f"a receiver of webhooks has at most {_MAX_KEYS} {what}")
    return listed


def _decoded(text: str, prefix: str, lengths: range) -> bytes:
    """Return a key's bytes; raise ClientMisconfigured, without the key."""
    try:
        raw = base64.b64decode(text.removeprefix(prefix), validate=True) if text.startswith(prefix) else b""
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) not in lengths:
        raise ClientMisconfigured(f"a key of webhooks is '{prefix}' and base64 of {lengths[0]} to {lengths[-1]} bytes")
    return raw


def _loaded(keys: list[bytes]) -> list[Ed25519PublicKey]:
    if not keys:
        return []
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        message = "public keys (v1a) need cryptography: pip install 'nightlight-client[local]', or use secrets (v1)"
        raise ClientMisconfigured(message) from error
    return [Ed25519PublicKey.from_public_bytes(raw) for raw in keys]


def _verifies(key: Ed25519PublicKey, encoded: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(base64.b64decode(encoded, validate=True), message)
    except (InvalidSignature, ValueError):
        return False
    return True
