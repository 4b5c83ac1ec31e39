"""``/v1/policy``: what is in use, activation, candidates, counters; and the bundle for clients that decide locally."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from nightlight.delivery.access_tokens import TokenScope
from nightlight.flows.policies.rollout import Activation
from nightlight_core.errors import InvalidInput, NotFound
from nightlight_core.policy.bundle import MAX_BYTES
from service.answers import Body, json_response, services
from service.auth import ScopedRoute, caller, requires

router = APIRouter(prefix="/v1/policy", tags=["policy"], route_class=ScopedRoute)

Word = Annotated[str, Field(max_length=32)]
Whole = Annotated[int, Field(strict=True, ge=0, lt=2**53)]

# Base64 is a third longer than what it holds.
_MAX_TEXT = MAX_BYTES * 4 // 3 + 8


class BundleBody(Body):
    """A signed bundle, and safety's approval where it opens anything."""

    bundle: Annotated[str, Field(min_length=1, max_length=_MAX_TEXT, description="The bundle's bytes, base64.")]
    approval: Annotated[dict[Word, Annotated[str, Field(max_length=256)] | Whole], Field(max_length=16)] | None = Field(
        default=None, description="What `nightlight policy approve` wrote: for one version, until it expires."
    )

    def data(self) -> bytes:
        """Return the bundle's bytes; raise InvalidInput if they are not base64."""
        return unpacked(self.bundle, "/bundle")


class CandidateBody(BundleBody):
    """A candidate: watched without effect, or deciding for a share of profiles."""

    permille: Annotated[int, Field(ge=0, le=999)] = Field(
        default=0, description="Thousandths of profiles that it decides for; 0 only watches."
    )
    render: bool = Field(
        default=False, description="Render every picture by its recipes now, so that its activation leaves no gap."
    )


class EmergencyBody(Body):
    """What only closes, until a moment, and what is active now, under a version above it."""

    bundle: Annotated[str, Field(min_length=1, max_length=_MAX_TEXT, description="The emergency's bundle, base64.")]
    after: Annotated[str, Field(min_length=1, max_length=_MAX_TEXT, description="What comes back, base64.")]
    until: Annotated[int, Field(strict=True, ge=0, lt=2**33, description="Unix seconds; at most 14 days from now.")]

    def data(self) -> bytes:
        """Return the emergency's bytes; raise InvalidInput if they are not base64."""
        return unpacked(self.bundle, "/bundle")


class ActivatedAnswer(BaseModel):
    """What was activated, and what that changed."""

    version: int
    digest: str
    difference: dict[str, Any]


class ExplainPolicyBody(Body):
    """One combination; what is left out leaves a range of answers."""

    given: Annotated[dict[str, str], Field(max_length=16)]
    on: Annotated[str, Field(max_length=10)] | None = Field(
        default=None, description="A day, such as 2027-01-31; now if it is left out."
    )


@router.get("")
@requires(TokenScope.POLICY)
def status(request: Request) -> dict[str, Any]:
    """Say which policy is active, which is a candidate, and what the candidate would have changed so far."""
    return services(request).policy_reader.status()


@router.get("/bundle", response_class=Response)
@requires(TokenScope.DECIDE)
def bundle(request: Request) -> Response:
    """Fetch the active bundle; ask with `If-None-Match`, and 304 says that it is still the same."""
    version_and_data = services(request).policy_reader.bundle()
    if version_and_data is None:
        raise NotFound
    version, data = version_and_data
    headers = {"ETag": f'"{version}"', "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type="application/json", headers=headers)


@router.get("/bundle/{version}", response_class=Response)
@requires(TokenScope.POLICY)
def earlier_bundle(request: Request, version: int) -> Response:
    """Fetch a bundle that was activated or a candidate before."""
    data = services(request).policy_reader.bundle(version) if 0 < version < 2**31 else None
    if data is None:
        raise NotFound
    return json_response(data[1])


@router.delete("/bundle/{version}", status_code=204)
@requires(TokenScope.POLICY)
def withdraw_version(request: Request, version: Annotated[int, Path(ge=1, lt=2**31)]) -> Response:
    """Withdraw a version: it is never activated, its approval is spent, and it comes back with a new approval only."""
    services(request).rollout.withdraw_version(version, actor=caller(request).subject)
    return Response(status_code=204)


@router.post("/activate")
@requires(TokenScope.POLICY)
def activate(request: Request, body: BundleBody) -> ActivatedAnswer:
    """Activate a bundle for everybody: proved, compared with the active one, and approved where it opens."""
    return _activated(services(request).rollout.activate(body.data(), body.approval, actor=caller(request).subject))


@router.put("/candidate")
@requires(TokenScope.POLICY)
def candidate(request: Request, body: CandidateBody) -> ActivatedAnswer:
    """Watch a candidate beside the active policy, or let it decide for a share of profiles."""
    rollout, actor = services(request).rollout, caller(request).subject
    activation = rollout.candidate(body.data(), body.approval, permille=body.permille, render=body.render, actor=actor)
    return _activated(activation)


@router.delete("/candidate", status_code=204)
@requires(TokenScope.POLICY)
def withdraw(request: Request) -> Response:
    """Take the candidate away."""
    services(request).rollout.withdraw(actor=caller(request).subject)
    return Response(status_code=204)


@router.post("/emergency")
@requires(TokenScope.POLICY)
def emergency(request: Request, body: EmergencyBody) -> ActivatedAnswer:
    """Activate what only closes, with nobody's approval, until a moment; what is active now comes back by itself."""
    until = datetime.fromtimestamp(body.until, UTC)
    actor = caller(request).subject
    data, after = body.data(), unpacked(body.after, "/after")
    return _activated(services(request).emergency.activate(data, after, until=until, actor=actor))


@router.get("/progress")
@requires(TokenScope.POLICY)
def progress(request: Request) -> list[dict[str, Any]]:
    """Say how far pictures follow the policy: the last runs that render them again, the newest first."""
    return [run.to_json() for run in services(request).rerender_runs.progress()]


@router.get("/counters")
@requires(TokenScope.POLICY)
def counters(request: Request, days: Annotated[int, Query(ge=1, le=366)] = 7) -> dict[str, Any]:
    """Export how often each combination was decided: what `nightlight policy diff --weights` takes."""
    return services(request).policy_reader.traffic(days).to_json()


@router.post("/explain")
@requires(TokenScope.EXPLAIN)
def explain(request: Request, body: ExplainPolicyBody) -> dict[str, Any]:
    """Explain one combination under the active policy: each rule that applied, what it capped, which bound."""
    return services(request).policy_reader.explain(body.given, body.on).to_json()


def unpacked(text: str, pointer: str) -> bytes:
    """Return the bytes of base64; raise InvalidInput if it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:  # binascii.Error is one; so is what says that a character is not ASCII
        raise InvalidInput("it must be base64", pointer=pointer) from error


def _activated(done: Activation) -> ActivatedAnswer:
    return ActivatedAnswer(version=done.version, digest=done.digest, difference=done.difference.to_json())
