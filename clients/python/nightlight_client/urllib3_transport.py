"""Sends requests over HTTP in the caller's thread. urllib3 is imported, and its pool opened, by the first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nightlight_client.errors import NotNightlight, ServiceUnreachable
from nightlight_client.failures import kind_of_network_error
from nightlight_client.options import HttpOptions
from nightlight_client.requests.http_request import MOST_BYTES
from nightlight_client.responses import Response
from nightlight_client.trust import trusted

if TYPE_CHECKING:
    import urllib3

    from nightlight_client.exchanges import HttpAttempt

_CLOSED, _LATE = "the client is closed", "the answer was not whole in time"
_PIECE = 65_536


class SyncTransport:
    """One connection pool, shared between threads."""

    def __init__(self, base_url: str, options: HttpOptions) -> None:
        """Open nothing yet."""
        self._base_url, self._options = base_url, options
        self._prefix = urlsplit(base_url).path
        self._urlopen: Callable[..., urllib3.BaseHTTPResponse] | None = None
        self._manager: urllib3.PoolManager | None = None
        self._opening, self._closed = threading.Lock(), False

    def send(self, attempt: HttpAttempt, headers: Mapping[str, str]) -> Response:
        """Return the answer; raises ServiceUnreachable where none comes, or not all of it in the attempt's time."""
        import urllib3

        request, seconds = attempt.request, attempt.seconds
        end = None if seconds is None else time.monotonic() + max(seconds, 0.001)
        body, described = request.content()
        try:
            answer = self._opened()(
                request.method,
                self._prefix + request.target,
                body=body,
                headers={**self._options.headers, **headers, **described},
                timeout=self._timeout(seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            return _read(answer, end, request.most_bytes)
        except urllib3.exceptions.HTTPError as error:
            raise ServiceUnreachable(_kind(error), f"{type(error).__name__}: {error}") from error

    def fetch(self, url: str) -> Response:
        """Fetch a picture as a viewer would: without a token, on a connection of its own."""
        import urllib3

        with urllib3.PoolManager(ssl_context=trusted(self._options, url), retries=False) as viewer:
            try:
                timeout = self._timeout(None)
                answer = viewer.urlopen("GET", url, timeout=timeout, redirect=False, preload_content=False)
                return _read(answer, None, MOST_BYTES)
            except urllib3.exceptions.HTTPError as error:
                raise ServiceUnreachable(_kind(error), f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        with self._opening:
            self._closed = True
            if self._manager is not None:
                self._manager.clear()

    def _opened(self) -> Callable[..., urllib3.BaseHTTPResponse]:
        """Return what opens a URL's path on the pool; raises RuntimeError once it is closed."""
        urlopen = self._urlopen
        if urlopen is not None and not self._closed:
            return urlopen
        import urllib3

        with self._opening:
            if self._closed:
                raise RuntimeError(_CLOSED)
            if self._urlopen is None:
                proxy = self._options.proxy
                context = trusted(self._options, self._base_url, proxy)
                pools: dict[str, Any] = {"ssl_context": context, "maxsize": self._options.connections}
                # A proxy is sent whole URLs; without one, the pool of the one host is asked directly.
                if proxy is None:
                    self._manager = urllib3.PoolManager(**pools)
                    self._urlopen = self._manager.connection_from_url(self._base_url).urlopen
                else:
                    self._manager = urllib3.ProxyManager(proxy, proxy_ssl_context=context, **pools)
                    self._urlopen = self._through_proxy(self._manager)
            return self._urlopen

    def _through_proxy(self, manager: urllib3.PoolManager) -> Callable[..., urllib3.BaseHTTPResponse]:
        origin = self._base_url.removesuffix(self._prefix) if self._prefix else self._base_url

        def urlopen(method: str, target: str, **how: Any) -> urllib3.BaseHTTPResponse:
            return manager.urlopen(method, origin + target, **how)

        return urlopen

    def _timeout(self, seconds: float | None) -> urllib3.Timeout:
        import urllib3

        if seconds is None:
            return urllib3.Timeout(connect=self._options.connect_s, read=self._options.step_s)
        return urllib3.Timeout(connect=max(seconds, 0.001), read=max(seconds, 0.001))


def _read(answer: urllib3.BaseHTTPResponse, end: float | None, most_bytes: int) -> Response:
    """Return the whole answer; each wait for a piece is bounded by the connection, and here all of them together."""
    body = bytearray()
    try:
        while piece := answer.read1(_PIECE):
            body += piece
            if len(body) > most_bytes:
                raise NotNightlight(answer.status, f"{answer.status} with more than {most_bytes:,} bytes")
            if end is not None and time.monotonic() > end:
                raise ServiceUnreachable("timeout", _LATE)
    except BaseException:
        answer.close()  # what is left of it would be taken for the next answer
        raise
    answer.release_conn()
    return Response(answer.status, bytes(body), answer.headers)


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
