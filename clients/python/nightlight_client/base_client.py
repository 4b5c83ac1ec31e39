"""What both clients are given, and their methods: each is written once, as the steps that both take."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from functools import cache, update_wrapper
from http import HTTPStatus
from inspect import Parameter, signature
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from nightlight_client import paths
from nightlight_client.errors import ClientMisconfigured, Problem
from nightlight_client.exchanges import Conduct, HttpAttempt, Steps
from nightlight_client.failures import Failures
from nightlight_client.httpx_transport import AsyncTransport
from nightlight_client.models import Decision, Export, Image, TakedownNotice, TokenInfo, Trace
from nightlight_client.options import HttpOptions, checked_budget, checked_token, checked_url, key_map
from nightlight_client.requests import (
    Items,
    Request,
    callers,
    decisions,
    exports,
    images,
    local_evaluation,
    policies,
    profiles,
    takedowns,
    traces,
)
from nightlight_client.urllib3_transport import SyncTransport
from nightlight_core.live_files import fingerprint

P = ParamSpec("P")
T = TypeVar("T")

_AGENT = "nightlight-client"
# A clock that is further behind gives proofs that are soon over, and counts after a revocation that much later.
_MOST_BEHIND_S = 60.0
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
        return self._exchange(builder(*args, **kwargs), builder.__name__)

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
        relation_keys: str | Mapping[str, bytes] | None = None,
        viewer_id: str | None = None,
        budget_s: float = 1.0,
        options: HttpOptions | None = None,
    ) -> None:
        """Call ``base_url`` with a bearer token, or with whatever ``token()`` returns at each attempt.

        ``relation_keys`` are those that the service checks relation proofs with, as the text of its ring
        (``r1:base64``) or by id; with them this client vouches for every relation that it is given: give it what your
        own graph says, never what a viewer says. ``viewer_id`` looks where a call names nobody else. ``budget_s`` is
        how long decisions may take, with every attempt. Nothing is sent: ``check`` asks whether all of this is right.
        Raises ClientMisconfigured or InvalidId for what cannot work.
        """
        self.base_url = checked_url(base_url)
        self.failures = Failures(base_url)
        options = options or HttpOptions()
        self._conduct = Conduct(self.failures, options)
        self._own: TransportT = self._transport_class(self.base_url, options)
        self._carrier = options.carrier
        self._token = _tokens(token)
        self._relation_keys = key_map(relation_keys)
        self._viewer_id = None if viewer_id is None else paths.part("viewer_id", viewer_id)
        self._budget_s = checked_budget(budget_s)

    @property
    def viewer_id(self) -> str | None:
        """Return who looks where a call names nobody else."""
        return self._viewer_id

    @Call
    def check(self, *scopes: str) -> Steps[TokenInfo]:
        """Ask the service who this client is to it; raise whatever keeps it from working: call it at the start.

        Raises NotNightlight for another host, ServiceUnreachable for none, Problem for a token that does not count or
        lacks one of ``scopes``, and ClientMisconfigured where relation proofs of this client would not: the service has
        no such key, or the clocks are too far apart.
        """
        caller = yield from self._exchange(callers.caller(), "check")
        missing = [scope for scope in scopes if scope not in caller.scopes]
        if missing:
            raise Problem(HTTPStatus.FORBIDDEN, "forbidden", f"the token lacks the scopes {', '.join(missing)}")
        self._check_proofs(caller)
        return caller

    @Call
    def send(self, request: Request[T], *, budget_s: float | None = None) -> Steps[T]:
        """Send a request, and return what its answer holds; for a route that has no method here.

        Raises Problem for a refusal, NotNightlight for an answer that is not the service's, and ServiceUnreachable for
        none.
        """
        return self._exchange(request, "send", budget_s)

    @Call
    def decide(  # noqa: PLR0913 - each is a word of the request's own
        self,
        viewer: str,
        context: str,
        items: Items,
        *,
        viewer_id: str | None = None,
        network: str | None = None,
        at_most: str | None = None,
        consistency: str | None = None,
        budget_s: float | None = None,
    ) -> Steps[list[Decision]]:
        """Return one decision for each (profile id, relation[, proof[, at_most]]), in order; at most 500.

        ``viewer`` is the word for what is assured of whoever looks, ``viewer_id`` who it is, ``network`` where they
        come from, in a word of yours. ``at_most`` is a tier: nothing shows more than it, whatever the policy allows.
        ``consistency`` is what a change returned that has to count. Asks again, with pauses, while there is time; after
        ``budget_s`` seconds every item is the placeholder (``fallback``). Raises Problem where the request itself is
        refused.
        """
        more = {"network": network, "at_most": at_most, "consistency": consistency}
        question = self._question(viewer, context, items, viewer_id, **more)
        return self._exchange(decisions.decide(question), "decide", budget_s)

    @Call
    def explain(
        self, viewer: str, context: str, items: Items, *, viewer_id: str | None = None, at_most: str | None = None
    ) -> Steps[dict[str, Any]]:
        """Return the policy digest and why each item is answered as it is; for operators."""
        question = self._question(viewer, context, items, viewer_id, at_most=at_most)
        return self._exchange(decisions.explain(question), "explain")

    @Call
    def wait(self, image_id: str, *, timeout_s: float = 60.0) -> Steps[Image]:
        """Return the image once it is no longer pending; raise StillPending if it still is after ``timeout_s``."""
        return self._conduct.until_final(images.image(image_id), f"image {image_id}", timeout_s, "wait")

    @Call
    def wait_trace(self, trace_id: str, *, timeout_s: float = 60.0) -> Steps[Trace]:
        """Return the trace once it is no longer pending; raise StillPending if it still is after ``timeout_s``."""
        return self._conduct.until_final(traces.trace_status(trace_id), f"trace {trace_id}", timeout_s, "wait_trace")

    @Call
    def wait_export(self, profile_id: str, *, timeout_s: float = 60.0) -> Steps[Export]:
        """Return the export once it is no longer pending; raise StillPending if it still is after ``timeout_s``."""
        return self._conduct.until_final(exports.export_status(profile_id), "the export", timeout_s, "wait_export")

    @Call
    def wait_takedown(self, takedown_id: str, *, timeout_s: float = 60.0) -> Steps[TakedownNotice]:
        """Return the notice once it is no longer pending; raise StillPending if it still is after ``timeout_s``."""
        return self._conduct.until_final(
            takedowns.takedown_status(takedown_id), f"notice {takedown_id}", timeout_s, "wait_takedown"
        )

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

    def _exchange(self, request: Request[T], operation: str, budget_s: float | None = None) -> Steps[T]:
        return self._conduct.exchange(
            request, self._budget_s if budget_s is None else checked_budget(budget_s), operation
        )

    def _question(
        self,
        viewer: str,
        context: str,
        items: Items,
        viewer_id: str | None,
        **more: str | None,
    ) -> dict[str, Any]:
        viewer_id, keys = self._viewer_id if viewer_id is None else viewer_id, self._relation_keys
        return decisions.question(viewer, context, items, viewer_id=viewer_id, relation_keys=keys, **more)

    def _check_proofs(self, caller: TokenInfo) -> None:
        if not self._relation_keys:
            return
        key_id, key = next(iter(self._relation_keys.items()))
        if fingerprint(key_id, key) not in caller.relation_keys:
            raise ClientMisconfigured(f"the service checks relation proofs with another key '{key_id}', or with none")
        ahead_s = time.time() - caller.now
        if not -_MOST_BEHIND_S <= ahead_s <= caller.leeway_s:  # nor is it so for what is no number
            raise ClientMisconfigured(
                f"this clock is {ahead_s:.0f} s ahead of the service's: relation proofs do not count"
            )

    def _headers(self, attempt: HttpAttempt) -> dict[str, str]:
        return {"User-Agent": _AGENT, "Authorization": f"Bearer {self._token()}", **attempt.request.headers}


def _tokens(token: str | Callable[[], str]) -> Callable[[], str]:
    """Return what gives the token of each attempt; raises ClientMisconfigured, now for one that never changes."""
    if callable(token):
        return lambda: checked_token(token())
    constant = checked_token(token)
    return lambda: constant
