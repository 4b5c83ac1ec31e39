"""Requests about policies: for operators (scope ``policy``), and the active bundle for whoever decides by it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from nightlight_client import paths
from nightlight_client.errors import NotNightlight, Problem
from nightlight_client.requests.http_request import Request
from nightlight_client.responses import Response, read_bundle, read_json, read_nothing

Approval = Mapping[str, str | int]
_VERSION = "/v1/policy/bundle/{version}"


def policy_status() -> Request[dict[str, Any]]:
    """Return the active policy and the candidate; for operators, like what follows (scope ``policy``)."""
    return Request(method="GET", path="/v1/policy", read=read_json)


def policy_bundle(known: str | None = None) -> Request[tuple[str, bytes] | None]:
    """Return (ETag, bytes) of the active bundle; None if it is still ``known``, or no bundle is active."""
    headers = {"If-None-Match": known} if known else {}
    return Request(method="GET", path="/v1/policy/bundle", headers=headers, read=_read_active)


def policy_version(version: int) -> Request[bytes]:
    """Return the bytes of a bundle that was activated before."""
    return Request(method="GET", path=paths.path(_VERSION, version=version), read=read_bundle)


def activate(bundle: bytes, approval: Approval | None = None) -> Request[dict[str, Any]]:
    """Activate a policy bundle for everybody; return its version, digest and difference."""
    return Request(method="POST", path="/v1/policy/activate", json=_body(bundle, approval), read=read_json)


def candidate(
    bundle: bytes, approval: Approval | None = None, *, permille: int = 0, render: bool = False
) -> Request[dict[str, Any]]:
    """Watch a candidate without effect (``permille`` 0), or let it decide for that share of profiles.

    ``render`` has every picture rendered by its recipes now, so that its activation leaves no gap.
    """
    body = {**_body(bundle, approval), "permille": permille, "render": render}
    return Request(method="PUT", path="/v1/policy/candidate", json=body, read=read_json)


def withdraw_candidate() -> Request[None]:
    """Take the candidate away."""
    return Request(method="DELETE", path="/v1/policy/candidate", read=read_nothing)


def withdraw_version(version: int) -> Request[None]:
    """Keep a version from being activated again without a new approval."""
    return Request(method="DELETE", path=paths.path(_VERSION, version=version), read=read_nothing)


def emergency(bundle: bytes, after: bytes, *, until: int) -> Request[dict[str, Any]]:
    """Activate a bundle that only closes until a moment (Unix seconds); ``after``, what is active now, comes back."""
    body = {"bundle": base64.b64encode(bundle).decode(), "after": base64.b64encode(after).decode(), "until": until}
    return Request(method="POST", path="/v1/policy/emergency", json=body, read=read_json)


def policy_progress() -> Request[list[dict[str, Any]]]:
    """Return how far pictures follow the policy: the last runs that render them again, the newest first."""
    return Request(method="GET", path="/v1/policy/progress", read=read_json)


def policy_counters(days: int = 7) -> Request[dict[str, Any]]:
    """Return how often each combination was decided."""
    return Request(method="GET", path="/v1/policy/counters", params={"days": days}, read=read_json)


def explain_policy(given: Mapping[str, str], on: str | None = None) -> Request[dict[str, Any]]:
    """Return why one combination is answered as it is under the active policy, now or on a day (``2027-01-31``)."""
    body = {"given": dict(given)} if on is None else {"given": dict(given), "on": on}
    return Request(method="POST", path="/v1/policy/explain", json=body, read=read_json)


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
