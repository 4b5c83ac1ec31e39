"""What a client does with a request, step by step, without doing it: attempts and pauses.

Each function here is a generator. It yields a step, is sent the answer to an ``HttpAttempt`` (or thrown the error that
came instead), and returns what the caller gets. ``NightlightClient`` takes the steps in its thread and
``AsyncNightlightClient`` on its event loop, so that both try, wait and give up alike.
"""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from nightlight_client.models import Export, Image, TakedownNotice, Trace
from nightlight_client.requests.http_request import Request, Retry
from nightlight_client.responses import AskAgain, Response

if TYPE_CHECKING:
    from nightlight_client.failures import Failures

# Before the second attempt, on average; doubles with each. Drawn between nothing and twice this ("full jitter").
_PAUSE_S = 0.05
# How long to wait before the state of an image, a trace or an export is asked for again: an eighth of what it has taken
# so far, so that what takes long is not asked for all the time.
_POLL_S, _POLL_SHARE, _MOST_POLL_S = 0.1, 1 / 8, 1.0


@dataclass(frozen=True, slots=True)
class HttpAttempt:
    """Send ``request``; the whole answer has to come within ``seconds``, or by the client's timeouts if None."""

    request: Request[Any]
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for ``seconds``."""

    seconds: float


T = TypeVar("T")
Settling = TypeVar("Settling", Image, Trace, Export, TakedownNotice)
Steps = Generator[HttpAttempt | Pause, Response | None, T]


class Budget:
    """The time that a call may take with all its attempts, on a clock that only goes forward."""

    def __init__(self, seconds: float) -> None:
        """Begin now."""
        self._begin = time.monotonic()
        self._end = self._begin + seconds

    @property
    def spent(self) -> float:
        """Return the seconds since it began."""
        return time.monotonic() - self._begin

    @property
    def left(self) -> float:
        """Return the seconds that are left."""
        return self._end - time.monotonic()

    def pauses(self) -> Iterator[float]:
        """Yield how long to wait before each further attempt, as long as there is time for one."""
        pause = _PAUSE_S
        while True:
            wait = random.uniform(0, 2 * pause)  # noqa: S311 - no secret: it keeps clients from asking all at once
            if wait >= self.left:
                return
            yield wait
            pause *= 2


def exchange(request: Request[T], failures: Failures, budget_s: float) -> Steps[T]:
    """Send a request as often as its ``retry`` says, and return what its answer holds."""
    if request.retry is Retry.WITHIN_BUDGET:
        return (yield from _until_answered(request, failures, Budget(budget_s)))
    seconds = budget_s if request.retry is Retry.NEVER_WITHIN_BUDGET else None
    with failures.noting():
        return request.read(_answered((yield HttpAttempt(request, seconds))))


def until_final(request: Request[Settling], failures: Failures, what: str, timeout_s: float) -> Steps[Settling]:
    """Ask until the state is no longer pending; raise TimeoutError if it still is after ``timeout_s``."""
    budget = Budget(timeout_s)
    while True:
        state = yield from exchange(request, failures, timeout_s)
        if state.state != "pending":
            return state
        if budget.left < 0:
            raise TimeoutError(f"{what} is still pending after {timeout_s:.0f} s")
        yield Pause(min(max(_POLL_S, budget.spent * _POLL_SHARE), _MOST_POLL_S))


def _until_answered(request: Request[T], failures: Failures, budget: Budget) -> Steps[T]:
    """Attempt until an answer can be read; what goes wrong on the way is noted, a refusal is raised."""
    pauses = budget.pauses()
    while True:
        try:
            response = yield HttpAttempt(request, budget.left)
        except Exception as error:
            if not failures.is_outage(error):
                raise
            failures.note_error(error)
        else:
            try:
                with failures.noting():
                    return request.read(_answered(response))
            except AskAgain as unread:
                failures.note(unread.kind, unread.detail)
        pause = next(pauses, None)
        if pause is None:
            break
        yield Pause(pause)
    if request.fallback is None:
        raise TimeoutError(f"{request.method} {request.path}: no answer within the budget")
    return request.fallback()


def _answered(response: Response | None) -> Response:
    if response is None:
        raise TypeError("an attempt was answered with nothing")
    return response
