"""The client for asyncio: the methods of NightlightClient, to be awaited."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from nightlight_client.base_client import BaseClient
from nightlight_client.exchanges import HttpAttempt, Pause, Steps
from nightlight_client.httpx_transport import AsyncTransport
from nightlight_client.responses import Response

T = TypeVar("T")


class AsyncNightlightClient(BaseClient[AsyncTransport]):
    """Speaks to one Nightlight service from one event loop. Close it, or use it as a context."""

    _transport_class = AsyncTransport

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._own.close()

    async def fetch(self, url: str) -> Response:
        """Fetch a decision's URL as a viewer would: without a token."""
        return self._carrier.fetch(url) if self._carrier else await self._own.fetch(url)

    @staticmethod
    def _taker(steps: Callable[..., Steps[T]]) -> Callable[..., Coroutine[Any, Any, T]]:
        async def method(self: AsyncNightlightClient, /, *args: Any, **kwargs: Any) -> T:
            return await self._taken(steps(self, *args, **kwargs))

        return method

    async def _taken(self, steps: Steps[T]) -> T:
        """Take the steps of a call one after another; return what they come to."""
        try:
            step = next(steps)
            while True:
                try:
                    response = await self._take(step)
                except Exception as error:  # noqa: BLE001 - the steps say what an error means
                    step = steps.throw(error)
                else:
                    step = steps.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _take(self, step: HttpAttempt | Pause) -> Response | None:
        if isinstance(step, Pause):
            import asyncio

            await asyncio.sleep(step.seconds)
            return None
        headers = self._headers(step)
        return self._carrier.send(step, headers) if self._carrier else await self._own.send(step, headers)
