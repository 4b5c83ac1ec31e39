"""``/v1/takedowns``: notices that ask for a picture and all its copies to be hidden."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from nightlight.catalogue.hash_list_matches import HashListMatch
from nightlight.catalogue.takedowns import Takedown
from nightlight.delivery.access_tokens import TokenScope
from nightlight.flows.takedowns.requests import MAX_REFERENCE, Notice, TakedownStatus
from nightlight_core.errors import InvalidInput
from nightlight_core.ids import IMAGE_ID_PATTERN, ImageId, parse_image_id
from service.answers import Body, Moment, answer, services
from service.auth import ScopedRoute, caller, requires
from service.json_body import json_body
from service.multipart import upload_body, upload_form
from service.routes.images import ReceiptAnswer

router = APIRouter(prefix="/v1/takedowns", tags=["takedowns"], route_class=ScopedRoute)

TakedownIdPath = Annotated[str, Path(pattern=IMAGE_ID_PATTERN)]
_MULTIPART = "multipart/form-data"


class NoticeBody(Body):
    """What a notice says. It names no person: whoever keeps its letter gives it a reference."""

    kind: Literal["intimate_image", "child_abuse", "other"] = Field(description="What it is about.")
    reference: str = Field(
        min_length=1, max_length=MAX_REFERENCE, description="The case's number; no name of a person."
    )
    received_at: Moment | None = Field(
        default=None, description="When the platform received it: its clock begins then. Without it: now."
    )

    def notice(self) -> Notice:
        """Return the notice."""
        return Notice(self.kind, self.reference, self.received_at)


class ImageNoticeBody(NoticeBody):
    """A notice that names an image of ours."""

    image_id: Annotated[str, Field(pattern=IMAGE_ID_PATTERN)]


class VerdictBody(Body):
    """What a person says of a match."""

    verdict: Literal["confirmed", "cleared"]


class UndoBody(Body):
    """Why a notice is undone."""

    why: str = Field(min_length=1, max_length=MAX_REFERENCE, description="No name of a person.")


class TakedownAnswer(BaseModel):
    """A notice as it stands."""

    takedown_id: str
    state: str = Field(description="pending, in_force, rejected, failed, undoing or undone.")
    reason: str | None = Field(description="Why it was rejected or failed (an error code), or undone.")
    kind: str
    reference: str
    image_id: str | None
    hidden: int = Field(description="How many images were hidden when it came into force, or confirmed since.")
    received_at: str = Field(description="RFC 3339.")
    due_at: str = Field(description="When the policy wants every copy hidden (RFC 3339).")
    created_at: str
    dark_at: str | None = Field(description="When every copy was hidden (RFC 3339).")
    undone_at: str | None


class CopyAnswer(BaseModel):
    """An image that is near to a notice's picture."""

    image_id: str
    profile_id: str
    state: str
    distance: int = Field(description="Between perceptual hashes, of 256 bits.")
    verdict: str = Field(description="open or confirmed (hidden), aside (not hidden until confirmed) or cleared.")
    found_at: str
    decided_by: str | None
    decided_at: str | None


class TakedownMatchesAnswer(TakedownAnswer):
    """A notice with its matches."""

    matches: list[CopyAnswer]


class TakedownsAnswer(BaseModel):
    """Notices, the newest first; at most a thousand."""

    takedowns: list[TakedownAnswer]


def _plain(takedown: Takedown) -> TakedownAnswer:
    return answer(TakedownAnswer, takedown)


def _match(match: HashListMatch) -> CopyAnswer:
    return answer(CopyAnswer, match)


def _with_matches(status: TakedownStatus) -> TakedownMatchesAnswer:
    fields = _plain(status.takedown).model_dump()
    return TakedownMatchesAnswer(**fields, matches=[_match(match) for match in status.matches])


