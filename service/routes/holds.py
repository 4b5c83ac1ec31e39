"""``/v1/holds``: legal and safeguarding holds."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from nightlight.delivery.access_tokens import TokenScope
from nightlight_core.ids import IMAGE_ID_PATTERN, ImageId, parse_profile_id
from service.answers import Body, Moment, answer, services
from service.auth import ScopedRoute, caller, requires
from service.profile_ids import ProfileIdText

router = APIRouter(prefix="/v1/holds", tags=["holds"], route_class=ScopedRoute)

HoldIdPath = Annotated[str, Path(pattern=IMAGE_ID_PATTERN)]


class LegalHoldBody(Body):
    """What is to be held: a profile's images as they are now, or one image."""

    profile_id: ProfileIdText | None = None
    image_id: Annotated[str, Field(pattern=IMAGE_ID_PATTERN)] | None = None
    kind: Literal["legal", "safeguarding"]
    reference: str = Field(min_length=1, max_length=200, description="The case's number; no name of a person.")
    until: Moment | None = Field(default=None, description="When it ends by itself; without it approvals end it.")
    may_be_told: bool = Field(
        default=False, description="Whether whom the pictures are of may know of it: their export then names it."
    )


class ApprovalAnswer(BaseModel):
    """Somebody's approval of the end."""

    by: str
    at: str = Field(description="RFC 3339.")


class HoldAnswer(BaseModel):
    """A hold as it now stands."""

    hold_id: str
    kind: str
    reference: str
    state: str = Field(description="placing (not all is in the vault yet), placed or ended.")
    until: str | None
    approvals: list[ApprovalAnswer]
    placed_by: str
    created_at: str
    ended_at: str | None
    may_be_told: bool


class HoldsAnswer(BaseModel):
    """Holds, the newest first; at most a thousand."""

    holds: list[HoldAnswer]


@router.post("", status_code=201)
@requires(TokenScope.HOLD)
def place(request: Request, body: LegalHoldBody) -> HoldAnswer:
    """Hold pictures as evidence: nobody is shown them, and they outlive every erasure in the vault until it ends."""
    hold = services(request).holds.place(
        profile_id=parse_profile_id(body.profile_id) if body.profile_id is not None else None,
        image_id=ImageId(body.image_id) if body.image_id is not None else None,
        kind=body.kind,
        reference=body.reference,
        until=body.until,
        actor=caller(request).subject,
        may_be_told=body.may_be_told,
    )
    return answer(HoldAnswer, hold)


@router.get("")
@requires(TokenScope.HOLD)
def listed(
    request: Request, *, ended: Annotated[bool, Query(description="Those that have ended too.")] = False
) -> HoldsAnswer:
    """Return holds."""
    return HoldsAnswer(holds=[answer(HoldAnswer, hold) for hold in services(request).holds.listed(ended=ended)])


@router.get("/{hold_id}")
@requires(TokenScope.HOLD)
def get(request: Request, hold_id: HoldIdPath) -> HoldAnswer:
    """Return a hold."""
    return answer(HoldAnswer, services(request).holds.get(hold_id))


@router.post("/{hold_id}/approvals", status_code=201)
@requires(TokenScope.HOLD)
def approve(request: Request, hold_id: HoldIdPath) -> HoldAnswer:
    """Approve of a hold's end. Once two of the approvers have, neither of whom placed it, the vault keeper ends it."""
    return answer(HoldAnswer, services(request).holds.approve(hold_id, actor=caller(request).subject))
