"""What the routes of the fake share: answers, and what a change of a profile does."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from nightlight_client.responses import Response
from nightlight_core.errors import NotFound

if TYPE_CHECKING:
    from nightlight_client.testing.fake_profiles import FakeProfile
    from nightlight_client.testing.fake_service import FakeNightlight

NO_CONTENT = Response(HTTPStatus.NO_CONTENT, b"", {})


def profile_of(fake: FakeNightlight, profile_id: str) -> FakeProfile:
    """Return a profile; raises NotFound."""
    profile = fake.profiles.get(profile_id)
    if profile is None:
        raise NotFound
    return profile


def rename(fake: FakeNightlight, profile: FakeProfile) -> None:
    """Give the profile's picture other names: no URL that was given out counts any more."""
    if profile.image is not None:
        profile.image.render(fake.table)


def changed(fake: FakeNightlight, profile_id: str) -> Response:
    """Return the empty answer to a change of a profile, with its consistency token."""
    return Response(HTTPStatus.NO_CONTENT, b"", {"nightlight-consistency": fake.change(profile_id)})


def json_answer(body: object, status: int = HTTPStatus.OK, consistency: str | None = None) -> Response:
    """Return the answer of a JSON body."""
    more = {} if consistency is None else {"nightlight-consistency": consistency}
    return Response(status, json.dumps(body).encode(), {"content-type": "application/json", **more})


def moment(seconds: float) -> str:
    """Return Unix seconds as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def base64_text(key: bytes) -> str:
    """Return a key as base64."""
    return base64.b64encode(key).decode()
