"""Sends requests over HTTP in the caller's thread. urllib3 is imported, and its pool opened, by the first."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from nightlight_client.deadlines import DEADLINES
from nightlight_client.errors import NotNightlight, ServiceUnreachable
from nightlight_client.failures import kind_of_network_error
from nightlight_client.options import HttpOptions
from nightlight_client.requests.http_request import MOST_BYTES
from nightlight_client.responses import Response, inline_picture, is_plain
from nightlight_client.trust import public, trusted

if TYPE_CHECKING:
    import ssl

    import urllib3

    from nightlight_client.exchanges import HttpAttempt

_CLOSED, _LATE = "the client is closed", "the answer was not whole in time"
_PIECE = 65_536
_LEAST_S = 0.001
_Urlopen = Callable[..., "urllib3.BaseHTTPResponse"]


class _Call(threading.local):
    """When the call of this thread has to be over, on the monotonic clock; None: each step has its own bound."""

    end: float | None = None


_call = _Call()


class SyncTransport:
    """One connection pool, shared between threads; a process that was forked opens one of its own."""

    def __init__(self, base_url: str, options: HttpOptions) -> None:
        """Open nothing yet."""
        self._base_url, self._options = base_url, options
        self._prefix = urlsplit(base_url).path
        self._closed = False
        self._begin()

    def send(self, attempt: HttpAttempt, headers: Mapping[str, str]) -> Response:
        """Return the answer; raises ServiceUnreachable where none comes, or not all of it in the attempt's time.

        What is not bounded by that time is the resolution of the host's name, and the further addresses that it has.
        """
        import urllib3

        request, seconds = attempt.request, attempt.seconds
        end = None if seconds is None else time.monotonic() + max(seconds, _LEAST_S)
        body, described = request.content()
        step = urllib3.Timeout(
            connect=self._options.connect_s if seconds is None else max(seconds, _LEAST_S),
            read=self._options.step_s if seconds is None else max(seconds, _LEAST_S),
        )
        _call.end = end
        try:
            answer = self._opened()(
                request.method,
                self._prefix + request.target,
                body=body,
                headers={**self._options.headers, **headers, **described},
                timeout=step,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            return _read(answer, end, request.most_bytes)
        except urllib3.exceptions.HTTPError as error:
            raise _unreachable(error, end) from error

    def fetch(self, url: str) -> Response:
        """Fetch a picture as a viewer would: without a token and a certificate, on a connection of its own."""
        import urllib3

        inline = inline_picture(url)
        if inline is not None:
            return inline
        options, _call.end = self._options, None
        with _manager(options.proxy, public(url, options.proxy), maxsize=1) as viewer:
            try:
                timeout = urllib3.Timeout(connect=options.connect_s, read=options.step_s)
                how: dict[str, Any] = {"retries": False, "redirect": False, "preload_content": False}
                return _read(viewer.urlopen("GET", url, timeout=timeout, **how), None, MOST_BYTES)
            except urllib3.exceptions.HTTPError as error:
                raise _unreachable(error, None) from error

    def close(self) -> None:
        """Close the connections."""
        with self._opening:
            self._closed = True
            if self._pools is not None:
                self._pools.clear()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._opening = threading.Lock()
        self._urlopen: _Urlopen | None = None
        self._pools: urllib3.PoolManager | None = None

    def _opened(self) -> _Urlopen:
        """Return what opens a path on the pool; raises RuntimeError once it is closed."""
        if self._process != os.getpid():
            self._begin()  # a connection that two processes share mixes up their answers
        urlopen = self._urlopen
        if urlopen is not None and not self._closed:
            return urlopen
        with self._opening:
            if self._closed:
                raise RuntimeError(_CLOSED)
            if self._urlopen is None:
                proxy = self._options.proxy
                context = trusted(self._options, self._base_url, proxy)
                self._pools = pools = _manager(proxy, context, maxsize=self._options.connections)
                # A proxy is sent whole URLs; without one, the pool of the one host is asked directly.
                self._urlopen = (
                    pools.connection_from_url(self._base_url).urlopen if proxy is None else self._whole(pools)
                )
            return self._urlopen

    def _whole(self, pools: urllib3.PoolManager) -> _Urlopen:
        origin = self._base_url.removesuffix(self._prefix) if self._prefix else self._base_url

        def urlopen(method: str, target: str, **how: Any) -> urllib3.BaseHTTPResponse:
            return pools.urlopen(method, origin + target, **how)

        return urlopen


@cache
def _pool_classes() -> dict[str, Any]:
    """Return pools whose connections wait for an answer's head no longer than the call of their thread may take."""
    import urllib3
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class Http(HTTPConnection):
        def getresponse(self) -> Any:
            with _watched(self, _call.end):
                return super().getresponse()

    class Https(HTTPSConnection):
        def getresponse(self) -> Any:
            with _watched(self, _call.end):
                return super().getresponse()

    class HttpPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Http

    class HttpsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Https

    return {"http": HttpPool, "https": HttpsPool}


def _manager(proxy: str | None, context: ssl.SSLContext | None, *, maxsize: int) -> urllib3.PoolManager:
    import urllib3

    pools: dict[str, Any] = {"ssl_context": context, "maxsize": maxsize}
    if proxy is None:
        manager = urllib3.PoolManager(**pools)
    else:
        parts = urlsplit(proxy)
        named = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
        headers = urllib3.make_headers(proxy_basic_auth=named) if named else None
        manager = urllib3.ProxyManager(proxy, proxy_ssl_context=context, proxy_headers=headers, **pools)
    manager.pool_classes_by_scheme = _pool_classes()
    return manager


def _watched(connection: Any, end: float | None) -> AbstractContextManager[None]:
    return nullcontext() if connection is None or end is None else DEADLINES.limit(connection, end)


def _read(answer: urllib3.BaseHTTPResponse, end: float | None, most_bytes: int) -> Response:
    """Return the whole answer, as it came: it was not asked for in another encoding."""
    body = bytearray()
    try:
        with _watched(answer.connection, end):
            while piece := answer.read1(_PIECE, decode_content=False):
                body += piece
                if len(body) > most_bytes:
                    raise NotNightlight(answer.status, f"{answer.status} with more than {most_bytes:,} bytes")
                if end is not None and time.monotonic() > end:
                    raise ServiceUnreachable("timeout", _LATE)
        if end is not None and time.monotonic() > end:  # shut down, perhaps, which looks like an end
            raise ServiceUnreachable("timeout", _LATE)
        if not is_plain(answer.headers.get("content-encoding")):
            raise NotNightlight(answer.status, f"{answer.status} in an encoding that was not asked for")
    except BaseException:
        answer.close()  # what is left of it would be taken for the next answer
        raise
    answer.release_conn()
    return Response(answer.status, bytes(body), answer.headers)


def _unreachable(error: urllib3.exceptions.HTTPError, end: float | None) -> ServiceUnreachable:
    late = end is not None and time.monotonic() > end
    return ServiceUnreachable("timeout" if late else _kind(error), f"{type(error).__name__}: {error}")


def _kind(error: urllib3.exceptions.HTTPError) -> str:
    from urllib3 import exceptions

    kinds: tuple[tuple[type[BaseException], str], ...] = (
        (exceptions.NameResolutionError, "unresolved"),
        (exceptions.NewConnectionError, "unreachable"),  # a kind of the next
        (exceptions.TimeoutError, "timeout"),
        (exceptions.ProxyError, "unreachable"),
        (exceptions.LocationValueError, "unreachable"),
    )
    return kind_of_network_error(error) or next((name for kind, name in kinds if isinstance(error, kind)), "cut")