_NOTICE = {
    "type": "string",
    "description": "JSON: `kind` (intimate_image, child_abuse or other), `reference` and, optionally, `received_at`.",
}
_BODIES = upload_body(notice=_NOTICE)
_BODIES["requestBody"]["content"]["application/json"] = {"schema": ImageNoticeBody.model_json_schema()}


@router.post("", status_code=202, openapi_extra=_BODIES)
@requires(TokenScope.TAKEDOWN)
async def place(request: Request, response: Response) -> TakedownAnswer:
    """Place a notice: on an image of ours (JSON), or on a picture (a form with `file` and `notice`).

    202 means that it is safely stored; a worker finds every copy and hides all of them in one transaction, and no copy
    can be published while the notice stands. Ask `GET /v1/takedowns/{takedown_id}` what came of it. One caller may
    place only so many notices in an hour: 429, with `Retry-After`.
    """
    who = caller(request).subject
    flow = services(request).takedowns
    if request.headers.get("content-type", "").lower().startswith(_MULTIPART):
        async with upload_form(request, field="notice") as (file, text):
            takedown = await run_in_threadpool(flow.of_picture, file, _notice(text), actor=who)
    else:
        body = await json_body(request, ImageNoticeBody)
        takedown = await run_in_threadpool(flow.of_image, ImageId(body.image_id), body.notice(), actor=who)
    response.headers["Location"] = f"/v1/takedowns/{takedown.takedown_id}"
    return _plain(takedown)


def _notice(text: str | None) -> Notice:
    """Return the notice in a form's field; raises InvalidInput naming the first member that is wrong."""
    try:
        return NoticeBody.model_validate_json(text or "").notice()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        pointer = "".join(f"/{part}" for part in ("notice", *first["loc"]))
        raise InvalidInput(f"the notice: {first['msg']}", pointer=pointer) from error


@router.get("")
@requires(TokenScope.TAKEDOWN)
def listed(
    request: Request, *, ended: Annotated[bool, Query(description="Those that ended too.")] = False
) -> TakedownsAnswer:
    """Return notices."""
    takedowns = services(request).takedown_review.listed(open_only=not ended)
    return TakedownsAnswer(takedowns=[_plain(takedown) for takedown in takedowns])


@router.get("/{takedown_id}")
@requires(TokenScope.TAKEDOWN)
def get(request: Request, takedown_id: TakedownIdPath) -> TakedownMatchesAnswer:
    """Return a notice and its matches."""
    return _with_matches(services(request).takedown_review.status(takedown_id))


@router.get("/{takedown_id}/receipts")
@requires(TokenScope.TAKEDOWN)
def receipts(request: Request, takedown_id: TakedownIdPath) -> list[ReceiptAnswer]:
    """Return a notice's signed receipts: one when its copies were hidden, one when it was undone."""
    return [ReceiptAnswer(**receipt) for receipt in services(request).takedown_review.receipts(takedown_id)]


@router.post("/{takedown_id}/matches/{image_id}", status_code=204)
@requires(TokenScope.TAKEDOWN, TokenScope.REVIEW)
def decide(
    request: Request,
    takedown_id: TakedownIdPath,
    image_id: Annotated[str, Path(pattern=IMAGE_ID_PATTERN)],
    body: VerdictBody,
) -> Response:
    """Confirm that an image is the notice's picture, or clear it: it is rendered again."""
    flow = services(request).takedown_review
    verdict = flow.confirm if body.verdict == "confirmed" else flow.clear
    verdict(takedown_id, parse_image_id(image_id), actor=caller(request).subject)
    return Response(status_code=204)


@router.post("/{takedown_id}/undo", status_code=202)
@requires(TokenScope.TAKEDOWN)
def undo(request: Request, takedown_id: TakedownIdPath, body: UndoBody) -> TakedownAnswer:
    """Undo a wrong notice: a worker renders again whatever nothing else keeps hidden."""
    return _plain(services(request).takedown_review.undo(takedown_id, why=body.why, actor=caller(request).subject))
