"""What the service answers, as typed values; what it refuses is in ``nightlight_client.errors``."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from types import NoneType
from typing import Any, Self


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
        values = []
        for name, types, default in _members(cls):  # type: ignore[arg-type]  # a class is hashable
            value = body.get(name, default)
            if type(value) not in types:
                raise ValueError(f"{name} is {'missing' if value is MISSING else type(value).__name__}")
            values.append(value)
        return cls(*values)


@cache
def _members(kind: Hashable) -> tuple[tuple[str, tuple[type, ...], Any], ...]:
    """Return what is read of a body: each member's name, what JSON may have for it, and what stands for its absence.

    A member with a default other than None is none of the body's; they are the last.
    """
    return tuple(
        (member.name, _TYPES[str(member.type)], member.default)
        for member in fields(kind)  # type: ignore[arg-type]  # every kind of answer is a dataclass
        if member.default is MISSING or member.default is None
    )


# What JSON may have for a member, by its annotation; exactly, so that true is no number.
_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, NoneType),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
    "list[str]": (list,),
    "dict[str, Any] | None": (dict, NoneType),
    "list[dict[str, Any]]": (list,),
    "list[dict[str, Any]] | None": (list, NoneType),
}


@dataclass(frozen=True, slots=True)
class TokenInfo(_Answer):
    """Who this client is to the service: the token's subject and scopes, and the service's time (Unix seconds).

    ``relation_keys`` are fingerprints of the keys that it checks relation proofs with, and ``leeway_s`` is how far
    ahead the clock of whoever signs them may be.
    """

    subject: str
    scopes: list[str]
    now: float
    relation_keys: list[str]
    leeway_s: int


@dataclass(frozen=True, slots=True)
class DeclaredProfile(_Answer):
    """A profile as it was declared; ``consistency`` is the token that ``decide`` takes, to decide by no less than this.

    ``lapses_at`` is when the band lapses to unknown, and ``deactivated_at`` since when the account is (RFC 3339).
    """

    profile_id: str
    band: str
    assurance: str
    region: str
    choice: str
    report_flag: str
    lapses_at: str
    deactivated_at: str | None = None
    consistency: str = ""


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
