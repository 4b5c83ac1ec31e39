"""What both clients are given, and how it becomes requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import update_wrapper
from inspect import Parameter, signature
from typing import Any, Generic, TypeVar

from nightlight_client.exchanges import HttpAttempt, Steps, exchange, until_final
from nightlight_client.failures import Failures
from nightlight_client.models import Image, Trace
from nightlight_client.requests import Items, Request, decisions, images, traces
from nightlight_client.transport import AsyncTransport, SyncTransport

T = TypeVar("T")
TransportT = TypeVar("TransportT", SyncTransport, AsyncTransport)
Method = TypeVar("Method", bound=Callable[..., Any])


def described(method: Method, builder: Callable[..., Request[Any]]) -> Method:
    """Return a client's method with the name, parameters and docstring of the builder whose request it sends."""
    update_wrapper(method, builder)
    shape = signature(builder)
    answer = str(shape.return_annotation).removeprefix("Request[").removesuffix("]")
    parameters = [Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *shape.parameters.values()]
    method.__annotations__ = {**builder.__annotations__, "return": answer}
    vars(method)["__signature__"] = shape.replace(parameters=parameters, return_annotation=answer)
    return method


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

    def _steps(self, request: Request[T], budget_s: float | None) -> Steps[T]:
        return exchange(request, self.failures, self._budget_s if budget_s is None else budget_s)

    def _image_steps(self, image_id: str, timeout_s: float) -> Steps[Image]:
        return until_final(images.image(image_id), self.failures, f"image {image_id}", timeout_s)

    def _trace_steps(self, trace_id: str, timeout_s: float) -> Steps[Trace]:
        return until_final(traces.trace_status(trace_id), self.failures, f"trace {trace_id}", timeout_s)

    def _question(
        self, viewer: str, context: str, items: Items, viewer_id: str | None, network: str | None = None
    ) -> dict[str, Any]:
        return decisions.question(
            viewer,
            context,
            items,
            viewer_id=viewer_id or self._viewer_id,
            network=network,
            relation_keys=self._relation_keys,
        )

    def _headers(self, attempt: HttpAttempt) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token()}", **attempt.request.headers}
