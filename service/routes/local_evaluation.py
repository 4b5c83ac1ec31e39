"""``/v1/feed``: what a platform's own process needs to decide locally, and what it reports in return."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from nightlight.catalogue.feed import CURSOR_PATTERN, PROFILE
from nightlight.delivery.access_tokens import TokenScope
from nightlight.flows.decisions.local_evaluation import MOST_CELLS, MOST_TIMES
from nightlight_core.decisions.abuse_signals import AbuseSignal
from nightlight_core.decisions.engine import MAX_ITEMS
from nightlight_core.decisions.profile_views import ProfileView
from nightlight_core.policy.tier import CLAIMS, TierRecipe
from service.answers import Body, answer, json_response, services
from service.auth import ScopedRoute, requires
from service.profile_ids import AskedId, ProfileIdText

router = APIRouter(prefix="/v1/feed", tags=["feed"], route_class=ScopedRoute)


class FeedAnswer(BaseModel):
    """What has changed since the last poll."""

    cursor: str = Field(description="Where the next poll begins.")
    reset: bool = Field(description="Forget every profile: too much has changed, or too long ago.")
    changed: list[str] = Field(description="Profiles to forget.")
    revision: int = Field(description="Another number means that another policy is in use.")
    active: int | None = Field(description="Version of the active bundle; none while the folder's pack is active.")
    candidate: int | None = Field(description="Version of the bundle that decides for a share of profiles.")
    previous: int | None = Field(description="Version of the bundle that decided before the active one.")
    activated_at: float | None = Field(description="When the active bundle became so, in Unix seconds.")
    has_previous: bool = Field(description="Whether another policy decided before, be it a bundle or not.")


class ViewsBody(Body):
    """Profiles to return views of."""

    profile_ids: list[AskedId] = Field(max_length=MAX_ITEMS)


class AvailableRenditionAnswer(BaseModel):
    """One rendition."""

    path: str
    edge: int = Field(description="Its longest side in pixels.")
    recipe: dict[str, str | int | None] = Field(description="What its tier asked for when it was rendered.")


class ViewAnswer(BaseModel):
    """One profile, as decisions see it."""

    profile_id: str
    known: bool
    band: str
    band_expires_at: int = Field(description="Unix seconds; after it the band is unknown, and nobody vouches for it.")
    assurance: str = Field(description="How the platform came to the band.")
    region: str
    choice: str
    report_flag: str
    effective_ceiling: str | None = Field(
        description="The band whose ceiling its picture keeps: the one that its owner released it to, or else its "
        "ceiling band."
    )
    image_id: str | None
    blurhash: str | None
    canary: bool
    candidate: bool = Field(description="Whether the candidate decides for it.")
    blocked: list[str] | None = Field(description="Viewers who are to see nothing of it; none where they are too many.")
    revoked: dict[str, int] = Field(
        description="Since when relation proofs count, in Unix seconds, by viewer; the empty id stands for all viewers."
    )
    available: dict[str, list[AvailableRenditionAnswer]] = Field(description="By tier, in the order of variants.")


class ViewsAnswer(BaseModel):
    """One view for each profile, in order; ``revision`` is the policy's that ``candidate`` was decided by."""

    revision: int
    profiles: list[ViewAnswer]


class KeysAnswer(BaseModel):
    """What URLs are made of, and the limits that decisions keep."""

    base_url: str
    signing_id: str
    days: dict[str, str] = Field(description="Base64 keys by day: whole days since 1970, in UTC.")
    variant_key: str = Field(description="Base64 key that chooses variants.")
    placeholder: str = Field(description="The placeholder's path.")
    placeholder_cache_s: int
    max_life_s: int = Field(description="Longest life of a URL, in seconds, whatever the policy says.")
    network_per_hour: int
    tenant_per_hour: int
    profiles_per_hour: int


