"""What the fake answers to each request: the routes of the service that platforms' own tests need."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from nightlight_client.errors import Problem
from nightlight_client.responses import Response
from nightlight_client.testing import fake_decision_routes, fake_image_routes, fake_profile_routes
from nightlight_client.testing.fake_answers import json_answer
from nightlight_core.errors import Forbidden
from nightlight_core.live_files import fingerprint

if TYPE_CHECKING:
    from nightlight_client.requests import Request
    from nightlight_client.testing.fake_service import FakeNightlight

PROBLEM_TYPE = "application/problem+json"
SCOPES = (
    "decide", "explain", "export", "hold", "import", "ingest", "local", "policy", "relate", "report", "review",
    "search", "takedown", "trace",
)  # fmt: skip

Route = Callable[["FakeNightlight", "Request[Any]", Mapping[str, str], dict[str, str]], Response]


def answer_to(fake: FakeNightlight, request: Request[Any], headers: Mapping[str, str]) -> Response:
    """Return the answer to a request; raises NightlightError for a refusal."""
    for method, pattern, scope, route in _ROUTES:
        parts = pattern.fullmatch(request.path)
        if method == request.method and parts:
            _check_scope(headers, scope)
            return route(fake, request, headers, {name: unquote(part) for name, part in parts.groupdict().items()})
    detail = f"the fake has no {request.method} {request.path}: test this against a real service"
    raise Problem(HTTPStatus.NOT_IMPLEMENTED, "not_in_the_fake", detail)


def _check_scope(headers: Mapping[str, str], scope: str) -> None:
    """Raise Forbidden unless the token of a request carries a scope; an empty one is any token's."""
    if scope and scope not in _scopes(headers):
        raise Forbidden


def _scopes(headers: Mapping[str, str]) -> list[str]:
    """Return the scopes of a token of the fake's: ``fake.decide.relate``, or all of ``fake`` alone."""
    _, *scopes = headers.get("Authorization", "").removeprefix("Bearer ").split(".")
    return sorted(set(scopes) & set(SCOPES)) if scopes else list(SCOPES)


def _caller(fake: FakeNightlight, _r: Request[Any], headers: Mapping[str, str], _p: dict[str, str]) -> Response:
    keys = sorted(fingerprint(key_id, key) for key_id, key in fake.relation_keys.items())
    return json_answer(
        {
            "subject": "fake",
            "scopes": _scopes(headers),
            "now": fake.clock(),
            "relation_keys": keys,
            "leeway_s": fake.engine.relations.leeway_s,
        }
    )


_PROFILE, _IMAGE = "/v1/profiles/{profile_id}", "/v1/images/{image_id}"
_TABLE: tuple[tuple[str, str, str, Route], ...] = (
    ("PUT", _PROFILE, "ingest", fake_profile_routes.declare),
    ("DELETE", _PROFILE, "ingest", fake_profile_routes.delete),
    ("PUT", f"{_PROFILE}/deactivation", "ingest", fake_profile_routes.deactivate),
    ("DELETE", f"{_PROFILE}/deactivation", "ingest", fake_profile_routes.deactivate),
    ("PUT", f"{_PROFILE}/report-flag", "report", fake_profile_routes.report_flag),
    ("POST", f"{_PROFILE}/revocations", "relate", fake_profile_routes.revoke),
    ("POST", f"{_PROFILE}/image", "ingest", fake_image_routes.upload),
    ("GET", _IMAGE, "ingest", fake_image_routes.image_status),
    ("DELETE", _IMAGE, "ingest", fake_image_routes.image_status),
    ("POST", "/v1/blocks", "relate", fake_profile_routes.block),
    ("DELETE", "/v1/blocks/{profile_id}/{viewer_id}", "relate", fake_profile_routes.block),
    ("POST", "/v1/canaries", "relate", fake_profile_routes.canary),
    ("POST", "/v1/decisions", "decide", fake_decision_routes.decide),
    ("POST", "/v1/explain", "explain", fake_decision_routes.explain),
    ("GET", "/v1/caller", "", _caller),
    ("GET", "/v1/feed", "local", fake_decision_routes.feed),
    ("POST", "/v1/feed/profiles", "local", fake_decision_routes.views),
    ("GET", "/v1/feed/keys", "local", fake_decision_routes.delegated_keys),
    ("GET", "/v1/feed/policy/{version}", "local", fake_decision_routes.bundle),
    ("POST", "/v1/feed/report", "local", fake_decision_routes.report),
)
_ROUTES = tuple(
    (method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)), scope, route)
    for method, template, scope, route in _TABLE
)
