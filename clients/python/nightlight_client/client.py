"""The HTTP client: one connection pool, bounded timeouts, typed answers, problems as exceptions."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from nightlight_client.base_client import BaseClient, described
from nightlight_client.exchanges import HttpAttempt, Pause, Steps
from nightlight_client.models import Decision, Image, Trace
from nightlight_client.requests import (
    Items,
    Request,
    decisions,
    images,
    local_evaluation,
    policies,
    profiles,
    traces,
)
from nightlight_client.responses import Response
from nightlight_client.transport import SyncTransport

if TYPE_CHECKING:
    import httpx

P = ParamSpec("P")
T = TypeVar("T")


def _sends(builder: Callable[P, Request[T]]) -> Callable[Concatenate[NightlightClient, P], T]:
    """Return the method that sends the request of a builder: it has the builder's parameters and description."""

    def method(self: NightlightClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.send(builder(*args, **kwargs))

    return described(method, builder)


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
        self._transport.close()

    def send(self, request: Request[T], *, budget_s: float | None = None) -> T:
        """Send a request, and return what its answer holds; for a route that has no method here.

        Raises Problem for a refusal, NotNightlight for an answer that is not the service's, httpx.HTTPError for none.
        """
        return self._taken(self._steps(request, budget_s))

    def decide(
        self,
        viewer: str,
        context: str,
        items: Items,
        *,
        viewer_id: str | None = None,
        network: str | None = None,
        budget_s: float | None = None,
    ) -> list[Decision]:
        """Return one decision for each (profile id, relation), in order; at most 500.

        ``viewer`` is the word for what is assured of whoever looks, ``viewer_id`` who it is, ``network`` where they
        come from, in a word of yours. Asks again, with pauses, while there is time; after ``budget_s`` seconds every
        item is the placeholder (``fallback``). Raises Problem where the request itself is refused.
        """
        return self.send(
            decisions.decide(self._question(viewer, context, items, viewer_id, network)), budget_s=budget_s
        )

    def explain(self, viewer: str, context: str, items: Items, *, viewer_id: str | None = None) -> dict[str, Any]:
        """Return the policy digest and why each item is answered as it is; for operators."""
        return self.send(decisions.explain(self._question(viewer, context, items, viewer_id)))

    def fetch(self, url: str) -> httpx.Response:
        """Fetch a decision's URL as a viewer would: without a token."""
        return self._transport.fetch(url)

    def wait(self, image_id: str, *, timeout_s: float = 60.0) -> Image:
        """Return the image once it is no longer pending; raise TimeoutError if it still is after ``timeout_s``."""
        return self._taken(self._image_steps(image_id, timeout_s))

    def wait_trace(self, trace_id: str, *, timeout_s: float = 60.0) -> Trace:
        """Return the trace once it is no longer pending; raise TimeoutError if it still is after ``timeout_s``."""
        return self._taken(self._trace_steps(trace_id, timeout_s))

    declare = _sends(profiles.declare)
    delete_profile = _sends(profiles.delete_profile)
    set_report_flag = _sends(profiles.set_report_flag)
    revoke = _sends(profiles.revoke)
    plant = _sends(profiles.plant)
    block = _sends(profiles.block)
    unblock = _sends(profiles.unblock)
    upload = _sends(images.upload)
    image = _sends(images.image)
    receipts = _sends(images.receipts)
    delete_image = _sends(images.delete_image)
    trace = _sends(traces.trace)
    trace_status = _sends(traces.trace_status)
    delete_trace = _sends(traces.delete_trace)
    feed = _sends(local_evaluation.feed)
    views = _sends(local_evaluation.views)
    delegated_keys = _sends(local_evaluation.delegated_keys)
    bundle_in_use = _sends(local_evaluation.bundle_in_use)
    report = _sends(local_evaluation.report)
    policy_status = _sends(policies.policy_status)
    policy_bundle = _sends(policies.policy_bundle)
    policy_version = _sends(policies.policy_version)
    activate = _sends(policies.activate)
    candidate = _sends(policies.candidate)
    withdraw_candidate = _sends(policies.withdraw_candidate)
    withdraw_version = _sends(policies.withdraw_version)
    policy_counters = _sends(policies.policy_counters)
    explain_policy = _sends(policies.explain_policy)

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
        return self._transport.send(step, self._headers(step))
