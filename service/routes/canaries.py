"""``/v1/canaries``: profiles that nobody has a reason to ask for."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from nightlight.delivery.access_tokens import TokenScope
from nightlight_core.ids import parse_profile_id
from service.answers import Body, services
from service.auth import ScopedRoute, caller, requires
from service.profile_ids import ProfileIdText

router = APIRouter(prefix="/v1/canaries", tags=["canaries"], route_class=ScopedRoute)


class CanaryBody(Body):
    """A profile that is linked from nowhere."""

    profile_id: ProfileIdText


@router.post("", status_code=204)
@requires(TokenScope.RELATE)
def plant(request: Request, body: CanaryBody) -> Response:
    """Make a canary of a profile: whoever asks for it from now on is noted as a scraper. Answers stay as they are."""
    services(request).abuse_reports.plant(parse_profile_id(body.profile_id), actor=caller(request).subject)
    return Response(status_code=204)
