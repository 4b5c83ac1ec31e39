"""Requests about a profile: its declaration, who may see it, its end."""

from __future__ import annotations

from nightlight_client import paths
from nightlight_client.models import DeclaredProfile
from nightlight_client.requests.http_request import Request
from nightlight_client.responses import read_change, read_nothing, read_profile

_PROFILE = "/v1/profiles/{profile_id}"


def declare(
    profile_id: str,
    *,
    band: str,
    assurance: str,
    region: str = "unknown",
    choice: str = "connections",
    earlier_pictures: str = "keep_ceiling",
) -> Request[DeclaredProfile]:
    """Declare a profile, or assert its band again before it lapses."""
    body = {
        "band": band,
        "assurance": assurance,
        "region": region,
        "choice": choice,
        "earlier_pictures": earlier_pictures,
    }
    return Request(method="PUT", path=paths.path(_PROFILE, profile_id=profile_id), json=body, read=read_profile)


def delete_profile(profile_id: str) -> Request[None]:
    """Delete a profile and all its images."""
    return Request(method="DELETE", path=paths.path(_PROFILE, profile_id=profile_id), read=read_nothing)


def deactivate(profile_id: str) -> Request[str]:
    """Deactivate an account: all is kept, and shown to nobody, its owner included. Returns the consistency token."""
    path = paths.path(f"{_PROFILE}/deactivation", profile_id=profile_id)
    return Request(method="PUT", path=path, read=read_change)


def reactivate(profile_id: str) -> Request[str]:
    """Take a deactivation back: the picture is shown again, without a new upload. Returns the consistency token."""
    path = paths.path(f"{_PROFILE}/deactivation", profile_id=profile_id)
    return Request(method="DELETE", path=path, read=read_change)


def set_report_flag(profile_id: str, report_flag: str) -> Request[str]:
    """Hide a reported profile's picture (``reported``) or show it again (``clear``). Returns the consistency token."""
    path = paths.path(f"{_PROFILE}/report-flag", profile_id=profile_id)
    return Request(method="PUT", path=path, json={"report_flag": report_flag}, read=read_change)


def revoke(profile_id: str) -> Request[str]:
    """Revoke every URL that was given out of a profile's pictures. Returns the consistency token."""
    path = paths.path(f"{_PROFILE}/revocations", profile_id=profile_id)
    return Request(method="POST", path=path, read=read_change)


def plant(profile_id: str) -> Request[None]:
    """Make a canary of a profile: whoever asks for it from now on is noted as a scraper."""
    return Request(method="POST", path="/v1/canaries", json=paths.ids(profile_id=profile_id), read=read_nothing)


def block(profile_id: str, viewer_id: str) -> Request[str]:
    """Keep a viewer from seeing a profile, whatever else is said of the two. Returns the consistency token."""
    body = paths.ids(profile_id=profile_id, viewer_id=viewer_id)
    return Request(method="POST", path="/v1/blocks", json=body, read=read_change)


def unblock(profile_id: str, viewer_id: str) -> Request[str]:
    """Take a block away. Returns the consistency token."""
    path = paths.path("/v1/blocks/{profile_id}/{viewer_id}", profile_id=profile_id, viewer_id=viewer_id)
    return Request(method="DELETE", path=path, read=read_change)
