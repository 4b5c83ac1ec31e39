"""``/v1/blocks``: who is to see nothing of whom."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import Field

from nightlight.delivery.access_tokens import TokenScope
from nightlight_core.ids import parse_profile_id
from service.answers import Body, changed, services
from service.auth import ScopedRoute, caller, requires
from service.profile_ids import ProfileIdPath, ProfileIdText

router = APIRouter(prefix="/v1/blocks", tags=["blocks"], route_class=ScopedRoute)


class BlockBody(Body):
    """A profile, and the viewer who is to see nothing of it."""

    profile_id: ProfileIdText = Field(description="Who blocks, or is kept from being seen.")
    viewer_id: ProfileIdText = Field(description="Who is to see nothing of them.")


@router.post("", status_code=204)
@requires(TokenScope.RELATE)
def block(request: Request, body: BlockBody) -> Response:
    """Block: every decision from now on gives this viewer the placeholder of this profile, whatever it claims.

    One way: push the other way round too where neither is to see the other. Repeating it does nothing.
    """
    ids = parse_profile_id(body.profile_id), parse_profile_id(body.viewer_id)
    return changed(services(request).block.block(*ids, actor=caller(request).subject))


@router.delete("/{profile_id}/{viewer_id}", status_code=204)
@requires(TokenScope.RELATE)
def unblock(request: Request, profile_id: ProfileIdPath, viewer_id: ProfileIdPath) -> Response:
    """Take a block away; it is no error if there is none."""
    ids = parse_profile_id(profile_id), parse_profile_id(viewer_id)
    return changed(services(request).block.unblock(*ids, actor=caller(request).subject))
