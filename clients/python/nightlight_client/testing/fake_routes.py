"""What the fake answers to each request: the routes of the service that platforms' own tests need."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from nightlight_client.errors import Problem
from nightlight_client.responses import Response
from nightlight_client.testing.fake_profiles import (
    ASSERTION_S,
    DEACTIVATED,
    DELETED,
    LIVE,
    FakeImage,
    FakeProfile,
    colour_of,
)
from nightlight_core.decisions.engine import DecisionRequest
from nightlight_core.decisions.inputs import UNASSURED
from nightlight_core.decisions.quotas import Requester
from nightlight_core.decisions.relation_resolver import Claim
from nightlight_core.decisions.url_signing import DAY_S
from nightlight_core.errors import (
    IdempotencyMismatch,
    ImageRefused,
    InvalidInput,
    NotFound,
    ProfileDeactivated,
    ProfileNotDeclared,
    UnsupportedFormat,
)
from nightlight_core.live_files import fingerprint

if TYPE_CHECKING:
    from nightlight_client.requests import Request
    from nightlight_client.testing.fake_service import FakeNightlight

PROBLEM_TYPE = "application/problem+json"
_SCOPES = ("decide", "explain", "export", "ingest", "local", "policy", "relate", "report")
# How files of the kinds that are accepted begin; AVIF and HEIC say theirs after four bytes.
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF")
_DECLARED = ("profile_id", "band", "assurance", "region", "choice", "report_flag")
_BOX = re.compile(rb"....ftyp(avif|avis|heic|heix|mif1|msf1)", re.DOTALL)

Route = Callable[["FakeNightlight", "Request[Any]", Mapping[str, str], dict[str, str]], Response]


def answer_to(fake: FakeNightlight, request: Request[Any], headers: Mapping[str, str]) -> Response:
    """Return the answer to a request; raises NightlightError for a refusal."""
    for method, pattern, route in _ROUTES:
        parts = pattern.fullmatch(request.path)
        if method == request.method and parts:
            return route(fake, request, headers, {name: unquote(part) for name, part in parts.groupdict().items()})
    detail = f"the fake has no {request.method} {request.path}: test this against a real service"
    raise Problem(HTTPStatus.NOT_IMPLEMENTED, "not_in_the_fake", detail)


def _declare(fake: FakeNightlight, request: Request[Any], _: Mapping[str, str], parts: dict[str, str]) -> Response:
    body, profile_id, attributes = dict(request.json), parts["profile_id"], fake.table.attributes
    follow_band = body.pop("earlier_pictures", "keep_ceiling") == "follow_band"
    for name, word in body.items():
        words = attributes["subject_age" if name == "band" else name]
        if word not in words:
            raise InvalidInput(f"{name} must be one of {', '.join(words)}", pointer=f"/{name}")
    before = fake.profiles.get(profile_id)
    now = int(fake.clock())
    if before is None:
        fake.profiles[profile_id] = profile = FakeProfile(profile_id, **body, asserted_at=now)
    else:
        profile, was = before, (before.band, before.region, before.choice)
        own = [image for image in fake.images.values() if image.profile_id == profile_id]
        profile.hold_to(body["band"], profile.band, attributes["subject_age"], iter(own))
        profile.band, profile.assurance = body["band"], body["assurance"]
        profile.region, profile.choice, profile.asserted_at = body["region"], body["choice"], now
        if was != (profile.band, profile.region, profile.choice):
            _rename(fake, profile)
    if follow_band and profile.assurance != UNASSURED:
        for image in fake.images.values():
            if image.profile_id == profile_id:
                image.released_band = profile.band
    answer = {
        name: getattr(profile, name) for name in ("profile_id", "band", "assurance", "region", "choice", "report_flag")
    }
    lapses_at = _moment(profile.asserted_at + ASSERTION_S)
    status = HTTPStatus.OK if before else HTTPStatus.CREATED
    answer |= {"lapses_at": lapses_at, "deactivated_at": None if profile.state == LIVE else _moment(now)}
    return _json(answer, status, fake.change(profile_id))


def _delete(fake: FakeNightlight, _r: Request[Any], _h: Mapping[str, str], parts: dict[str, str]) -> Response:
    profile_id = parts["profile_id"]
    fake.profiles.pop(profile_id, None)
    fake.blocked.pop(profile_id, None)
    fake.proofs_revoked(profile_id)
    for image in fake.images.values():
        if image.profile_id == profile_id:
            image.state, image.paths = DELETED, {}
    fake.change(profile_id)
    return Response(HTTPStatus.NO_CONTENT, b"", {})


def _deactivate(fake: FakeNightlight, request: Request[Any], _: Mapping[str, str], parts: dict[str, str]) -> Response:
    profile = _profile(fake, parts["profile_id"])
    profile.state = DEACTIVATED if request.method == "PUT" else LIVE
    if profile.state == DEACTIVATED:
        _rename(fake, profile)
    return _changed(fake, profile.profile_id)


def _report_flag(fake: FakeNightlight, request: Request[Any], _: Mapping[str, str], parts: dict[str, str]) -> Response:
    profile, word = _profile(fake, parts["profile_id"]), request.json["report_flag"]
    words = fake.table.attributes["report_flag"]
    if word not in words:
        raise InvalidInput(f"report_flag must be one of {', '.join(words)}", pointer="/report_flag")
    profile.report_flag = word
    if word != "clear":
        _rename(fake, profile)
    return _changed(fake, profile.profile_id)


def _revoke(fake: FakeNightlight, _r: Request[Any], _h: Mapping[str, str], parts: dict[str, str]) -> Response:
    profile = _profile(fake, parts["profile_id"])
    _rename(fake, profile)
    fake.proofs_revoked(profile.profile_id)
    return _changed(fake, profile.profile_id)


def _block(fake: FakeNightlight, request: Request[Any], _: Mapping[str, str], parts: dict[str, str]) -> Response:
    ids = parts or request.json
    profile_id, viewer_id = ids["profile_id"], ids["viewer_id"]
    if request.method == "POST" and profile_id == viewer_id:
        raise InvalidInput("nobody blocks themselves", pointer="/viewer_id")
    blocked = fake.blocked.setdefault(profile_id, set())
    if (viewer_id in blocked) == (request.method == "DELETE"):
        blocked.symmetric_difference_update({viewer_id})
        fake.proofs_revoked(profile_id, viewer_id)
        if request.method == "POST" and profile_id in fake.profiles:
            _rename(fake, fake.profiles[profile_id])
    return _changed(fake, profile_id)


def _canary(fake: FakeNightlight, request: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    _profile(fake, request.json["profile_id"]).canary = True
    fake.change(request.json["profile_id"])
    return Response(HTTPStatus.NO_CONTENT, b"", {})


def _upload(fake: FakeNightlight, request: Request[Any], headers: Mapping[str, str], parts: dict[str, str]) -> Response:
    profile = fake.profiles.get(parts["profile_id"])
    if profile is None:
        raise ProfileNotDeclared
    if profile.state != LIVE:
        raise ProfileDeactivated
    given = request.form.content if request.form is not None else b""
    picture = given if isinstance(given, bytes) else given.read()
    if not picture:
        raise ImageRefused("the file is empty")
    if not picture.startswith(_MAGIC) and not _BOX.match(picture):
        raise UnsupportedFormat
    key = profile.profile_id, headers.get("Idempotency-Key", "")
    earlier = fake.uploads.get(key) if key[1] else None
    if earlier is not None:
        if earlier[0] != picture:
            raise IdempotencyMismatch
        return _image_answer(fake.images[earlier[1]], HTTPStatus.ACCEPTED)
    image = FakeImage(secrets.token_hex(16), profile.profile_id, colour_of(picture), profile.asserted_band)
    fake.images[image.image_id] = image
    fake.uploads[key] = picture, image.image_id
    answer = _image_answer(image, HTTPStatus.ACCEPTED)
    if fake.settle:
        fake.finish(image.image_id)
    return answer


def _image(fake: FakeNightlight, request: Request[Any], _: Mapping[str, str], parts: dict[str, str]) -> Response:
    image = fake.images.get(parts["image_id"])
    if image is None:
        raise NotFound
    if request.method == "GET":
        return _image_answer(image, HTTPStatus.OK)
    image.state, image.paths = DELETED, {}
    profile = fake.profiles.get(image.profile_id)
    if profile is not None and profile.image is image:
        profile.image = None
    fake.change(image.profile_id)
    return Response(HTTPStatus.NO_CONTENT, b"", {})


def _decide(fake: FakeNightlight, request: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    decisions = fake.engine.decide(fake.policy, _question(request), fake) or ()
    names = ("profile_id", "url", "expires_at", "blurhash", "capture")
    return _json({"items": [{name: getattr(decision, name) for name in names} for decision in decisions]})


def _explain(fake: FakeNightlight, request: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    explanations = fake.engine.explain(fake.policy, _question(request), fake) or ()
    return _json({"policy_digest": fake.bundle.digest, "items": [asdict(explained) for explained in explanations]})


def _caller(fake: FakeNightlight, _r: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    keys = sorted(fingerprint(key_id, key) for key_id, key in fake.relation_keys.items())
    return _json({"subject": "fake", "scopes": list(_SCOPES), "now": fake.clock(), "relation_keys": keys})


def _feed(fake: FakeNightlight, request: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
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
    return _json({"cursor": str(len(fake.changed)), "reset": after is None, "changed": changed, **policies})


def _views(fake: FakeNightlight, request: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    return _json({"revision": 1, "profiles": [fake.view_answer(name) for name in request.json["profile_ids"]]})


def _keys(fake: FakeNightlight, _r: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    builder, keys, today = fake.builder, fake.url_keys, int(fake.clock()) // DAY_S
    days = {day: keys.key(keys.signing_id, day) for day in range(today, today + 3)}
    return _json(
        {
            "base_url": fake.base_url,
            "signing_id": keys.signing_id,
            "days": {str(day): _base64(key) for day, key in days.items() if key is not None},
            "variant_key": _base64(builder.variant_key),
            "placeholder": builder.placeholder,
            "placeholder_cache_s": builder.placeholder_cache_s,
            "max_life_s": builder.max_life_s,
            "network_per_hour": 10**6,
            "tenant_per_hour": 10**7,
            "profiles_per_hour": fake.engine.limiter.profiles_per_hour,
        }
    )


def _bundle(fake: FakeNightlight, _r: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    return Response(HTTPStatus.OK, fake.bundle_data, {"content-type": "application/json"})


def _reported(_f: FakeNightlight, _r: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    return Response(HTTPStatus.NO_CONTENT, b"", {})


def _question(request: Request[Any]) -> DecisionRequest:
    body = request.json
    claims = [
        Claim(item["profile_id"], item["relation"], item.get("proof"), item.get("at_most")) for item in body["items"]
    ]
    requester = Requester(body.get("viewer_id"), body.get("network"), "fake")
    return DecisionRequest(body["viewer"], body["context"], claims, requester, body.get("at_most"))


def _profile(fake: FakeNightlight, profile_id: str) -> FakeProfile:
    profile = fake.profiles.get(profile_id)
    if profile is None:
        raise NotFound
    return profile


def _rename(fake: FakeNightlight, profile: FakeProfile) -> None:
    """Give the profile's picture other names: no URL that was given out counts any more."""
    if profile.image is not None:
        profile.image.render(fake.table)


