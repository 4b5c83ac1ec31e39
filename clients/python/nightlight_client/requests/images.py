"""Requests about one image: its upload, its state, its erasure."""

from __future__ import annotations

from typing import IO

from nightlight_client import paths
from nightlight_client.models import Image
from nightlight_client.multipart_body import Form
from nightlight_client.requests.http_request import Request
from nightlight_client.responses import read_json, read_nothing, reader

_read_image = reader(Image)
_IMAGE = "/v1/images/{image_id}"


def upload(
    profile_id: str,
    picture: IO[bytes] | bytes,
    *,
    idempotency_key: str | None = None,
    crop: tuple[int, int, int, int] | None = None,
) -> Request[Image]:
    """Upload a profile's image; when this returns it is safely stored and will be rendered.

    ``crop`` is the owner's own: left, top, width and height in pixels of the upright picture.
    """
    return Request(
        method="POST",
        path=paths.path("/v1/profiles/{profile_id}/image", profile_id=profile_id),
        headers=paths.idempotency(idempotency_key),
        form=Form("picture", picture, {"crop": ",".join(map(str, crop))} if crop else {}),
        read=_read_image,
    )


def image(image_id: str) -> Request[Image]:
    """Return how an upload is getting on."""
    return Request(method="GET", path=paths.path(_IMAGE, image_id=image_id), read=_read_image)


def receipts(image_id: str) -> Request[list[dict[str, str]]]:
    """Return the signed receipts of an image's erasure: `nightlight receipt verify` opens them."""
    return Request(method="GET", path=paths.path(f"{_IMAGE}/receipts", image_id=image_id), read=read_json)


def delete_image(image_id: str) -> Request[None]:
    """Delete one image."""
    return Request(method="DELETE", path=paths.path(_IMAGE, image_id=image_id), read=read_nothing)
