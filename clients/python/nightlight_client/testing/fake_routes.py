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
    CorruptImage,
    Forbidden,
    IdempotencyMismatch,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    ProfileDeactivated,
    ProfileNotDeclared,
    UnsupportedFormat,
)
from nightlight_core.live_files import fingerprint

if TYPE_CHECKING:
    from nightlight_client.requests import Request
    from nightlight_client.testing.fake_service import FakeNightlight

PROBLEM_TYPE = "application/problem+json"
SCOPES = (
    "decide", "explain", "export", "hold", "import", "ingest", "local", "policy", "relate", "report", "review",
    "search", "takedown", "trace",
)  # fmt: skip
# How files of the kinds that are accepted begin; AVIF and HEIC say theirs after four bytes.
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8")
_MOST_BYTES = 64_000_000
_CROP = re.compile(r"\d{1,5},\d{1,5},\d{1,5},\d{1,5}")
_CONSISTENCY = re.compile(r"[1-9][0-9]{0,17}")
_MOST_WORD, _MOST_PROOF = 32, 64
_DECLARED = ("profile_id", "band", "assurance", "region", "choice", "report_flag")
_BOX = re.compile(rb"....ftyp(avif|avis|heic|heix|mif1|msf1)", re.DOTALL)

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
        if profile_id in fake.erased:  # what was proved is of another
            fake.proofs_revoked(profile_id)
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
    answer |= {
        "lapses_at": lapses_at,
        "deactivated_at": None if profile.deactivated_at is None else _moment(profile.deactivated_at),
    }
    return _json(answer, status, fake.change(profile_id))


def _delete(fake: FakeNightlight, _r: Request[Any], _h: Mapping[str, str], parts: dict[str, str]) -> Response:
    profile_id = _profile(fake, parts["profile_id"]).profile_id
    del fake.profiles[profile_id]
    fake.erased.add(profile_id)
    fake.blocked.pop(profile_id, None)
    fake.proofs_revoked(profile_id)
    for image in fake.images.values():
        if image.profile_id == profile_id:
            image.state, image.paths = DELETED, {}
    fake.change(profile_id)
    return Response(HTTPStatus.NO_CONTENT, b"", {})


def _deactivate(fake: FakeNightlight, request: Request[Any], _: Mapping[str, str], parts: dict[str, str]) -> Response:
    profile = _profile(fake, parts["profile_id"])
    if request.method == "DELETE":
        profile.state, profile.deactivated_at = LIVE, None
    elif profile.state == LIVE:
        profile.state, profile.deactivated_at = DEACTIVATED, int(fake.clock())
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
    picture, crop = _form(request)
    key = profile.profile_id, headers.get("Idempotency-Key", "")
    earlier = fake.uploads.get(key) if key[1] else None
    if earlier is not None and fake.images[earlier[1]].state != DELETED:
        if earlier[0] != (picture, crop):
            raise IdempotencyMismatch
        return _image_answer(fake.images[earlier[1]], HTTPStatus.ACCEPTED)
    image = FakeImage(secrets.token_hex(16), profile.profile_id, colour_of(picture), profile.asserted_band)
    fake.images[image.image_id] = image
    fake.uploads[key] = (picture, crop), image.image_id
    answer = _image_answer(image, HTTPStatus.ACCEPTED)
    if fake.settle:
        fake.finish(image.image_id)
    return answer


def _form(request: Request[Any]) -> tuple[bytes, str]:
    """Return the picture and the crop of an upload; raises as the service refuses them."""
    form = request.form
    given: Any = b"" if form is None else form.content
    picture = given.read() if hasattr(given, "read") else bytes(given)
    crop = "" if form is None else form.fields.get("crop", "")
    if len(picture) > _MOST_BYTES:
        raise PayloadTooLarge(f"an upload has at most {_MOST_BYTES:,} bytes")
    if crop and not _CROP.fullmatch(crop):
        raise InvalidInput("crop is left,top,width,height in pixels", pointer="/crop")
    if not picture:
        raise CorruptImage("the file is empty")
    riff = picture.startswith(b"RIFF") and picture[8:12] == b"WEBP"
    if not riff and not picture.startswith(_MAGIC) and not _BOX.match(picture):
        raise UnsupportedFormat
    return picture, crop


