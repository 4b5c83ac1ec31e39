"""What the OpenAPI document says of the events that the platform is sent (``webhooks``), with an example of each."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from nightlight.flows.webhooks.dispatch import payload
from nightlight.flows.webhooks.signing import SECRET_PREFIX, EventSigner

_MOMENT = Field(description="When it happened (RFC 3339).")
_TIME, _PROFILE, _IMAGE = datetime(2026, 11, 22, 9, tzinfo=UTC), "u-81", "3f0c6a1e5b7d4c2f8e9a0b1c2d3e4f50"
# That of the examples alone: anybody can read it.
_SECRET = bytes(range(32))
_SECRET_TEXT = SECRET_PREFIX + base64.b64encode(_SECRET).decode()


class _EventModel(BaseModel):
    """A later version may say more: members that a receiver does not know are passed over."""

    model_config = ConfigDict(extra="allow")


class PictureEventData(_EventModel):
    """Whose picture it is."""

    profile_id: str


class ImageEventData(_EventModel):
    """Whose picture it is, and which image."""

    profile_id: str
    image_id: str


class NoticeEventData(_EventModel):
    """The takedown notice."""

    takedown_id: str


class EmptyEventData(_EventModel):
    """Nothing."""


class PictureChangedEvent(_EventModel):
    """What is shown of a profile has changed, whatever the cause."""

    type: Literal["picture.changed"]
    timestamp: str = _MOMENT
    data: PictureEventData


class PictureTakenDownEvent(_EventModel):
    """A takedown notice hid an image."""

    type: Literal["picture.taken_down"]
    timestamp: str = _MOMENT
    data: ImageEventData


class PictureRestoredEvent(_EventModel):
    """A takedown notice no longer hides an image."""

    type: Literal["picture.restored"]
    timestamp: str = _MOMENT
    data: ImageEventData


class TakedownSetAsideEvent(_EventModel):
    """Hashes of a takedown notice were set aside, since they match many unlike pictures."""

    type: Literal["takedown.set_aside"]
    timestamp: str = _MOMENT
    data: NoticeEventData


class WebhookTestEvent(_EventModel):
    """An operator tries whether the receiver answers."""

    type: Literal["webhook.test"]
    timestamp: str = _MOMENT
    data: EmptyEventData


# Type: the model, the example's data, and what is to be done about it.
EVENTS: dict[str, tuple[type[_EventModel], dict[str, str], str]] = {
    "picture.changed": (
        PictureChangedEvent,
        {"profile_id": _PROFILE},
        "Ask for decisions about this profile again, and forget the URLs that you kept of it.",
    ),
    "picture.taken_down": (
        PictureTakenDownEvent,
        {"profile_id": _PROFILE, "image_id": _IMAGE},
        "Tell the owner that their picture is hidden. The notice itself is not told of.",
    ),
    "picture.restored": (
        PictureRestoredEvent,
        {"profile_id": _PROFILE, "image_id": _IMAGE},
        "Tell the owner that their picture may be shown again.",
    ),
    "takedown.set_aside": (
        TakedownSetAsideEvent,
        {"takedown_id": _IMAGE},
        "Have a person look at the notice: its hashes match pictures that are not alike.",
    ),
    "webhook.test": (WebhookTestEvent, {}, "Answer 204: nothing happened (`nightlight webhooks test`)."),
}
_RULES = (
    " Signed by the Standard Webhooks specification: verify `webhook-signature` over `{id}.{timestamp}.{body}` before "
    "anything is read, and answer 2xx within seconds. It is delivered at least once, in no order: `webhook-id` stays "
    "the same."
)
# Headers, and what is said of each.
_HEADERS = {
    "webhook-id": "The event's id: the same at every attempt.",
    "webhook-timestamp": "When this attempt was made, in Unix seconds.",
    "webhook-signature": "Signatures with spaces between: `v1,` (HMAC-SHA256) and `v1a,` (Ed25519), each in base64. "
    f"That of the example is by the secret `{_SECRET_TEXT}`.",
}


def install(app: FastAPI) -> None:
    """Write every event into the document of ``app``; nothing is routed."""
    for name, (model, data, what_to_do) in EVENTS.items():
        _describe(app, name, model, data, what_to_do)


def _describe(app: FastAPI, name: str, model: type[_EventModel], data: dict[str, str], what_to_do: str) -> None:
    def receive(body: Any) -> None:
        """Take the event."""

    receive.__annotations__ = {"body": model, "return": None}
    body = payload(name, _TIME, data)
    signed = EventSigner(lambda: [_SECRET]).headers(_IMAGE, int(_TIME.timestamp()), body)
    parameters = [
        {"name": header, "in": "header", "required": True, "description": text, "schema": {"type": "string"},
         "example": signed[header]}
        for header, text in _HEADERS.items()
    ]  # fmt: skip
    app.webhooks.add_api_route(
        name,
        receive,
        methods=["POST"],
        tags=["webhooks"],
        operation_id=f"receive_{name.replace('.', '_')}",
        summary=(model.__doc__ or "").strip(),
        description=what_to_do + _RULES,
        status_code=204,
        responses={204: {"description": "Taken. Every other answer has the event sent again later."}},
        openapi_extra={
            "parameters": parameters,
            "requestBody": {"content": {"application/json": {"example": json.loads(body)}}},
        },
    )
