"""Requests about a person's own data."""

from __future__ import annotations

from nightlight_client import paths
from nightlight_client.errors import NotNightlight
from nightlight_client.models import Export
from nightlight_client.requests.http_request import Request
from nightlight_client.responses import Response, raise_for, read_nothing, reader

_read_export = reader(Export)
# An archive holds the original picture, renditions and a document.
_MOST_BYTES = 1_100_000_000
_EXPORT = "/v1/profiles/{profile_id}/export"


def export_profile(profile_id: str, *, seal_to: str | None = None) -> Request[Export]:
    """Ask for a person's own data; ``seal_to`` is an age recipient that the archive is encrypted to."""
    path = paths.path(_EXPORT, profile_id=profile_id)
    return Request(method="POST", path=path, json={"seal_to": seal_to}, read=_read_export)


def export_status(profile_id: str) -> Request[Export]:
    """Return how the export of a profile gets on."""
    return Request(method="GET", path=paths.path(_EXPORT, profile_id=profile_id), read=_read_export)


def export_file(profile_id: str) -> Request[bytes]:
    """Return the archive of an export that is ready: a ZIP file, or one that is sealed."""
    path = paths.path(f"{_EXPORT}/file", profile_id=profile_id)
    return Request(method="GET", path=path, read=_read_file, most_bytes=_MOST_BYTES)


def delete_export(profile_id: str) -> Request[None]:
    """Remove the export of a profile before its day is over."""
    return Request(method="DELETE", path=paths.path(_EXPORT, profile_id=profile_id), read=read_nothing)


def _read_file(response: Response) -> bytes:
    raise_for(response)
    if "repr-digest" not in response.headers:
        raise NotNightlight(response.status, f"{response.description}, no export")
    return response.content
