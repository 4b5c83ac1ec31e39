"""``/v1/profiles``: what the platform says of an account, and its image."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from nightlight.catalogue.profiles import Declaration
from nightlight.delivery.access_tokens import TokenScope
from nightlight.imaging.probe import upload_caps
from nightlight.imaging.upload_limits import in_words
from nightlight.settings.pictures import UploadSettings
from nightlight_core.ids import parse_profile_id
from service.answers import CONSISTENCY, Body, Word, answer, changed, services
from service.auth import ScopedRoute, caller, requires
from service.multipart import upload_body, upload_form
from service.profile_ids import ProfileIdPath
from service.routes.images import ImageAnswer

router = APIRouter(prefix="/v1/profiles", tags=["profiles"], route_class=ScopedRoute)

_CROP = {
    "type": "string",
    "pattern": r"^\d{1,5},\d{1,5},\d{1,5},\d{1,5}$",
    "description": "The owner's crop: left,top,width,height in pixels of the upright picture.",
}
_UPLOAD_BODY: dict[str, Any] = {
    **upload_body(crop=_CROP),
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            "description": "The same key and bytes give the same image, however often they are sent.",
        }
    ],
}

_DEFAULTS = UploadSettings.model_construct()
_MEGAPIXELS = in_words(upload_caps(_DEFAULTS))
_UPLOAD = f"""Upload a profile's image: one picture, or the first frame of an animation.

By default it has at most {_DEFAULTS.max_bytes / 1e6:g} MB, and at most so many megapixels: {_MEGAPIXELS}.
A kind that takes more memory or more of a processor to decode, such as a progressive JPEG, may have fewer. A refusal
(413 or 422) says in `detail` what was too much, and the limit.

An optional field `crop` is the owner's own: `left,top,width,height` in pixels of the upright picture.
202 means that it is safely stored and will be rendered; ask `GET /v1/images/{{image_id}}` how it goes."""


class ProfileBody(Body):
    """What the platform asserts; the words are those of the policy vocabulary."""

    band: Word = Field(description="Age band: unknown, under_13, age_13_15, age_16_17 or adult.")
    assurance: Word = Field(
        description="How the platform knows: none, self_declared, guardian_consent, estimated or verified."
    )
    region: Word = Field(default="unknown", description="Legal regime the profile is under.")
    choice: Word = Field(default="connections", description="The owner's setting: hidden, connections or everyone.")
    earlier_pictures: Literal["keep_ceiling", "follow_band"] = Field(
        default="keep_ceiling",
        description="`follow_band`: the owner says that pictures uploaded so far may be shown as this band allows. "
        "It opens up to the band that is in force now: say it again at the next. "
        "A correction to a younger band takes it back.",
    )


class ProfileAnswer(BaseModel):
    """The profile as it now stands."""

    profile_id: str
    band: str
    assurance: str
    region: str
    choice: str
    report_flag: str
    deactivated_at: str | None = Field(
        description="Since when the account is deactivated (RFC 3339); null if it is not."
    )
    lapses_at: str = Field(description="When the band lapses to unknown unless it is asserted again (RFC 3339).")


class ReportFlagBody(Body):
    """Whether an open report hides the profile."""

    report_flag: Word = Field(description="clear or reported.")


@router.put("/{profile_id}", responses={201: {"model": ProfileAnswer}})
@requires(TokenScope.INGEST)
def declare(request: Request, response: Response, profile_id: ProfileIdPath, body: ProfileBody) -> ProfileAnswer:
    """Declare a profile, or assert its band again. Without it, or once it lapses, the band is `unknown`."""
    declaration = Declaration(body.band, body.assurance, body.region, body.choice)
    profile, new, number = services(request).declare.declare(
        parse_profile_id(profile_id),
        declaration,
        follow_band=body.earlier_pictures == "follow_band",
        actor=caller(request).subject,
    )
    response.status_code = 201 if new else 200
    response.headers[CONSISTENCY] = str(number)
    return answer(ProfileAnswer, profile, lapses_at=services(request).lapses_at(profile).isoformat())


@router.delete("/{profile_id}", status_code=204)
@requires(TokenScope.INGEST)
def delete(request: Request, profile_id: ProfileIdPath) -> Response:
    """Delete a profile and all its images: no decision shows them from now on, and the objects are erased."""
    services(request).delete.profile(parse_profile_id(profile_id), actor=caller(request).subject)
    return Response(status_code=204)


@router.post("/{profile_id}/revocations", status_code=204)
@requires(TokenScope.RELATE)
def revoke(request: Request, profile_id: ProfileIdPath) -> Response:
    """Make every URL that was given out of a profile's pictures count for nothing: somebody is no connection any more.

    Blocks, reports and deletions do this by themselves; declarations do it for what they take from somebody. Decisions
    give the placeholder until the pictures have new names, some tenths of a second.
    """
    return changed(services(request).revoke.profile(parse_profile_id(profile_id), actor=caller(request).subject))


@router.put("/{profile_id}/deactivation", status_code=204)
@requires(TokenScope.INGEST)
def deactivate(request: Request, profile_id: ProfileIdPath) -> Response:
    """Deactivate an account: all of it is kept, and shown to nobody, its owner included.

    Every decision answers as for a profile that was never declared, and every URL that was given out counts for
    nothing. Declarations, blocks and reports still take effect; uploads are refused (409). After the days of the state
    `deactivated` in retention.yaml the account is deleted.
    """
    return changed(services(request).deactivate.deactivate(parse_profile_id(profile_id), actor=caller(request).subject))


@router.delete("/{profile_id}/deactivation", status_code=204)
@requires(TokenScope.INGEST)
def reactivate(request: Request, profile_id: ProfileIdPath) -> Response:
    """Take a deactivation back: the picture is shown again as the policy says, without a new upload."""
    return changed(services(request).deactivate.reactivate(parse_profile_id(profile_id), actor=caller(request).subject))


@router.put("/{profile_id}/report-flag", status_code=204)
@requires(TokenScope.REPORT)
def report_flag(request: Request, profile_id: ProfileIdPath, body: ReportFlagBody) -> Response:
    """Hide a reported profile's picture from everybody but its owner, or show it again."""
    return changed(
        services(request).declare.set_report_flag(
            parse_profile_id(profile_id), body.report_flag, actor=caller(request).subject
        )
    )


@router.post("/{profile_id}/image", status_code=202, openapi_extra=_UPLOAD_BODY, description=_UPLOAD)
@requires(TokenScope.INGEST)
async def upload(request: Request, profile_id: ProfileIdPath) -> ImageAnswer:
    """Upload a profile's image."""
    async with upload_form(request, field="crop") as (file, crop):
        image = await run_in_threadpool(
            services(request).upload.accept,
            parse_profile_id(profile_id),
            file,
            idempotency_key=request.headers.get("idempotency-key"),
            actor=caller(request).subject,
            crop=crop,
        )
    return answer(ImageAnswer, image)
