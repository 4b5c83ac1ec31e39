"""``/v1/images``: how an upload is getting on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field

from nightlight.delivery.access_tokens import TokenScope
from nightlight_core.ids import IMAGE_ID_PATTERN, parse_image_id
from service.answers import answer, services
from service.auth import ScopedRoute, caller, requires

router = APIRouter(prefix="/v1/images", tags=["images"], route_class=ScopedRoute)

ImageIdPath = Annotated[str, Path(pattern=IMAGE_ID_PATTERN)]


class ImageAnswer(BaseModel):
    """One upload."""

    image_id: str
    profile_id: str
    state: str = Field(description="pending, ready, superseded, rejected, failed, quarantined, held or deleted.")
    reason: str | None = Field(
        description="Why it is rejected (an error code), failed (worker_crashed, decoder_too_slow, decoder_ and a "
        "signal, manifest_refused or original_missing) or quarantined (listed or takedown)."
    )
    reason_detail: str | None = Field(
        description="Why it is rejected, in words for the picture's owner; null in every other state."
    )
    created_at: str = Field(description="RFC 3339.")
    ready_at: str | None = Field(description="RFC 3339.")


class ReceiptAnswer(BaseModel):
    """One signed receipt: `nightlight receipt verify` opens it."""

    payload: str = Field(description="Base64 of JSON: what was deleted, when, and the hash of the receipt before.")
    key_id: str
    signature: str = Field(description="Base64 of an Ed25519 signature.")


@router.get("/{image_id}")
@requires(TokenScope.INGEST)
def status(request: Request, image_id: ImageIdPath) -> ImageAnswer:
    """Say how an upload is getting on."""
    return answer(ImageAnswer, services(request).upload.status(parse_image_id(image_id)))


@router.get("/{image_id}/receipts")
@requires(TokenScope.INGEST)
def receipts(request: Request, image_id: ImageIdPath) -> list[ReceiptAnswer]:
    """Return the receipts of an image's erasure: one when it was erased, one when that was looked at again."""
    return [ReceiptAnswer(**receipt) for receipt in services(request).delete.receipts(parse_image_id(image_id))]


@router.delete("/{image_id}", status_code=204)
@requires(TokenScope.INGEST)
def delete(request: Request, image_id: ImageIdPath) -> Response:
    """Delete an image: no decision shows it from now on, and its objects are erased."""
    services(request).delete.image(parse_image_id(image_id), actor=caller(request).subject)
    return Response(status_code=204)
