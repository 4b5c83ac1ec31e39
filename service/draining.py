"""How the service ends: it says that it is not ready, serves on while balancers hear of it, and closes then."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import uvicorn

from nightlight import logs

if TYPE_CHECKING:
    from types import FrameType

    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class DrainingServer(uvicorn.Server):
    """Serves on for ``drain_s`` seconds after SIGTERM, with ``draining`` set; a second signal ends that at once."""

    def __init__(self, config: uvicorn.Config, draining: threading.Event, drain_s: float) -> None:
        """Serve what ``config`` says."""
        super().__init__(config)
        self._draining, self._drain_s = draining, drain_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain, or end: what signals are answered with."""
        if sig != signal.SIGTERM or self._drain_s == 0 or self._draining.is_set():
            super().handle_exit(sig, frame)
            return
        self._draining.set()
        logs.get("service").info("service.draining", seconds=self._drain_s)
        timer = threading.Timer(self._drain_s, super().handle_exit, (sig, frame))
        timer.daemon = True
        timer.start()


class CloseWhileDraining:
    """Ends each connection with its answer while the process drains, so that none is idle when it closes."""

    def __init__(self, app: ASGIApp, *, draining: threading.Event) -> None:
        """Wrap ``app``."""
        self._app, self._draining = app, draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or not self._draining.is_set():
            await self._app(scope, receive, send)
            return

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, closing)
