"""The HTTP client: one connection pool, bounded timeouts, typed answers, problems as exceptions."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from nightlight_client.base_client import BaseClient
from nightlight_client.exchanges import HttpAttempt, Pause, Steps
from nightlight_client.responses import Response
from nightlight_client.urllib3_transport import SyncTransport

T = TypeVar("T")


class NightlightClient(BaseClient[SyncTransport]):
    """Speaks to one Nightlight service. Safe to share between threads; close it, or use it as a context."""

    _transport_class = SyncTransport

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._own.close()

    def fetch(self, url: str) -> Response:
        """Fetch a decision's URL as a viewer would: without a token."""
        return (self._carrier or self._own).fetch(url)

    @staticmethod
    def _taker(steps: Callable[..., Steps[T]]) -> Callable[..., T]:
        def method(self: NightlightClient, /, *args: Any, **kwargs: Any) -> T:
            return self._taken(steps(self, *args, **kwargs))

        return method

    def _taken(self, steps: Steps[T]) -> T:
        """Take the steps of a call one after another; return what they come to."""
        try:
            step = next(steps)
            while True:
                try:
                    response = self._take(step)
                except Exception as error:  # noqa: BLE001 - the steps say what an error means
                    step = steps.throw(error)
                else:
                    step = steps.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    def _take(self, step: HttpAttempt | Pause) -> Response | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        return (self._carrier or self._own).send(step, self._headers(step))
