"""What a client raises, whichever way it decides: over HTTP, in this process, or against the fake of the tests.

::

    NightlightError                   the root, of nightlight_core
    ├── ClientMisconfigured           the address, token, keys or options cannot work          (a ValueError too)
    ├── ServiceUnreachable            no answer came; ``kind`` says why, as ``failures`` has it
    ├── StillPending                  it was waited for as long as was said                    (a TimeoutError too)
    └── Problem                       the service's answer to a request that it did not carry out (RFC 9457)
        ├── InvalidId                 an id that the service would refuse: nothing was sent    (a ValueError too)
        └── NotNightlight             an answer that is none of the service's: another host's

``retryable`` says whether the same call may succeed later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nightlight_core.errors import NightlightError

# Statuses that may be another the next time: too many requests, and what a proxy or the service says of an outage.
BUSY = frozenset({429, 502, 503, 504})
# How many of an answer's errors are kept, and how long their texts are.
_MOST_ERRORS, _MOST_CHARS = 50, 500
INVALID_INPUT = 422


class ProblemError(NamedTuple):
    """One fault of a request: ``pointer`` says where it is (RFC 6901), ``detail`` what is wrong."""

    pointer: str
    detail: str


class ClientMisconfigured(NightlightError, ValueError):  # noqa: N818 - it says what happened, as all of its tree do
    """What a client was given cannot work."""

    code = "client_misconfigured"


class ServiceUnreachable(NightlightError):  # noqa: N818 - it says what happened, as all of its tree do
    """No answer came, or not all of it in time."""

    code = "service_unreachable"
    retryable = True

    def __init__(self, kind: str, detail: str) -> None:
        """Keep the kind, as ``nightlight_client.failures`` lists them, and what happened."""
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


class StillPending(NightlightError, TimeoutError):  # noqa: N818 - it says what happened, as all of its tree do
    """What was waited for goes on; it may be waited for again."""

    code = "still_pending"
    retryable = True


class Problem(NightlightError):  # noqa: N818 - the name of RFC 9457
    """The service's answer to a request that it did not carry out.

    ``errors`` are the faults of single parts of the request, and ``pointer`` is the first one's place.
    """

    def __init__(self, status: int, code: str, detail: str, errors: Sequence[ProblemError] = ()) -> None:
        """Keep the HTTP status, the stable code, the text, and where the request is at fault."""
        super().__init__(detail, pointer=errors[0].pointer if errors else None)
        self.status, self.code, self.errors = status, code, tuple(errors)
        self.retryable = status in BUSY

    def __str__(self) -> str:
        """Return status, code and text, and the faults of parts with their places."""
        parts = "; ".join(f"{error.pointer}: {error.detail}" for error in self.errors)
        return f"{self.status} {self.code}: {self.detail}" + (f" ({parts})" if parts else "")

    @staticmethod
    def errors_in(body: Mapping[str, object]) -> tuple[ProblemError, ...]:
        """Return the faults that a problem's body lists; nothing of what has another shape."""
        listed = body.get("errors")
        faults = (
            [fault for fault in listed[:_MOST_ERRORS] if isinstance(fault, dict)] if isinstance(listed, list) else []
        )
        return tuple(
            ProblemError(str(fault.get("pointer", ""))[:_MOST_CHARS], str(fault.get("detail", ""))[:_MOST_CHARS])
            for fault in faults
        )


class InvalidId(Problem, ValueError):  # noqa: N818 - a kind of Problem
    """An id that the service would refuse: nothing was sent."""

    def __init__(self, name: str, detail: str) -> None:
        """Keep the name of the part, and what is right."""
        super().__init__(INVALID_INPUT, "invalid_input", detail, [ProblemError(f"/{name}", detail)])
        self.name = name


class NotNightlight(Problem):
    """An answer that is none of the service's: the address leads to something else."""

    def __init__(self, status: int, detail: str) -> None:
        """Keep the HTTP status, and what came."""
        super().__init__(status, "not_nightlight", f"{detail}: is it the right host?")
        self.retryable = False


def problem_of(error: NightlightError) -> Problem:
    """Return what the service would answer to a request that raised an error of its own."""
    detail = error.public_detail
    errors = [ProblemError(error.pointer, detail)] if error.tells and error.detail and error.pointer else []
    return Problem(error.status, error.code, detail, errors)