def _image(fake: FakeNightlight, request: Request[Any], _: Mapping[str, str], parts: dict[str, str]) -> Response:
    image = fake.images.get(parts["image_id"])
    if image is None:
        raise NotFound
    if request.method == "GET":
        return _image_answer(image, HTTPStatus.OK)
    if image.state == DELETED:
        raise NotFound
    image.state, image.paths = DELETED, {}
    profile = fake.profiles.get(image.profile_id)
    if profile is not None and profile.image is image:
        profile.image = None
    fake.change(image.profile_id)
    return Response(HTTPStatus.NO_CONTENT, b"", {})


def _decide(fake: FakeNightlight, request: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    question, token = _question(request), request.json.get("consistency")
    if token is not None and not _CONSISTENCY.fullmatch(token):
        raise InvalidInput("this is no consistency token", pointer="/consistency")
    decisions = fake.engine.decide(fake.policy, question, fake) or ()
    if token is not None and int(token) > len(fake.changed):  # a change that nobody knows of yet
        decisions = fake.engine.placeholders([claim.profile_id for claim in question.claims])
    names = ("profile_id", "url", "expires_at", "blurhash", "capture")
    return _json({"items": [{name: getattr(decision, name) for name in names} for decision in decisions]})


def _explain(fake: FakeNightlight, request: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    explanations = fake.engine.explain(fake.policy, _question(request), fake) or ()
    return _json({"policy_digest": fake.bundle.digest, "items": [asdict(explained) for explained in explanations]})


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
    return _json(
        {
            "subject": "fake",
            "scopes": _scopes(headers),
            "now": fake.clock(),
            "relation_keys": keys,
            "leeway_s": fake.engine.relations.leeway_s,
        }
    )


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
    for number, item in enumerate(body["items"]):
        for name, most in (("relation", _MOST_WORD), ("at_most", _MOST_WORD), ("proof", _MOST_PROOF)):
            if not 1 <= len(item.get(name, "-")) <= most:
                raise InvalidInput(f"{name} has 1 to {most} characters", pointer=f"/items/{number}/{name}")
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
_TABLE: tuple[tuple[str, str, str, Route], ...] = (
    ("PUT", _PROFILE, "ingest", _declare),
    ("DELETE", _PROFILE, "ingest", _delete),
    ("PUT", f"{_PROFILE}/deactivation", "ingest", _deactivate),
    ("DELETE", f"{_PROFILE}/deactivation", "ingest", _deactivate),
    ("PUT", f"{_PROFILE}/report-flag", "report", _report_flag),
    ("POST", f"{_PROFILE}/revocations", "relate", _revoke),
    ("POST", f"{_PROFILE}/image", "ingest", _upload),
    ("GET", _IMAGE, "ingest", _image),
    ("DELETE", _IMAGE, "ingest", _image),
    ("POST", "/v1/blocks", "relate", _block),
    ("DELETE", "/v1/blocks/{profile_id}/{viewer_id}", "relate", _block),
    ("POST", "/v1/canaries", "relate", _canary),
    ("POST", "/v1/decisions", "decide", _decide),
    ("POST", "/v1/explain", "explain", _explain),
    ("GET", "/v1/caller", "", _caller),
    ("GET", "/v1/feed", "local", _feed),
    ("POST", "/v1/feed/profiles", "local", _views),
    ("GET", "/v1/feed/keys", "local", _keys),
    ("GET", "/v1/feed/policy/{version}", "local", _bundle),
    ("POST", "/v1/feed/report", "local", _reported),
)
_ROUTES = tuple(
    (method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)), scope, route)
    for method, template, scope, route in _TABLE
)
