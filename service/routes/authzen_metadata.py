"""``/.well-known/authzen-configuration``: where AuthZEN's endpoints are.

Source: OpenID Authorization API 1.0, "Policy Decision Point Metadata".
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from nightlight.settings.process import PUBLIC_URL
from nightlight_core.errors import NotFound
from service.answers import services
from service.auth import ScopedRoute, public

router = APIRouter(tags=["authzen"], route_class=ScopedRoute)

_WELL_KNOWN = "/.well-known/authzen-configuration"
_MAX_AGE_S = 3600


class AuthZenMetadata(BaseModel):
    """The service as a policy decision point. It has no capabilities that are registered, and signs no metadata."""

    policy_decision_point: str
    access_evaluation_endpoint: str
    access_evaluations_endpoint: str
    search_subject_endpoint: str
    search_resource_endpoint: str
    search_action_endpoint: str


@router.get(_WELL_KNOWN)
@public
def authzen_configuration(request: Request, response: Response) -> AuthZenMetadata:
    """Say where the endpoints are; nothing where the service's public URL has a path, or is not `https`."""
    return _metadata(request, response, "")


@router.get(f"{_WELL_KNOWN}/{{path:path}}", include_in_schema=False)
@public
def authzen_configuration_below(request: Request, response: Response, path: str) -> AuthZenMetadata:
    """Say it where the service's public URL has this path: it stands behind the well-known one."""
    return _metadata(request, response, f"/{path}")


def _metadata(request: Request, response: Response, path: str) -> AuthZenMetadata:
    settings = services(request).settings
    base = settings.service.public_url or settings.delivery.base_url.rstrip("/")
    # Whoever reads it compares the identifier with the URL that it was read from: one that cannot be so is not said.
    if not re.fullmatch(PUBLIC_URL, base) or urlsplit(base).path != path:
        raise NotFound("no policy decision point has this URL")
    response.headers["Cache-Control"] = f"public, max-age={_MAX_AGE_S}"
    api = f"{base}/access/v1"
    return AuthZenMetadata(
        policy_decision_point=base,
        access_evaluation_endpoint=f"{api}/evaluation",
        access_evaluations_endpoint=f"{api}/evaluations",
        search_subject_endpoint=f"{api}/search/subject",
        search_resource_endpoint=f"{api}/search/resource",
        search_action_endpoint=f"{api}/search/action",
    )
