"""One delivery over HTTP, and how it ended in a word and in a sentence.

::

    outcome       what happened                              what to look at
    taken         the answer was 2xx
    status        any other answer                           the receiver's log
    redirect      3xx: it is not followed                    the URL in the settings
    gone          410: the receiver wants no more events     whether it means it
    timeout       no whole answer in time                    the receiver's load, a firewall
    name          the host's name does not resolve           DNS, a typing error
    refused       nothing listens there                      whether the receiver runs
    tls           its certificate is not accepted            the certificate, its name, its date
    unreachable   no way there, or the connection broke      routes, proxies

The URL is the operator's setting, so private addresses are allowed. Of an answer only its status and ``Retry-After``
are kept; its body is not read beyond ``_MOST_BYTES``.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from nightlight.catalogue.events import TAKEN
from nightlight_core.errors import SettingsRefused

STATUS, REDIRECT, GONE = "status", "redirect", "gone"
TIMEOUT, NAME, REFUSED, TLS, UNREACHABLE = "timeout", "name", "refused", "tls", "unreachable"
# No answer came at all: what else waits would wait as long.
UNANSWERED = frozenset({TIMEOUT, NAME, REFUSED, TLS, UNREACHABLE})
# Statuses that say "not now", whose Retry-After counts.
_BUSY = frozenset({429, 502, 503, 504})
# An hour is the most that a receiver may ask to be left alone for.
_MOST_AFTER_S = 3600.0
# So much is read for the connection's sake; a longer answer costs its connection.
_MOST_BYTES = 4096
_GONE = 410
_MOST_URL = 300


@dataclass(frozen=True, slots=True)
class PostResult:
    """How a delivery ended.

    ``after_s`` is for how many seconds the receiver asked to be left alone.
    """

    outcome: str
    detail: str
    status: int | None = None
    after_s: float = 0.0

    @property
    def taken(self) -> bool:
        """Say whether the receiver took the event."""
        return self.outcome == TAKEN


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that events are sent to, as it is set."""

    url: str

    @classmethod
    def parse(cls, url: str, variable: str) -> Endpoint:
        """Return the endpoint of a setting; raises SettingsRefused naming ``variable``."""
        try:
            parts = urlsplit(url)
            well_formed = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            well_formed = False
        if not well_formed or parts.username is not None or parts.fragment:
            raise SettingsRefused(f"{variable} must be an http or https URL without user, password and fragment")
        return cls(url)

    @property
    def endpoint_id(self) -> str:
        """Return its id: a hash of the whole URL."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def shown(self) -> str:
        """Return the URL without its query, which may hold a secret."""
        return urlsplit(self.url)._replace(query="").geturl()[:_MOST_URL]


async def post(http: httpx.AsyncClient, url: str, body: bytes, headers: dict[str, str], timeout_s: float) -> PostResult:
    """Send an event; return how that ended within ``timeout_s`` seconds, whatever the receiver does."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _post(http, url, body, headers)
    except (TimeoutError, httpx.TimeoutException):
        return PostResult(TIMEOUT, f"no answer within {timeout_s:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return _of_failure(error)


async def _post(http: httpx.AsyncClient, url: str, body: bytes, headers: dict[str, str]) -> PostResult:
    asked = http.build_request("POST", url, content=body, headers={**headers, "content-type": "application/json"})
    answer = await http.send(asked, stream=True, follow_redirects=False)
    try:
        read = 0
        async for chunk in answer.aiter_raw():
            read += len(chunk)
            if read > _MOST_BYTES:
                break
    except httpx.HTTPError:
        pass  # the status came: it counts
    finally:
        await answer.aclose()
    return _of_status(answer.status_code, answer.headers)


def _of_status(status: int, headers: httpx.Headers) -> PostResult:
    if httpx.codes.is_success(status):
        return PostResult(TAKEN, f"taken with {status}", status)
    if httpx.codes.is_redirect(status):
        return PostResult(REDIRECT, f"answered {status}, a redirect, which is not followed: set the URL itself", status)
    if status == _GONE:
        return PostResult(GONE, "answered 410 (Gone): it wants no more events", status)
    after_s = 0.0
    if status in _BUSY:
        with suppress(ValueError):  # a date: its clock is another's
            after_s = max(0.0, min(float(int(headers.get("retry-after", "0"))), _MOST_AFTER_S))
    return PostResult(STATUS, f"answered {status}, which is no 2xx", status, after_s)


def _of_failure(error: BaseException) -> PostResult:
    """Return what a failure means, by what caused it."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return PostResult(TLS, f"its certificate is not accepted: {cause.verify_message}")
        if isinstance(cause, ssl.SSLError):
            return PostResult(TLS, f"no TLS there, or none that both speak: {cause.reason or 'handshake failed'}")
        if isinstance(cause, socket.gaierror):
            return PostResult(NAME, "the host's name does not resolve")
        if isinstance(cause, ConnectionRefusedError):
            return PostResult(REFUSED, "nothing listens there: the connection was refused")
    return PostResult(UNREACHABLE, f"not reachable, or the connection broke ({type(error).__name__})")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and what led to it."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        cause = waiting.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            waiting.extend(cause.exceptions)
        waiting.extend(earlier for earlier in (cause.__context__, cause.__cause__) if earlier is not None)
