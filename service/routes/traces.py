"""``/v1/traces``: found copies, back to the renditions they were made from. For investigators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from nightlight.catalogue.trace_jobs import TraceJob
from nightlight.delivery.access_tokens import TokenScope
from nightlight_core.errors import InvalidInput
from nightlight_core.ids import TRACE_ID_PATTERN, parse_trace_id
from service.answers import answer, services
from service.auth import ScopedRoute, caller, requires
from service.multipart import upload_body, upload_form

router = APIRouter(prefix="/v1/traces", tags=["traces"], route_class=ScopedRoute)

TraceIdPath = Annotated[str, Path(pattern=TRACE_ID_PATTERN)]
_KEEP = {
    "type": "string",
    "enum": ["true", "false"],
    "description": "`true` keeps the copy as evidence until the trace is deleted or expires; by default it is deleted.",
}


class OriginAnswer(BaseModel):
    """One rendition that the copy may come from; the likeliest is the first."""

    image_id: str
    profile_id: str
    tier: str
    variant: int
    variants: int = Field(description="How many its tier has; with one, the variant says nothing of who was given it.")
    state: str = Field(description="The image's, when it was traced.")
    rendered_at: str
    published_at: str | None = Field(description="It could be shown from then on (RFC 3339).")
    shown_until: str | None = Field(description="When another image took its place; null: none has.")
    by: str = Field(description="watermark, hash or watermark+hash.")
    distance: int | None = Field(description="Between perceptual hashes, of 256 bits; a match is at most 31.")


class WatermarkAnswer(BaseModel):
    """The invisible watermark that was read."""

    number: int
    variant: int
    short: bool = Field(description="16 bits instead of 56: it names a rendition only together with a hash.")
    key_id: str
    agreement: float = Field(description="Share of its soft bits that agree, 0 to 1.")
    chance: float = Field(description="Bounds the probability that a picture without a watermark reads as one.")
    how: str
    mirrored: bool
    doubt: str | None = Field(description="Why the watermark may not belong to this picture.")


class ResultAnswer(BaseModel):
    """What is known of the copy."""

    sha256: str
    watermark: WatermarkAnswer | None
    present: bool = Field(description="An invisible watermark of this deployment is there, even if unread.")
    quality: int = Field(description="Of the perceptual hash, 0 to 100; under 50 it says nothing.")
    searched: int = Field(description="Hashes that were searched.")
    origins: list[OriginAnswer]


class TraceAnswer(BaseModel):
    """One trace."""

    trace_id: str
    state: str = Field(description="pending, done, rejected or failed.")
    reason: str | None = Field(description="Why it was rejected or failed: an error code.")
    progress: int = Field(ge=0, le=100)
    copy_kept: bool = Field(description="Whether the copy is kept.")
    created_at: str = Field(description="RFC 3339.")
    finished_at: str | None = Field(description="RFC 3339.")
    result: ResultAnswer | None


def _answer(row: TraceJob) -> TraceAnswer:
    return answer(TraceAnswer, row, copy_kept=row.keep)


@router.post("", status_code=202, openapi_extra=upload_body(keep=_KEEP))
@requires(TokenScope.TRACE)
async def ask(request: Request, response: Response) -> TraceAnswer:
    """Ask where a copy comes from: by its invisible watermark, then by its perceptual hash. A worker finds out.

    202 means that it is safely stored and will be traced; ask `GET /v1/traces/{trace_id}` what came of it. Everything
    asked is in the audit log. The copy is deleted when the trace ends, unless the field `keep` says `true`.
    """
    async with upload_form(request, field="keep") as (file, keep):
        if keep not in {None, "true", "false"}:
            raise InvalidInput("keep is true or false", pointer="/keep")
        who = caller(request).subject
        row = await run_in_threadpool(services(request).traces.accept, file, keep=keep == "true", actor=who)
    response.headers["Location"] = f"/v1/traces/{row.trace_id}"
    return _answer(row)


@router.get("/{trace_id}")
@requires(TokenScope.TRACE)
def status(request: Request, trace_id: TraceIdPath) -> TraceAnswer:
    """Say how far a trace is, and what came of it."""
    return _answer(services(request).traces.status(parse_trace_id(trace_id), actor=caller(request).subject))


@router.delete("/{trace_id}", status_code=204)
@requires(TokenScope.TRACE)
def delete(request: Request, trace_id: TraceIdPath) -> Response:
    """Forget a trace: what it led back to, and the copy if it was kept."""
    services(request).traces.delete(parse_trace_id(trace_id), actor=caller(request).subject)
    return Response(status_code=204)
