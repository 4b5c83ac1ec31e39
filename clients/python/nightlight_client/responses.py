"""Answers of the service as plain values, and the readers of what most of them hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, TypeVar

from nightlight_client.errors import BUSY, NotNightlight, Problem
from nightlight_client.models import DeclaredProfile, Export, Image, NoticeReview, TakedownNotice, TokenInfo, Trace

Answer = TypeVar("Answer", TokenInfo, DeclaredProfile, Image, Trace, Export, TakedownNotice, NoticeReview)

# Of a problem's texts so many characters are kept.
_MOST_CODE, _MOST_DETAIL = 100, 2_000
# The header of a change's consistency token, as ``Response.headers`` has it.
_CONSISTENCY = "nightlight-consistency"


@dataclass(frozen=True, slots=True)
class Response:
    """One answer, read to its end. ``headers`` is asked by names in lower case."""

    status: int
    content: bytes
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Return whether the status is of the 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def description(self) -> str:
        """Return the status and the kind of content, for the log."""
        return f"{self.status} {self.headers.get('content-type', 'of no kind')[:60]}"

    @property
    def phrase(self) -> str:
        """Return what HTTP calls the status."""
        return HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "status of no name"

    def json(self) -> Any:
        """Return the content as JSON; raises ValueError if it is none."""
        try:
            return json.loads(self.content)
        except RecursionError as error:
            raise ValueError("the content is nested too deeply") from error


def is_plain(encoding: str | None) -> bool:
    """Return whether an answer's Content-Encoding says that it is as it is."""
    return encoding is None or encoding.strip().lower() in {"", "identity"}


def inline_picture(url: str) -> Response | None:
    """Return the picture of a ``data:`` URL, as decisions have it where no service answers; None for another URL."""
    kind, separator, encoded = url.partition(";base64,")
    if not separator or not kind.startswith("data:"):
        return None
    try:
        picture = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    return Response(HTTPStatus.OK, picture, {"content-type": kind.removeprefix("data:")})


class AskAgain(Exception):  # noqa: N818 - it says what to do, and never reaches a caller
    """An answer without the decisions asked for, where the next attempt may bring them."""

    def __init__(self, kind: str, detail: str) -> None:
        """Keep the kind of failure, as ``nightlight_client.failures`` names it, and what came."""
        super().__init__(detail)
        self.kind, self.detail = kind, detail


def raise_for(response: Response) -> None:
    """Raise the Problem that an answer is, if it is one; NotNightlight if it is no problem of the service's."""
    if response.ok:
        return
    try:
        body = response.json()
    except ValueError:
        body = None
    busy = response.status in BUSY
    if busy and not isinstance(body, dict):  # what stands before the service says so
        raise Problem(response.status, "http", response.phrase)
    if isinstance(body, dict) and ("code" in body or busy):
        code, detail = (
            str(body.get("code", "http"))[:_MOST_CODE],
            str(body.get("detail", response.phrase))[:_MOST_DETAIL],
        )
        raise Problem(response.status, code, detail, Problem.errors_in(body))
    raise NotNightlight(response.status, f"{response.description}, no answer of Nightlight's")


def read_json(response: Response) -> Any:
    """Return what an answer says; raise the Problem that it is, or NotNightlight if it is no JSON."""
    raise_for(response)
    try:
        return response.json()
    except ValueError as error:
        raise NotNightlight(response.status, f"{response.description}, no JSON") from error


def read_nothing(response: Response) -> None:
    """Take an answer of which only its success matters; a page of somebody else's is no success."""
    raise_for(response)
    if response.status != HTTPStatus.NO_CONTENT:
        read_json(response)


def read_change(response: Response) -> str:
    """Return the consistency token of a change that was taken in; empty where an older service gives none."""
    read_nothing(response)
    return response.headers.get(_CONSISTENCY, "")


def read_profile(response: Response) -> DeclaredProfile:
    """Return a declared profile, with the consistency token of its change."""
    return replace(_read_profile(response), consistency=response.headers.get(_CONSISTENCY, ""))


def read_bundle(response: Response) -> bytes:
    """Return the bytes of a policy bundle; raise the Problem that the answer is."""
    raise_for(response)
    if response.headers.get("content-type") != "application/json":
        raise NotNightlight(response.status, f"{response.description}, no bundle")
    return response.content


def reader(kind: type[Answer]) -> Callable[[Response], Answer]:
    """Return what reads an answer of one kind; it raises NotNightlight for a body of another shape."""

    def read(response: Response) -> Answer:
        body = read_json(response)
        try:
            return kind.read(body)
        except ValueError as error:
            raise NotNightlight(response.status, f"{response.description}, {error}") from error

    return read


_read_profile = reader(DeclaredProfile)