def _changed(fake: FakeNightlight, profile_id: str) -> Response:
    return Response(HTTPStatus.NO_CONTENT, b"", {"nightlight-consistency": fake.change(profile_id)})


def _image_answer(image: FakeImage, status: int) -> Response:
    answer = {name: getattr(image, name) for name in ("image_id", "profile_id", "state", "reason")}
    return _json({**answer, "reason_detail": None}, status)


def _json(body: object, status: int = HTTPStatus.OK, consistency: str | None = None) -> Response:
    more = {} if consistency is None else {"nightlight-consistency": consistency}
    return Response(status, json.dumps(body).encode(), {"content-type": "application/json", **more})


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _base64(key: bytes) -> str:
    return base64.b64encode(key).decode()


_PROFILE, _IMAGE = "/v1/profiles/{profile_id}", "/v1/images/{image_id}"
_TABLE: tuple[tuple[str, str, Route], ...] = (
    ("PUT", _PROFILE, _declare),
    ("DELETE", _PROFILE, _delete),
    ("PUT", f"{_PROFILE}/deactivation", _deactivate),
    ("DELETE", f"{_PROFILE}/deactivation", _deactivate),
    ("PUT", f"{_PROFILE}/report-flag", _report_flag),
    ("POST", f"{_PROFILE}/revocations", _revoke),
    ("POST", f"{_PROFILE}/image", _upload),
    ("GET", _IMAGE, _image),
    ("DELETE", _IMAGE, _image),
    ("POST", "/v1/blocks", _block),
    ("DELETE", "/v1/blocks/{profile_id}/{viewer_id}", _block),
    ("POST", "/v1/canaries", _canary),
    ("POST", "/v1/decisions", _decide),
    ("POST", "/v1/explain", _explain),
    ("GET", "/v1/caller", _caller),
    ("GET", "/v1/feed", _feed),
    ("POST", "/v1/feed/profiles", _views),
    ("GET", "/v1/feed/keys", _keys),
    ("GET", "/v1/feed/policy/{version}", _bundle),
    ("POST", "/v1/feed/report", _reported),
)
_ROUTES = tuple(
    (method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)), route) for method, template, route in _TABLE
)
