"""Sends requests over HTTP on an event loop. httpx is imported, and its pool opened, by the first."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING

from nightlight_client.errors import NotNightlight, ServiceUnreachable
from nightlight_client.failures import kind_of_network_error
from nightlight_client.options import HttpOptions
from nightlight_client.requests.http_request import MOST_BYTES
from nightlight_client.responses import Response, inline_picture, is_plain
from nightlight_client.trust import public, trusted

if TYPE_CHECKING:
    import httpx

    from nightlight_client.exchanges import HttpAttempt

_CLOSED, _LATE = "the client is closed", "the answer was not whole in time"


class AsyncTransport:
    """One connection pool of one event loop."""

    def __init__(self, base_url: str, options: HttpOptions) -> None:
        """Open nothing yet."""
        self._base_url, self._options = base_url, options
        self._http: httpx.AsyncClient | None = None
        self._opened_in: tuple[int, object] | None = None
        self._closed = False

    async def send(self, attempt: HttpAttempt, headers: Mapping[str, str]) -> Response:
        """Return the answer; raises ServiceUnreachable where none comes, or not all of it in the attempt's time."""
        import asyncio

        http, request = self._opened(), attempt.request
        body, described = request.content()
        sent = http.build_request(
            request.method,
            request.target,
            headers={"Accept-Encoding": "identity", **self._options.headers, **headers, **described},
            timeout=self._timeouts(attempt.seconds),
            content=body if body is None or isinstance(body, bytes) else _piecewise(body),
        )
        try:
            async with asyncio.timeout(None if attempt.seconds is None else max(attempt.seconds, 0.001)):
                return await _read(http, sent, request.most_bytes)
        except TimeoutError as error:
            raise ServiceUnreachable("timeout", _LATE) from error

    async def fetch(self, url: str) -> Response:
        """Fetch a picture as a viewer would: without a token and a certificate, on a connection of its own."""
        import httpx

        inline = inline_picture(url)
        if inline is not None:
            return inline
        timeout, verify = self._timeouts(None), public(url) or False
        async with httpx.AsyncClient(timeout=timeout, verify=verify, proxy=self._proxy(), trust_env=False) as viewer:
            request = viewer.build_request("GET", url, headers={"Accept-Encoding": "identity"})
            return await _read(viewer, request, MOST_BYTES)

    async def close(self) -> None:
        """Close the connections."""
        self._closed = True
        if self._http is not None:
            await self._http.aclose()

    def _opened(self) -> httpx.AsyncClient:
        """Return the pool of this process and event loop; raises RuntimeError once it is closed."""
        import asyncio

        if self._closed:
            raise RuntimeError(_CLOSED)
        here = os.getpid(), asyncio.get_running_loop()
        if self._http is None or self._opened_in != here:  # connections belong to one process, and to one loop
            import httpx

            connections = self._options.connections
            self._http = httpx.AsyncClient(
                base_url=self._base_url,
                verify=trusted(self._options, self._base_url) or False,  # False: no TLS is spoken
                proxy=self._proxy(),
                trust_env=False,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=connections),
            )
            self._opened_in = here
        return self._http

    def _proxy(self) -> httpx.Proxy | None:
        import httpx

        proxy = self._options.proxy
        return httpx.Proxy(proxy, ssl_context=trusted(self._options, proxy)) if proxy else None

    def _timeouts(self, seconds: float | None) -> httpx.Timeout:
        """Return how long each step of an attempt may take: ``seconds``, or as the options say where None."""
        import httpx

        if seconds is None:
            return httpx.Timeout(self._options.step_s, connect=self._options.connect_s)
        return httpx.Timeout(max(seconds, 0.001))


async def _read(http: httpx.AsyncClient, request: httpx.Request, most_bytes: int) -> Response:
    import httpx

    try:
        answer = await http.send(request, stream=True)
        try:
            body = bytearray()
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > most_bytes:
                    raise NotNightlight(answer.status_code, f"{answer.status_code} with more than {most_bytes:,} bytes")
            if not is_plain(answer.headers.get("content-encoding")):
                raise NotNightlight(answer.status_code, f"{answer.status_code} in an encoding that was not asked for")
        finally:
            await answer.aclose()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceUnreachable(_kind(error), f"{type(error).__name__}: {error}") from error
    return Response(answer.status_code, bytes(body), dict(answer.headers))


async def _piecewise(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _kind(error: Exception) -> str:
    import httpx

    kinds: tuple[tuple[type[BaseException], str], ...] = (
        (httpx.TimeoutException, "timeout"),
        (httpx.ConnectError, "unreachable"),
        (httpx.UnsupportedProtocol, "unreachable"),
        (httpx.InvalidURL, "unreachable"),
    )
    return kind_of_network_error(error) or next((name for kind, name in kinds if isinstance(error, kind)), "cut")
