"""Sends requests over HTTP, in a thread or on an event loop. httpx is imported, and its pool opened, by the first."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nightlight_client.responses import Response

if TYPE_CHECKING:
    import httpx

    from nightlight_client.exchanges import HttpAttempt

# Of an attempt without a time of its own: for each step of it, and for the connection.
STEP_S, CONNECT_S = 10.0, 3.0
_CLOSED, _LATE = "the client is closed", "the answer was not whole in time"


class SyncTransport:
    """One connection pool, shared between threads."""

    def __init__(self, base_url: str) -> None:
        """Open nothing yet."""
        self._base_url = base_url
        self._http: httpx.Client | None = None
        self._opening, self._closed = threading.Lock(), False

    @property
    def http(self) -> httpx.Client:
        """Return the pool; raises RuntimeError once it is closed."""
        with self._opening:
            if self._closed:
                raise RuntimeError(_CLOSED)
            if self._http is None:
                import httpx

                self._http = httpx.Client(base_url=self._base_url, timeout=timeouts())
            return self._http

    def send(self, attempt: HttpAttempt, headers: Mapping[str, str]) -> Response:
        """Return the answer; raises httpx.HTTPError where none comes, or not all of it in the attempt's time."""
        import httpx

        end = None if attempt.seconds is None else time.monotonic() + max(attempt.seconds, 0.001)
        request = _built(self.http, attempt, headers)
        answer = self.http.send(request, stream=True)
        try:
            body = bytearray()
            for piece in answer.iter_bytes():  # httpx bounds each step by itself; this bounds all of them
                body += piece
                if end is not None and time.monotonic() > end:
                    raise httpx.ReadTimeout(_LATE, request=request)
        finally:
            answer.close()
        return Response(answer.status_code, bytes(body), dict(answer.headers))

    def fetch(self, url: str) -> httpx.Response:
        """Fetch a picture as a viewer would: without a token, on a connection of its own."""
        import httpx

        return httpx.get(url, timeout=timeouts())

    def close(self) -> None:
        """Close the connections."""
        with self._opening:
            self._closed = True
            if self._http is not None:
                self._http.close()


class AsyncTransport:
    """One connection pool of one event loop."""

    def __init__(self, base_url: str) -> None:
        """Open nothing yet."""
        self._base_url = base_url
        self._http: httpx.AsyncClient | None = None
        self._closed = False

    @property
    def http(self) -> httpx.AsyncClient:
        """Return the pool; raises RuntimeError once it is closed."""
        if self._closed:
            raise RuntimeError(_CLOSED)
        if self._http is None:
            import httpx

            self._http = httpx.AsyncClient(base_url=self._base_url, timeout=timeouts())
        return self._http

    async def send(self, attempt: HttpAttempt, headers: Mapping[str, str]) -> Response:
        """Return the answer; raises httpx.HTTPError where none comes, or not all of it in the attempt's time."""
        import asyncio

        import httpx

        request = _built(self.http, attempt, headers)
        try:
            async with asyncio.timeout(None if attempt.seconds is None else max(attempt.seconds, 0.001)):
                answer = await self.http.send(request)
        except TimeoutError as error:
            raise httpx.ReadTimeout(_LATE, request=request) from error
        return Response(answer.status_code, answer.content, dict(answer.headers))

    async def fetch(self, url: str) -> httpx.Response:
        """Fetch a picture as a viewer would: without a token, on a connection of its own."""
        import httpx

        async with httpx.AsyncClient(timeout=timeouts()) as viewer:
            return await viewer.get(url)

    async def close(self) -> None:
        """Close the connections."""
        self._closed = True
        if self._http is not None:
            await self._http.aclose()


def _built(http: httpx.Client | httpx.AsyncClient, attempt: HttpAttempt, headers: Mapping[str, str]) -> httpx.Request:
    request, timeout = attempt.request, timeouts(attempt.seconds)
    return http.build_request(
        request.method, request.path, headers=dict(headers), timeout=timeout, **request.arguments()
    )


def timeouts(seconds: float | None = None) -> httpx.Timeout:
    """Return how long each step of an attempt may take: ``seconds``, or as the client does where none are given."""
    import httpx

    return httpx.Timeout(STEP_S, connect=CONNECT_S) if seconds is None else httpx.Timeout(max(seconds, 0.001))