class AbuseSignalBody(Body):
    """Somebody who looks like a scraper."""

    kind: Literal["viewer", "network"]
    who: ProfileIdText
    reason: Literal["over-quota", "many-profiles", "canary"]


class ReportBody(Body):
    """What was decided elsewhere."""

    counts: dict[Annotated[str, Field(max_length=300)], Annotated[int, Field(ge=1, le=MOST_TIMES)]] = Field(
        default={}, max_length=MOST_CELLS, description="How often each combination of words was decided."
    )
    abuse_signals: list[AbuseSignalBody] = Field(default=[], max_length=1000)


@router.get("", response_model=FeedAnswer)
@requires(TokenScope.LOCAL)
def feed(request: Request, after: Annotated[str | None, Query(pattern=CURSOR_PATTERN)] = None) -> Response:
    """Say what has changed since a cursor; without one, where to begin."""
    policy, page = services(request).local_evaluation.changes(after)
    feed_answer = FeedAnswer(
        cursor=page.cursor,
        reset=page.reset,
        changed=[key for kind, key in page.changed if kind == PROFILE],
        revision=policy.revision,
        active=policy.version,
        candidate=policy.candidate_version if policy.permille else None,
        previous=policy.previous_version,
        activated_at=policy.activated_at,
        has_previous=policy.previous is not None and policy.previous.table.digest != policy.table.digest,
    )
    return json_response(orjson.dumps(feed_answer.model_dump()))


@router.post("/profiles", response_model=ViewsAnswer)
@requires(TokenScope.LOCAL)
def profiles(request: Request, body: ViewsBody) -> Response:
    """Return what decisions need of up to 500 profiles. For the platform's backends: it tells bands."""
    policy, views = services(request).local_evaluation.views(body.profile_ids)
    return json_response(orjson.dumps({"revision": policy.revision, "profiles": [_view(view) for view in views]}))


@router.get("/keys", response_model=KeysAnswer)
@requires(TokenScope.LOCAL)
def keys(request: Request) -> Response:
    """Delegate the keys that URLs of today and tomorrow are signed with; afterwards they are worth nothing."""
    delegated = services(request).local_evaluation.keys()
    keys_answer = answer(
        KeysAnswer,
        delegated,
        days={str(day): base64.b64encode(key).decode() for day, key in delegated.days.items()},
        variant_key=base64.b64encode(delegated.variant_key).decode(),
        network_per_hour=delegated.limits.network_per_hour,
        tenant_per_hour=delegated.limits.tenant_per_hour,
    )
    return json_response(orjson.dumps(keys_answer.model_dump()))


@router.get("/policy/{version}", response_class=Response)
@requires(TokenScope.LOCAL)
def bundle(request: Request, version: int) -> Response:
    """Fetch a signed bundle that is in use: the active one, or the candidate."""
    return json_response(services(request).local_evaluation.bundle(version))


@router.post("/report", status_code=204)
@requires(TokenScope.LOCAL)
def report(request: Request, body: ReportBody) -> Response:
    """Take in how often each combination was decided elsewhere, and who looked like a scraper."""
    signals = [AbuseSignal(signal.kind, signal.who, signal.reason) for signal in body.abuse_signals]
    services(request).local_evaluation.report(body.counts, signals)
    return Response(status_code=204)


def _view(view: ProfileView) -> dict[str, object]:
    fields = {name: getattr(view, name) for name in ViewAnswer.model_fields}
    fields["blocked"] = sorted(view.blocked) if view.blocked is not None else None
    fields["available"] = {
        tier: [{"path": shown.path, "edge": shown.edge, "recipe": _recipe(shown.recipe)} for shown in variants]
        for tier, variants in view.available.items()
    }
    return fields


@lru_cache(maxsize=256)
def _recipe(recipe: TierRecipe) -> dict[str, str | int | None]:
    """Return the fields of a recipe without claims."""
    return {name: value for name, value in recipe.written.items() if name not in CLAIMS}
