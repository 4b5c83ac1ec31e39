"""Routes of the fake about images: uploads are refused as the service refuses them, but nothing is decoded."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from nightlight_client.responses import Response
from nightlight_client.testing.fake_answers import NO_CONTENT, json_answer
from nightlight_client.testing.fake_profiles import DELETED, LIVE, FakeImage, colour_of
from nightlight_core.errors import (
    CorruptImage,
    IdempotencyMismatch,
    InvalidInput,
    NotFound,
    PayloadTooLarge,
    ProfileDeactivated,
    ProfileNotDeclared,
    UnsupportedFormat,
)

if TYPE_CHECKING:
    from nightlight_client.requests import Request
    from nightlight_client.testing.fake_service import FakeNightlight

# How files of the kinds that are accepted begin; AVIF and HEIC say theirs after four bytes.
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8")
_BOX = re.compile(rb"....ftyp(avif|avis|heic|heix|mif1|msf1)", re.DOTALL)
_MOST_BYTES = 64_000_000
_CROP = re.compile(r"\d{1,5},\d{1,5},\d{1,5},\d{1,5}")


def upload(fake: FakeNightlight, request: Request[Any], headers: Mapping[str, str], parts: dict[str, str]) -> Response:
    """Take an upload."""
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


def image_status(fake: FakeNightlight, request: Request[Any], _: Mapping[str, str], parts: dict[str, str]) -> Response:
    """Return the state of an image, or delete it."""
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
    return NO_CONTENT


def _image_answer(image: FakeImage, status: int) -> Response:
    answer = {name: getattr(image, name) for name in ("image_id", "profile_id", "state", "reason")}
    return json_answer({**answer, "reason_detail": None}, status)
