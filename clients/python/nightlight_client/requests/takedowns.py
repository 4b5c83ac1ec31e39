"""Requests about takedown notices: each hides a picture and every copy of it, for as long as it stands."""

from __future__ import annotations

import json
from datetime import datetime
from typing import IO, Any

from nightlight_client import paths
from nightlight_client.errors import InvalidId, NotNightlight
from nightlight_client.models import NoticeReview, TakedownNotice
from nightlight_client.multipart_body import Form
from nightlight_client.requests.http_request import Request
from nightlight_client.responses import Response, raise_for, read_nothing, reader

_read_takedown = reader(TakedownNotice)
_read_review = reader(NoticeReview)
_NOTICES = "/v1/takedowns"
_NOTICE = f"{_NOTICES}/{{takedown_id}}"
_MATCH = f"{_NOTICE}/matches/{{image_id}}"
_REVIEW = f"{_NOTICE}/review"


def place_takedown(
    picture: IO[bytes] | bytes | None = None,
    *,
    kind: str,
    reference: str,
    image_id: str | None = None,
    received_at: datetime | None = None,
) -> Request[TakedownNotice]:
    """Place a notice on a picture, or on an image of ours; a worker hides every copy.

    ``kind`` is intimate_image, child_abuse or other, ``reference`` your number of the case, and ``received_at`` when
    its clock began, with an offset. Raises InvalidId unless there is either a picture or an ``image_id``.
    """
    if (picture is None) == (image_id is None):
        raise InvalidId("image_id", "a notice is on a picture or on an image_id, and not on both")
    notice: dict[str, Any] = {"kind": kind, "reference": reference}
    if received_at is not None:
        notice["received_at"] = received_at.isoformat()
    if picture is not None:
        form = Form("picture", picture, {"notice": json.dumps(notice)})
        return Request(method="POST", path=_NOTICES, form=form, read=_read_takedown)
    return Request(method="POST", path=_NOTICES, json={**paths.ids(image_id=image_id), **notice}, read=_read_takedown)


def takedown_status(takedown_id: str) -> Request[TakedownNotice]:
    """Return how a notice stands, and its matches."""
    return Request(method="GET", path=paths.path(_NOTICE, takedown_id=takedown_id), read=_read_takedown)


def confirm_takedown(takedown_id: str, image_id: str) -> Request[None]:
    """Say that an image is the notice's picture: it stays hidden."""
    return _verdict(takedown_id, image_id, "confirmed")


def clear_takedown(takedown_id: str, image_id: str) -> Request[None]:
    """Say that an image is another picture: it is rendered again."""
    return _verdict(takedown_id, image_id, "cleared")


def undo_takedown(takedown_id: str, *, why: str) -> Request[TakedownNotice]:
    """Undo a wrong notice: a worker renders again whatever nothing else keeps hidden."""
    path = paths.path(f"{_NOTICE}/undo", takedown_id=takedown_id)
    return Request(method="POST", path=path, json={"why": why}, read=_read_takedown)


def ask_takedown_review(takedown_id: str) -> Request[NoticeReview]:
    """Ask for softened pictures of a notice and of its next matches; they take a token with the scope ``review``."""
    return Request(method="POST", path=paths.path(_REVIEW, takedown_id=takedown_id), read=_read_review)


def takedown_review(takedown_id: str) -> Request[NoticeReview]:
    """Return a notice and its matches as a reviewer sees them, with the softened pictures that there are."""
    return Request(method="GET", path=paths.path(_REVIEW, takedown_id=takedown_id), read=_read_review)


def review_picture(takedown_id: str, review_id: str) -> Request[bytes]:
    """Return a softened picture of a review while it is there: the bytes of a picture file."""
    path = paths.path(f"{_REVIEW}/pictures/{{review_id}}", takedown_id=takedown_id, review_id=review_id)
    return Request(method="GET", path=path, read=_read_picture)


def _read_picture(response: Response) -> bytes:
    raise_for(response)
    if not response.headers.get("content-type", "").startswith("image/"):
        raise NotNightlight(response.status, f"{response.description}, no picture")
    return response.content


def _verdict(takedown_id: str, image_id: str, verdict: str) -> Request[None]:
    path = paths.path(_MATCH, takedown_id=takedown_id, image_id=image_id)
    return Request(method="POST", path=path, json={"verdict": verdict}, read=read_nothing)
