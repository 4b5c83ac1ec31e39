"""Requests about policies: for operators (scope ``policy``), and the active bundle for whoever decides by it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from nightlight_client import paths
from nightlight_client.models import NotNightlight, Problem
from nightlight_client.requests.http_request import Request
from nightlight_client.responses import Response, read_bundle, read_json, read_nothing

Approval = Mapping[str, str | int]
_VERSION = "/v1/policy/bundle/{version}"


def status() -> Request[dict[str, Any]]:
    """Build the question of which policy is active and which is a candidate."""
    return Request(method="GET", path="/v1/policy", read=read_json)


def active_bundle(known: str | None) -> Request[tuple[str, bytes] | None]:
    """Build the question for the active bundle, unless its ETag is still ``known``."""
    headers = {"If-None-Match": known} if known else {}
    return Request(method="GET", path="/v1/policy/bundle", headers=headers, read=_read_active)


def bundle(version: int) -> Request[bytes]:
    """Build the question for a bundle that was activated before."""
    return Request(method="GET", path=paths.path(_VERSION, version=version), read=read_bundle)


def activate(bundle: bytes, approval: Approval | None) -> Request[dict[str, Any]]:
    """Build the activation of a bundle for everybody."""
    return Request(method="POST", path="/v1/policy/activate", json=_body(bundle, approval), read=read_json)


def candidate(bundle: bytes, approval: Approval | None, *, permille: int) -> Request[dict[str, Any]]:
    """Build what makes a bundle the candidate, for ``permille`` of the profiles."""
    body = {**_body(bundle, approval), "permille": permille}
    return Request(method="PUT", path="/v1/policy/candidate", json=body, read=read_json)


def withdraw_candidate() -> Request[None]:
    """Build what takes the candidate away."""
    return Request(method="DELETE", path="/v1/policy/candidate", read=read_nothing)


def withdraw_version(version: int) -> Request[None]:
    """Build what keeps a version from being activated again."""
    return Request(method="DELETE", path=paths.path(_VERSION, version=version), read=read_nothing)


def counters(days: int) -> Request[dict[str, Any]]:
    """Build the question of how often each combination was decided in the last ``days`` days."""
    return Request(method="GET", path="/v1/policy/counters", params={"days": days}, read=read_json)


def explain(given: Mapping[str, str]) -> Request[dict[str, Any]]:
    """Build the question of why one combination is answered as it is."""
    return Request(method="POST", path="/v1/policy/explain", json={"given": dict(given)}, read=read_json)


def _body(bundle: bytes, approval: Approval | None) -> dict[str, Any]:
    return {"bundle": base64.b64encode(bundle).decode(), "approval": None if approval is None else dict(approval)}


def _read_active(response: Response) -> tuple[str, bytes] | None:
    if response.status == HTTPStatus.NOT_MODIFIED:
        return None
    try:
        bundle = read_bundle(response)
    except NotNightlight:
        raise
    except Problem as problem:  # no bundle is active
        if problem.status == HTTPStatus.NOT_FOUND:
            return None
        raise
    return response.headers["etag"], bundle
