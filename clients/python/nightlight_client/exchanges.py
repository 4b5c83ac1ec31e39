"""What a client does with a request, step by step, without doing it: attempts and pauses.

Each call is a generator. It yields a step, is sent the answer to an ``HttpAttempt`` (or thrown the error that
came instead), and returns what the caller gets. ``NightlightClient`` takes the steps in its thread and
``AsyncNightlightClient`` on its event loop, so that both try, wait and give up alike.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from nightlight_client.errors import ClientMisconfigured, Problem, ServiceUnreachable, StillPending
from nightlight_client.models import Export, Image, TakedownNotice, Trace
from nightlight_client.options import CallReport, HttpOptions
from nightlight_client.requests.http_request import Request, Retry
from nightlight_client.responses import AskAgain, Response

if TYPE_CHECKING:
    from nightlight_client.failures import Failures

_LOG = logging.getLogger("nightlight_client")
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

    def pauses(self, first_s: float) -> Iterator[float]:
        """Yield how long to wait before each further attempt, as long as there is time for one.

        ``first_s`` is the first on average; it doubles with each, and is drawn between nothing and twice that ("full
        jitter").
        """
        pause = first_s
        while True:
            wait = random.uniform(0, 2 * pause)  # noqa: S311 - no secret: it keeps clients from asking all at once
            if wait >= self.left:
                return
            yield wait
            pause *= 2


@dataclass(slots=True)
class Trip:
    """One call on its way: what is told of it when it ends."""

    operation: str
    began: float = field(default_factory=time.monotonic)
    attempts: int = 0
    status: int = 0
    outcome: str = "ok"

    def attempt(
        self, request: Request[Any], seconds: float | None
    ) -> Generator[HttpAttempt, Response | None, Response]:
        """Yield an attempt; return its answer."""
        self.attempts, self.status = self.attempts + 1, 0
        response = yield HttpAttempt(request, seconds)
        if response is None:
            raise TypeError("an attempt was answered with nothing")
        self.status = response.status
        return response

    def report(self) -> CallReport:
        """Return what is told of it."""
        return CallReport(self.operation, self.outcome, self.status, time.monotonic() - self.began, self.attempts)


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a client goes about its calls: what it counts, how it tries again, whom it tells."""

    failures: Failures
    options: HttpOptions = field(default_factory=HttpOptions)

    def exchange(self, request: Request[T], budget_s: float, operation: str = "send") -> Steps[T]:
        """Send a request as often as its ``retry`` says, and return what its answer holds."""
        trip = Trip(operation)
        try:
            return (yield from self._sent(request, budget_s, trip))
        except Problem as problem:
            trip.outcome = problem.code
            raise
        except ServiceUnreachable as error:
            trip.outcome = error.kind
            raise
        except BaseException:
            trip.outcome = "error"
            raise
        finally:
            self._tell(trip)

    def until_final(self, request: Request[Settling], what: str, timeout_s: float, operation: str) -> Steps[Settling]:
        """Ask until the state is no longer pending; raise StillPending if it still is after ``timeout_s``.

        What may be otherwise the next time, such as an outage, is no end of it while there is time.
        """
        if not math.isfinite(timeout_s):
            raise ClientMisconfigured("timeout_s is a time in seconds")
        budget = Budget(timeout_s)
        bounded = replace(request, retry=Retry.NEVER_WITHIN_BUDGET)
        while True:
            try:
                state = yield from self.exchange(
                    bounded, min(max(budget.left, _POLL_S), self.options.step_s), operation
                )
            except (Problem, ServiceUnreachable) as error:
                if not error.retryable or budget.left < 0:
                    raise
            else:
                if state.state != "pending":
                    return state
            if budget.left < 0:
                raise StillPending(f"{what} is still pending after {timeout_s:.0f} s")
            pause = min(max(_POLL_S, budget.spent * _POLL_SHARE), _MOST_POLL_S)
            yield Pause(min(pause, max(budget.left, 0.0)))

    def _sent(self, request: Request[T], budget_s: float, trip: Trip) -> Steps[T]:
        if request.retry is Retry.WITHIN_BUDGET:
            return (yield from self._until_answered(request, Budget(budget_s), trip))
        seconds = budget_s if request.retry is Retry.NEVER_WITHIN_BUDGET else None
        with self.failures.noting():
            return request.read((yield from trip.attempt(request, seconds)))

    def _until_answered(self, request: Request[T], budget: Budget, trip: Trip) -> Steps[T]:
        """Attempt until an answer can be read; what goes wrong on the way is noted, a refusal is raised."""
        pauses = budget.pauses(self.options.first_pause_s)
        while True:
            try:
                with self.failures.noting():
                    return request.read((yield from trip.attempt(request, budget.left)))
            except AskAgain as unread:
                self.failures.note(unread.kind, unread.detail)
            except ServiceUnreachable:  # noted above, and asked for again
                pass
            pause = next(pauses, None)
            if pause is None or trip.attempts >= self.options.most_attempts:
                break
            yield Pause(pause)
        if request.fallback is None:
            raise ServiceUnreachable("timeout", f"{request.method} {request.path}: no answer within the budget")
        trip.outcome = "fallback"
        return request.fallback()

    def _tell(self, trip: Trip) -> None:
        """Report a call; what the platform's own code raises over it is logged, and ends there."""
        if self.options.on_call is None:
            return
        try:
            self.options.on_call(trip.report())
        except Exception:  # noqa: BLE001 - whatever it is, it is no reason to show nobody's picture
            _LOG.exception("on_call failed")
