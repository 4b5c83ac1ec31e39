"""Routes of the fake about profiles: declarations, their end, and who may see nothing of them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from nightlight_client.responses import Response
from nightlight_client.testing.fake_answers import NO_CONTENT, changed, json_answer, moment, profile_of, rename
from nightlight_client.testing.fake_profiles import ASSERTION_S, DEACTIVATED, DELETED, LIVE, FakeProfile
from nightlight_core.decisions.inputs import UNASSURED
from nightlight_core.errors import InvalidInput

if TYPE_CHECKING:
    from nightlight_client.requests import Request
    from nightlight_client.testing.fake_service import FakeNightlight

_DECLARED = ("profile_id", "band", "assurance", "region", "choice", "report_flag")


def declare(fake: FakeNightlight, request: Request[Any], _: Mapping[str, str], parts: dict[str, str]) -> Response:
    """Declare a profile."""
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
            rename(fake, profile)
    if follow_band and profile.assurance != UNASSURED:
        for image in fake.images.values():
            if image.profile_id == profile_id:
                image.released_band = profile.band
    answer = {name: getattr(profile, name) for name in _DECLARED}
    lapses_at = moment(profile.asserted_at + ASSERTION_S)
    status = HTTPStatus.OK if before else HTTPStatus.CREATED
    answer |= {
        "lapses_at": lapses_at,
        "deactivated_at": None if profile.deactivated_at is None else moment(profile.deactivated_at),
    }
    return json_answer(answer, status, fake.change(profile_id))


def delete(fake: FakeNightlight, _r: Request[Any], _h: Mapping[str, str], parts: dict[str, str]) -> Response:
    """Delete a profile and its images."""
    profile_id = profile_of(fake, parts["profile_id"]).profile_id
    del fake.profiles[profile_id]
    fake.erased.add(profile_id)
    fake.blocked.pop(profile_id, None)
    fake.proofs_revoked(profile_id)
    for image in fake.images.values():
        if image.profile_id == profile_id:
            image.state, image.paths = DELETED, {}
    fake.change(profile_id)
    return NO_CONTENT


def deactivate(fake: FakeNightlight, request: Request[Any], _: Mapping[str, str], parts: dict[str, str]) -> Response:
    """Deactivate a profile, or take that back."""
    profile = profile_of(fake, parts["profile_id"])
    if request.method == "DELETE":
        profile.state, profile.deactivated_at = LIVE, None
    elif profile.state == LIVE:
        profile.state, profile.deactivated_at = DEACTIVATED, int(fake.clock())
        rename(fake, profile)
    return changed(fake, profile.profile_id)


def report_flag(fake: FakeNightlight, request: Request[Any], _: Mapping[str, str], parts: dict[str, str]) -> Response:
    """Set the report flag of a profile."""
    profile, word = profile_of(fake, parts["profile_id"]), request.json["report_flag"]
    words = fake.table.attributes["report_flag"]
    if word not in words:
        raise InvalidInput(f"report_flag must be one of {', '.join(words)}", pointer="/report_flag")
    profile.report_flag = word
    if word != "clear":
        rename(fake, profile)
    return changed(fake, profile.profile_id)


def revoke(fake: FakeNightlight, _r: Request[Any], _h: Mapping[str, str], parts: dict[str, str]) -> Response:
    """Revoke the URLs of a profile, and the proofs of everybody."""
    profile = profile_of(fake, parts["profile_id"])
    rename(fake, profile)
    fake.proofs_revoked(profile.profile_id)
    return changed(fake, profile.profile_id)


def block(fake: FakeNightlight, request: Request[Any], _: Mapping[str, str], parts: dict[str, str]) -> Response:
    """Block a viewer, or take that back."""
    ids = parts or request.json
    profile_id, viewer_id = ids["profile_id"], ids["viewer_id"]
    if request.method == "POST" and profile_id == viewer_id:
        raise InvalidInput("nobody blocks themselves", pointer="/viewer_id")
    blocked = fake.blocked.setdefault(profile_id, set())
    if (viewer_id in blocked) == (request.method == "DELETE"):
        blocked.symmetric_difference_update({viewer_id})
        fake.proofs_revoked(profile_id, viewer_id)
        if request.method == "POST" and profile_id in fake.profiles:
            rename(fake, fake.profiles[profile_id])
    return changed(fake, profile_id)


def canary(fake: FakeNightlight, request: Request[Any], _h: Mapping[str, str], _p: dict[str, str]) -> Response:
    """Make a canary of a profile."""
    profile_of(fake, request.json["profile_id"]).canary = True
    fake.change(request.json["profile_id"])
    return NO_CONTENT
