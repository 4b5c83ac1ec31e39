"""``/v1/blocks``: who is to see nothing of whom."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from nightlight.delivery.access_tokens import TokenScope
from nightlight_core.ids import PROFILE_ID_PATTERN, parse_profile_id
from service.answers import Body, changed, services
from service.auth import ScopedRoute, caller, requires

router = APIRouter(prefix="/v1/blocks", tags=["blocks"], route_class=ScopedRoute)

IdPath = Annotated[str, Path(pattern=PROFILE_ID_PATTERN)]


class BlockBody(Body):
    """A profile, and the viewer who is to see nothing of it."""

    profile_id: str = Field(pattern=PROFILE_ID_PATTERN, description="Who blocks, or is kept from being seen.")
    viewer_id: str = Field(pattern=PROFILE_ID_PATTERN, description="Who is to see nothing of them.")


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
def unblock(request: Request, profile_id: IdPath, viewer_id: IdPath) -> Response:
    """Take a block away; it is no error if there is none."""
    ids = parse_profile_id(profile_id), parse_profile_id(viewer_id)
    return changed(services(request).block.unblock(*ids, actor=caller(request).subject))
