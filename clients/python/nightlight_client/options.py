"""How a client's requests travel, what is told of each call, and what may carry them in place of HTTP.

::

    tls = ssl.create_default_context(cafile="internal-ca.pem")
    tls.load_cert_chain("backend.pem", "backend.key")
    options = HttpOptions(tls=tls, headers={"X-Environment": "staging"}, on_call=measure)
    client = NightlightClient("https://nightlight.internal", token=token, options=options)
"""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from nightlight_client.errors import ClientMisconfigured
from nightlight_core.errors import SettingsRefused
from nightlight_core.keyring import KeyRing

if TYPE_CHECKING:
    from nightlight_client.exchanges import HttpAttempt
    from nightlight_client.responses import Response

# A header that a client sets by itself.
_OWN = frozenset({"authorization", "content-type", "content-length", "transfer-encoding", "host"})
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_MOST_TOKEN_CHARS = 8_192
_LONGEST_S = 3600.0


@dataclass(frozen=True, slots=True)
class CallReport:
    """One request that ended, for the platform's own metrics: nothing in it says who was asked about, or by whom.

    ``operation`` is the method's name; one that waits asks several times. ``outcome`` is ``ok``, ``fallback``
    (placeholders for want of an answer), the code of a Problem, the kind of a failure, or ``error`` for an exception of
    the caller's own. ``status`` is that of the last answer, 0 if none came. ``seconds`` are those of all ``attempts``.
    """

    operation: str
    outcome: str
    status: int
    seconds: float
    attempts: int


class Carrier(Protocol):
    """What may carry requests in place of HTTP: see ``nightlight_client.testing``."""

    def send(self, attempt: HttpAttempt, headers: Mapping[str, str]) -> Response:
        """Return the answer to an attempt at once; raises ServiceUnreachable."""
        ...

    def fetch(self, url: str) -> Response:
        """Return the answer to a viewer who fetches a decision's URL."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How requests travel. Raises ClientMisconfigured for what cannot work.

    ``headers`` go with every request, beside those of the client's own. ``proxy`` is an http:// or https:// URL; the
    proxy variables of the environment are not read. ``tls`` has the certificates that are trusted and shown: by default
    those of certifi, or of ``SSL_CERT_FILE``. ``connections`` are kept open. ``connect_s`` and ``step_s`` bound each
    connection, and each wait for further bytes, of calls without a budget. ``first_pause_s`` is the mean pause before
    the second attempt at a decision, which doubles with each; ``most_attempts`` bounds their number within the budget.
    ``on_call`` is told of every request as it ends, in the thread or task of its caller; what it raises is logged.
    ``carrier`` takes the place of HTTP.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    connections: int = 32
    connect_s: float = 3.0
    step_s: float = 10.0
    first_pause_s: float = 0.05
    most_attempts: int = 1000
    on_call: Callable[[CallReport], None] | None = None
    carrier: Carrier | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without a connection."""
        for name, value in self.headers.items():
            if not _HEADER.fullmatch(name) or name.lower() in _OWN or not _printable(value):
                raise ClientMisconfigured(f"options.headers: {name[:100]!r} cannot be sent with every request")
        if self.proxy is not None:
            checked_url(self.proxy, "options.proxy")
        for name in ("connect_s", "step_s", "first_pause_s"):
            if not 0 < getattr(self, name) <= _LONGEST_S:  # not a number is neither
                raise ClientMisconfigured(f"options.{name} is more than 0 seconds, and at most {_LONGEST_S:.0f}")
        if self.connections < 1 or self.most_attempts < 1:
            raise ClientMisconfigured("options.connections and options.most_attempts are at least 1")


def checked_url(url: object, name: str = "base_url") -> str:
    """Return the URL of a server without a slash at its end; raise ClientMisconfigured if it can be none."""
    if not isinstance(url, str):
        raise ClientMisconfigured(f"{name} is text, such as https://nightlight.internal")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ClientMisconfigured(f"{name} is no URL: {error}") from error
    if parts.scheme not in {"http", "https"}:
        raise ClientMisconfigured(f"{name} begins with https:// or http://")
    if not host or not _printable(url) or " " in url:
        raise ClientMisconfigured(f"{name} names no host")
    if parts.query or parts.fragment:
        raise ClientMisconfigured(f"{name} ends with its path: it has no '?' and no '#'")
    if name == "base_url" and (parts.username is not None or parts.password is not None):
        raise ClientMisconfigured("base_url has no user and no password: the token is given apart")
    return url.rstrip("/")


def checked_token(token: object) -> str:
    """Return a bearer token; raise ClientMisconfigured if no header can carry it."""
    if not isinstance(token, str) or not 1 <= len(token) <= _MOST_TOKEN_CHARS or not _printable(token) or " " in token:
        raise ClientMisconfigured("the token is no bearer token: printable ASCII without spaces or a line's end")
    return token


def checked_budget(seconds: float) -> float:
    """Return how long decisions may take, in seconds; raise ClientMisconfigured for what is no such time."""
    if not math.isfinite(seconds) or not 0 <= seconds <= _LONGEST_S:
        raise ClientMisconfigured(f"budget_s is 0 to {_LONGEST_S:.0f} seconds")
    return seconds


def key_map(keys: str | Mapping[str, bytes] | None, name: str = "relation_keys") -> Mapping[str, bytes]:
    """Return secret keys by id: of the text of a ring (``r1:base64``, as the service's settings have it), or as given.

    Raises ClientMisconfigured, which never has the text in it.
    """
    if keys is None:
        return {}
    if not isinstance(keys, str):
        return keys
    try:
        return KeyRing.parse(keys, name).keys
    except SettingsRefused as refused:
        raise ClientMisconfigured(refused.detail) from None


def _printable(text: object) -> bool:
    return isinstance(text, str) and text.isascii() and text.isprintable()
