"""Routes of the fake about decisions, and what a process that decides by itself asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from nightlight_client.responses import Response
from nightlight_client.testing.fake_answers import NO_CONTENT, base64_text, json_answer
from nightlight_core.decisions.engine import DecisionRequest
from nightlight_core.decisions.quotas import Requester
from nightlight_core.decisions.relation_resolver import Claim
from nightlight_core.decisions.url_signing import DAY_S
from nightlight_core.errors import InvalidInput

if TYPE_CHECKING:
    from nightlight_client.requests import Request
    from nightlight_client.testing.fake_service import FakeNightlight

_CONSISTENCY = re.compile(r"[1-9][0-9]{0,17}")
_MOST_WORD, _MOST_PROOF = 32, 64


def decide(fake: FakeNightlight, request: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    """Decide."""
    question, token = _question(request), request.json.get("consistency")
    if token is not None and not _CONSISTENCY.fullmatch(token):
        raise InvalidInput("this is no consistency token", pointer="/consistency")
    decisions = fake.engine.decide(fake.policy, question, fake) or ()
    if token is not None and int(token) > len(fake.changed):  # a change that nobody knows of yet
        decisions = fake.engine.placeholders([claim.profile_id for claim in question.claims])
    names = ("profile_id", "url", "expires_at", "blurhash", "capture")
    return json_answer({"items": [{name: getattr(decision, name) for name in names} for decision in decisions]})


def explain(fake: FakeNightlight, request: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    """Explain decisions."""
    explanations = fake.engine.explain(fake.policy, _question(request), fake) or ()
    return json_answer(
        {"policy_digest": fake.bundle.digest, "items": [asdict(explained) for explained in explanations]}
    )


def _question(request: Request[Any]) -> DecisionRequest:
    body = request.json
    for number, item in enumerate(body["items"]):
        for name, most in (("relation", _MOST_WORD), ("at_most", _MOST_WORD), ("proof", _MOST_PROOF)):
            if not 1 <= len(item.get(name, "-")) <= most:
                raise InvalidInput(f"{name} has 1 to {most} characters", pointer=f"/items/{number}/{name}")
    claims = [
        Claim(item["profile_id"], item["relation"], item.get("proof"), item.get("at_most")) for item in body["items"]
    ]
    requester = Requester(body.get("viewer_id"), body.get("network"), "fake")
    return DecisionRequest(body["viewer"], body["context"], claims, requester, body.get("at_most"))


def feed(fake: FakeNightlight, request: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    """Return what has changed."""
    after = request.params.get("after")
    since = 0 if after is None else int(after)
    version = fake.bundle.version
    policies = {
        "revision": 1,
        "active": version,
        "candidate": None,
        "previous": None,
        "activated_at": None,
        "has_previous": False,
    }
    changed = list(dict.fromkeys(fake.changed[since:]))
    return json_answer({"cursor": str(len(fake.changed)), "reset": after is None, "changed": changed, **policies})


def views(fake: FakeNightlight, request: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    """Return views of profiles."""
    return json_answer({"revision": 1, "profiles": [fake.view_answer(name) for name in request.json["profile_ids"]]})


def delegated_keys(fake: FakeNightlight, _r: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    """Return the keys of three days."""
    builder, keys, today = fake.builder, fake.url_keys, int(fake.clock()) // DAY_S
    days = {day: keys.key(keys.signing_id, day) for day in range(today, today + 3)}
    return json_answer(
        {
            "base_url": fake.base_url,
            "signing_id": keys.signing_id,
            "days": {str(day): base64_text(key) for day, key in days.items() if key is not None},
            "variant_key": base64_text(builder.variant_key),
            "placeholder": builder.placeholder,
            "placeholder_cache_s": builder.placeholder_cache_s,
            "max_life_s": builder.max_life_s,
            "network_per_hour": 10**6,
            "tenant_per_hour": 10**7,
            "profiles_per_hour": fake.engine.limiter.profiles_per_hour,
        }
    )


def bundle(fake: FakeNightlight, _r: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    """Return the policy."""
    return Response(HTTPStatus.OK, fake.bundle_data, {"content-type": "application/json"})


def report(_f: FakeNightlight, _r: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    """Take in what was decided elsewhere."""
    return NO_CONTENT
