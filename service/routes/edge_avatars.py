"""``/v1/edge/avatar``: an edge asks which picture a viewer gets, and is sent to it by ``X-Accel-Redirect``.

It answers edges alone: who shows no secret of one is told what an unknown path is told. It is not in the OpenAPI
document, since `nightlight edge` writes whoever calls it.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from nightlight.flows.decisions.avatars import AvatarRequest
from nightlight_core.errors import NotFound
from service.answers import services
from service.auth import ScopedRoute, public

router = APIRouter(tags=["pictures"], route_class=ScopedRoute, include_in_schema=False)

AVATAR = "/v1/edge/avatar"


@router.get(AVATAR)
@public
async def avatar(request: Request) -> Response:
    """Say where the edge finds the picture that its viewer gets."""
    avatars = services(request).avatars
    if avatars is None or not avatars.is_edge(request.headers.get("authorization", "")):
        raise NotFound
    asked = AvatarRequest(dict(request.headers))  # read once: each look-up goes through all of them
    path = avatars.try_cached(asked)
    if path is None:
        path = await run_in_threadpool(avatars.decide, asked)
    return Response(headers={"X-Accel-Redirect": path})
