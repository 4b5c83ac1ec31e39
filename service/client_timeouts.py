"""How long a client is waited for: for the head of its request, for its body, and for it to take the answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nightlight_core.errors import RequestTimeout

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD_S = 10.0
MOST_HEAD_BYTES = 16_384


class TimeoutProtocol(HttpToolsProtocol):
    """Gives up on a request whose head is too long or long in coming, or whose body is owed after it was answered."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Take what uvicorn gives."""
        super().__init__(*arguments, **named)
        self._in_head, self._owing = True, False
        self._come = self._read = 0
        self._giving_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in bytes; wait for the rest of the head, if that is not all of it."""
        super().data_received(data)
        if self._in_head:
            self._come += len(data)
            if self._come > MOST_HEAD_BYTES:
                self.transport.abort()
            elif self._giving_up is None:
                self._wait()
        elif not self._owing:
            self._wait_no_longer()

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._in_head = True
        self._come = self._read = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Refuse a head that is too long; uvicorn answers 400."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Refuse a head that is too long; uvicorn answers 400."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End a head."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Nothing is owed any more."""
        self._owing = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the rest of a body that was answered before its end: whoever sends it may read the answer then."""
        if self.cycle.response_complete and self.cycle.more_body:  # and not the next request's, sent ahead
            self._owing = True
            if self._giving_up is None:
                self._wait()
        super().on_response_complete()

    def _count(self, length: int) -> None:
        self._read += length
        if self._read > MOST_HEAD_BYTES:
            raise ValueError("the request's head is too long")

    def _wait(self) -> None:
        self._giving_up = self.loop.call_later(HEAD_S, self.transport.abort)

    def _wait_no_longer(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None


class ClientTimeouts:
    """Gives up on a client that takes more than ``seconds`` to send its body, or to take the answer."""

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        """Wrap ``app``."""
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        until, complete = loop.time() + self._seconds, False

        async def prompt() -> Message:
            nonlocal complete
            if complete:  # what comes now is that the client has gone, whenever that is
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise RequestTimeout(f"the body did not come within {self._seconds:.0f} s") from None
            complete = not message.get("more_body", False)
            return message

        async def taken(message: Message) -> None:
            async with asyncio.timeout(self._seconds):
                await send(message)

        await self._app(scope, prompt, taken)
