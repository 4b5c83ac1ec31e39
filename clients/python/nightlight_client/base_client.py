"""What both clients are given, and their methods: each is written once, as the steps that both take."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import cache, update_wrapper
from inspect import Parameter, signature
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from nightlight_client.exchanges import HttpAttempt, Steps, exchange, until_final
from nightlight_client.failures import Failures
from nightlight_client.models import Decision, Export, Image, TakedownNotice, Trace
from nightlight_client.requests import (
    Items,
    Request,
    decisions,
    exports,
    images,
    local_evaluation,
    policies,
    profiles,
    takedowns,
    traces,
)
from nightlight_client.transport import AsyncTransport, SyncTransport

P = ParamSpec("P")
T = TypeVar("T")
TransportT = TypeVar("TransportT", SyncTransport, AsyncTransport)


class Call(Generic[P, T]):
    """A method of both clients, by its steps: NightlightClient's returns what they come to, the other's is awaited."""

    def __init__(self, steps: Callable[Concatenate[BaseClient[Any], P], Steps[T]]) -> None:
        """Take the function that yields the steps; the method has its name, parameters and docstring."""
        self.steps = steps

    @overload
    def __get__(self, client: BaseClient[SyncTransport], kind: object) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: BaseClient[AsyncTransport], kind: object) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: None, kind: object) -> Callable[..., Any]: ...
    def __get__(self, client: BaseClient[Any] | None, kind: Any) -> Callable[..., Any]:
        """Return the method of a client, or the function of its class."""
        function = _function(kind, self)
        return function if client is None else MethodType(function, client)


@cache
def _function(kind: type[BaseClient[Any]], call: Call[..., Any]) -> Callable[..., Any]:
    function = update_wrapper(kind._taker(call.steps), call.steps)  # noqa: SLF001 - of the class below
    shape = signature(call.steps)
    answer = str(shape.return_annotation).removeprefix("Steps[").removesuffix("]")
    function.__annotations__ = {**call.steps.__annotations__, "return": answer}
    vars(function)["__signature__"] = shape.replace(return_annotation=answer)
    return function


def _sends(builder: Callable[P, Request[T]]) -> Call[P, T]:
    """Return the method that sends the request of a builder: it has the builder's parameters and description."""

    def steps(self: BaseClient[Any], /, *args: P.args, **kwargs: P.kwargs) -> Steps[T]:
        return self._exchange(builder(*args, **kwargs))

    update_wrapper(steps, builder)
    shape = signature(builder)
    parameters = [Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *shape.parameters.values()]
    answer = str(shape.return_annotation).replace("Request[", "Steps[", 1)
    vars(steps)["__signature__"] = shape.replace(parameters=parameters, return_annotation=answer)
    return Call(steps)


