"""One request to the service, as a value: both clients send the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import IO, Any, Generic, TypeVar

from nightlight_client.responses import Response

T_co = TypeVar("T_co", covariant=True)


class Retry(Enum):
    """How often a request is sent, and how long its answer is waited for."""

    # Sent once, with the client's timeouts; what goes wrong is raised.
    NEVER = "never"
    # Sent once; the whole answer comes within the client's budget, or httpx.TimeoutException is raised.
    NEVER_WITHIN_BUDGET = "never_within_budget"
    # Sent again, with pauses, while there is time in the budget; after that the request's fallback is returned.
    WITHIN_BUDGET = "within_budget"


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart body: one file named ``file``, and fields of text."""

    filename: str
    content: IO[bytes] | bytes
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Generic[T_co]):
    """What is sent, and how its answer is read.

    ``read`` takes the answer and returns what the caller gets; it raises Problem for a refusal, NotNightlight for an
    answer that is not the service's. ``fallback`` returns what the caller gets once the budget of
    ``Retry.WITHIN_BUDGET`` is spent; without it TimeoutError is raised. At most one of ``json`` and ``form`` is set.
    """

    method: str
    path: str
    read: Callable[[Response], T_co]
    params: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Form | None = None
    retry: Retry = Retry.NEVER
    fallback: Callable[[], T_co] | None = None

    def arguments(self) -> dict[str, Any]:
        """Return what httpx takes for this request, without its method, URL and headers."""
        given: dict[str, Any] = {"json": self.json, "params": dict(self.params)}
        if self.form is not None:
            given["files"] = {"file": (self.form.filename, self.form.content, "application/octet-stream")}
            given["data"] = dict(self.form.fields)
        return {name: value for name, value in given.items() if value not in (None, {})}
