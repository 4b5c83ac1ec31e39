"""What the service answers, as typed values; what it refuses, as an exception."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Problem(Exception):  # noqa: N818 - the name of RFC 9457
    """The service's answer to a request that it did not carry out."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        """Keep the HTTP status, the stable code and the text."""
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


class InvalidId(Problem, ValueError):  # noqa: N818 - a kind of Problem
    """An id that the service would refuse: nothing was sent."""

    def __init__(self, name: str, detail: str) -> None:
        """Keep the name of the part, and what is right."""
        super().__init__(422, "invalid_input", detail)
        self.name = name


class NotNightlight(Problem):
    """An answer that is none of the service's: the address leads to something else."""

    def __init__(self, status: int, detail: str) -> None:
        """Keep the HTTP status, and what came."""
        super().__init__(status, "not_nightlight", detail)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Image(_Answer):
    """One upload; ``state`` is pending, ready, superseded, rejected, failed, quarantined, held or deleted."""

    image_id: str
    profile_id: str
    state: str
    reason: str | None


class Decision(_Answer):
    """The URL to show for one profile, when it stops working (Unix seconds), and a BlurHash to paint meanwhile.

    ``fallback`` says that the service did not answer in time: the URL is a placeholder that needs no service.
    """

    profile_id: str
    url: str
    expires_at: int
    blurhash: str
    fallback: bool = False


class Trace(_Answer):
    """A found copy; ``state`` is pending, done, rejected or failed, ``progress`` in hundredths.

    ``result`` is as ``POST /v1/traces`` describes it: the invisible watermark, and the renditions found, the likeliest
    first.
    """

    trace_id: str
    state: str
    reason: str | None
    progress: int
    copy_kept: bool
    result: dict[str, Any] | None
