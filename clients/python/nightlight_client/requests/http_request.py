"""One request to the service, as a value: both clients send the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from nightlight_client.multipart_body import Form, form_body
from nightlight_client.responses import Response

# Answers are at most so long, unless their request says otherwise: pages of bundles, views and pictures of reviews.
MOST_BYTES = 64_000_000

T_co = TypeVar("T_co", covariant=True)


class Retry(Enum):
    """How often a request is sent, and how long its answer is waited for."""

    # Sent once, with the client's timeouts; what goes wrong is raised.
    NEVER = "never"
    # Sent once; the whole answer comes within the client's budget, or ServiceUnreachable is raised.
    NEVER_WITHIN_BUDGET = "never_within_budget"
    # Sent again, with pauses, while there is time in the budget; after that the request's fallback is returned.
    WITHIN_BUDGET = "within_budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Generic[T_co]):
    """What is sent, and how its answer is read.

    ``read`` takes the answer and returns what the caller gets; it raises Problem for a refusal, NotNightlight for an
    answer that is not the service's. ``fallback`` returns what the caller gets once the budget of
    ``Retry.WITHIN_BUDGET`` is spent; without it ServiceUnreachable is raised. At most one of ``json`` and ``form`` is
    set. An answer of more than ``most_bytes`` is none of the service's.
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
    most_bytes: int = MOST_BYTES

    def content(self) -> tuple[bytes | Iterator[bytes] | None, dict[str, str]]:
        """Return the body, and the headers that go with it; a form's is read piece by piece."""
        if self.form is not None:
            return form_body(self.form)
        if self.json is None:
            return None, {}
        return json.dumps(self.json, separators=(",", ":")).encode(), {"Content-Type": "application/json"}

    @property
    def target(self) -> str:
        """Return the path with its parameters."""
        return f"{self.path}?{urlencode(self.params)}" if self.params else self.path