class BaseClient(Generic[TransportT]):
    """Settings of a client. ``failures`` says what went wrong so far, by kind; ``base_url`` is the service's."""

    _transport_class: type[TransportT]

    def __init__(
        self,
        base_url: str,
        *,
        token: str | Callable[[], str],
        relation_keys: Mapping[str, bytes] | None = None,
        viewer_id: str | None = None,
        budget_s: float = 1.0,
    ) -> None:
        """Call ``base_url`` with a bearer token, or with whatever ``token()`` returns at each attempt.

        ``relation_keys`` are those that the service checks relation proofs with; with them, this client vouches for
        every relation that it is given: give it what your own graph says, never what a viewer says. ``viewer_id`` looks
        where a call names nobody else. ``budget_s`` is how long decisions may take, with every attempt.
        """
        self.base_url = base_url
        self.failures = Failures(base_url)
        self._transport: TransportT = self._transport_class(base_url)
        self._token = token if callable(token) else lambda: token
        self._relation_keys = relation_keys or {}
        self._viewer_id, self._budget_s = viewer_id, budget_s

    @Call
    def send(self, request: Request[T], *, budget_s: float | None = None) -> Steps[T]:
        """Send a request, and return what its answer holds; for a route that has no method here.

        Raises Problem for a refusal, NotNightlight for an answer that is not the service's, httpx.HTTPError for none.
        """
        return self._exchange(request, budget_s)

    @Call
    def decide(
        self,
        viewer: str,
        context: str,
        items: Items,
        *,
        viewer_id: str | None = None,
        network: str | None = None,
        budget_s: float | None = None,
    ) -> Steps[list[Decision]]:
        """Return one decision for each (profile id, relation), in order; at most 500.

        ``viewer`` is the word for what is assured of whoever looks, ``viewer_id`` who it is, ``network`` where they
        come from, in a word of yours. Asks again, with pauses, while there is time; after ``budget_s`` seconds every
        item is the placeholder (``fallback``). Raises Problem where the request itself is refused.
        """
        return self._exchange(decisions.decide(self._question(viewer, context, items, viewer_id, network)), budget_s)

    @Call
    def explain(
        self, viewer: str, context: str, items: Items, *, viewer_id: str | None = None
    ) -> Steps[dict[str, Any]]:
        """Return the policy digest and why each item is answered as it is; for operators."""
        return self._exchange(decisions.explain(self._question(viewer, context, items, viewer_id)))

    @Call
    def wait(self, image_id: str, *, timeout_s: float = 60.0) -> Steps[Image]:
        """Return the image once it is no longer pending; raise TimeoutError if it still is after ``timeout_s``."""
        return until_final(images.image(image_id), self.failures, f"image {image_id}", timeout_s)

    @Call
    def wait_trace(self, trace_id: str, *, timeout_s: float = 60.0) -> Steps[Trace]:
        """Return the trace once it is no longer pending; raise TimeoutError if it still is after ``timeout_s``."""
        return until_final(traces.trace_status(trace_id), self.failures, f"trace {trace_id}", timeout_s)

    @Call
    def wait_export(self, profile_id: str, *, timeout_s: float = 60.0) -> Steps[Export]:
        """Return the export once it is no longer pending; raise TimeoutError if it still is after ``timeout_s``."""
        return until_final(exports.export_status(profile_id), self.failures, "the export", timeout_s)

    @Call
    def wait_takedown(self, takedown_id: str, *, timeout_s: float = 60.0) -> Steps[TakedownNotice]:
        """Return the notice once it is no longer pending; raise TimeoutError if it still is after ``timeout_s``."""
        return until_final(takedowns.takedown_status(takedown_id), self.failures, f"notice {takedown_id}", timeout_s)

    declare = _sends(profiles.declare)
    delete_profile = _sends(profiles.delete_profile)
    deactivate = _sends(profiles.deactivate)
    reactivate = _sends(profiles.reactivate)
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
    export_profile = _sends(exports.export_profile)
    export_status = _sends(exports.export_status)
    export_file = _sends(exports.export_file)
    delete_export = _sends(exports.delete_export)
    place_takedown = _sends(takedowns.place_takedown)
    takedown_status = _sends(takedowns.takedown_status)
    confirm_takedown = _sends(takedowns.confirm_takedown)
    clear_takedown = _sends(takedowns.clear_takedown)
    undo_takedown = _sends(takedowns.undo_takedown)
    ask_takedown_review = _sends(takedowns.ask_takedown_review)
    takedown_review = _sends(takedowns.takedown_review)
    review_picture = _sends(takedowns.review_picture)
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
    emergency = _sends(policies.emergency)
    policy_progress = _sends(policies.policy_progress)
    policy_counters = _sends(policies.policy_counters)
    explain_policy = _sends(policies.explain_policy)

    @staticmethod
    def _taker(steps: Callable[..., Steps[Any]]) -> Callable[..., Any]:
        """Return the function that takes the steps of a call: each kind of client has its own."""
        raise NotImplementedError

    def _exchange(self, request: Request[T], budget_s: float | None = None) -> Steps[T]:
        return exchange(request, self.failures, self._budget_s if budget_s is None else budget_s)

    def _question(
        self, viewer: str, context: str, items: Items, viewer_id: str | None, network: str | None = None
    ) -> dict[str, Any]:
        viewer_id = viewer_id or self._viewer_id
        keys = self._relation_keys
        return decisions.question(viewer, context, items, viewer_id=viewer_id, network=network, relation_keys=keys)

    def _headers(self, attempt: HttpAttempt) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token()}", **attempt.request.headers}
