"""What the service answers, as typed values; what it refuses, as an exception."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from types import NoneType
from typing import Any, Self


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


class _Answer:
    """An answer's body as a value."""

    __slots__ = ()

    @classmethod
    def read(cls, body: Any) -> Self:
        """Return the value of a body of JSON; raises ValueError where a member is missing or of another type.

        Members that this client does not know are left out: a newer service may say more.
        """
        if not isinstance(body, dict):
            message = f"{type(body).__name__} is no object"
            raise ValueError(message)  # noqa: TRY004 - what came is wrong, not how this is called
        values = {}
        for member in fields(cls):  # type: ignore[arg-type]  # every kind of answer is a dataclass
            value = body.get(member.name, MISSING)
            if member.default is not MISSING and (member.default is not None or value is MISSING):
                continue  # no member of the body, or one that an older service does not send
            if type(value) not in _TYPES[str(member.type)]:
                raise ValueError(f"{member.name} is {'missing' if value is MISSING else type(value).__name__}")
            values[member.name] = value
        return cls(**values)


# What JSON may have for a member, by its annotation; exactly, so that true is no number.
_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, NoneType),
    "int": (int,),
    "bool": (bool,),
    "dict[str, Any] | None": (dict, NoneType),
    "list[dict[str, Any]]": (list,),
    "list[dict[str, Any]] | None": (list, NoneType),
}


@dataclass(frozen=True, slots=True)
class Image(_Answer):
    """One upload; ``state`` is pending, ready, superseded, rejected, failed, quarantined, held or deleted.

    ``reason`` is a stable code, ``reason_detail`` why it is rejected in words for the picture's owner.
    """

    image_id: str
    profile_id: str
    state: str
    reason: str | None
    reason_detail: str | None = None


@dataclass(frozen=True, slots=True)
class Export(_Answer):
    """A person's own data; ``state`` is pending, ready or failed, ``sha256`` that of the file.

    ``expires_at`` is when it is gone (RFC 3339).
    """

    export_id: str
    state: str
    reason: str | None
    sha256: str | None
    expires_at: str | None


@dataclass(frozen=True, slots=True)
class Decision(_Answer):
    """The URL to show for one profile, when it stops working (Unix seconds), and a BlurHash to paint meanwhile.

    ``capture`` is ``allow`` or ``forbid``: whether your app refuses screenshots and downloads of it.
    ``fallback`` says that the service did not answer in time: the URL is a placeholder that needs no service.
    """

    profile_id: str
    url: str
    expires_at: int
    blurhash: str
    capture: str
    fallback: bool = False


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class TakedownNotice(_Answer):
    """A takedown notice; ``state`` is pending, in_force, rejected, failed, undoing or undone.

    ``hidden`` is how many images it hid, ``due_at`` when every copy is to be hidden and ``dark_at`` when it was (RFC
    3339). ``matches`` are as ``GET /v1/takedowns/{takedown_id}`` describes them, and None in other answers.
    """

    takedown_id: str
    state: str
    reason: str | None
    kind: str
    reference: str
    image_id: str | None
    hidden: int
    received_at: str
    due_at: str
    dark_at: str | None
    undone_at: str | None
    matches: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class NoticeReview(_Answer):
    """What a reviewer sees of a notice: softened pictures of it (or None) and of each match; nobody's id.

    They are as ``GET /v1/takedowns/{takedown_id}/review`` describes them: a picture's ``state`` is pending, ready or
    failed, and its ``review_id`` is what ``review_picture`` takes.
    """

    takedown_id: str
    state: str
    kind: str
    reference: str
    picture: dict[str, Any] | None
    matches: list[dict[str, Any]]
