"""What a platform backend imports: a small HTTP client. It needs nothing of the server.

::

    from nightlight_client import NightlightClient

    with NightlightClient("https://nightlight.internal", token=lambda: tokens.current(), relation_keys=keys) as client:
        client.declare("u-81", band="age_13_15", assurance="verified", region="eu")
        image = client.upload("u-81", open("picture.jpg", "rb"), idempotency_key="upload-7731")
        urls = client.decide("peer", "list", [("u-81", "connection"), ("u-82", "stranger")], viewer_id="u-7")
"""

from nightlight_client.async_client import AsyncNightlightClient
from nightlight_client.client import NightlightClient
from nightlight_client.models import (
    Decision,
    Export,
    Image,
    InvalidId,
    NoticeReview,
    NotNightlight,
    Problem,
    TakedownNotice,
    Trace,
)
from nightlight_client.webhook_seen import MemorySeen, WebhookRefused, WebhookReplayed
from nightlight_client.webhooks import AsyncWebhookReceiver, WebhookEvent, WebhookReceiver

__all__ = [
    "AsyncNightlightClient",
    "AsyncWebhookReceiver",
    "Decision",
    "Export",
    "Image",
    "InvalidId",
    "MemorySeen",
    "NightlightClient",
    "NotNightlight",
    "NoticeReview",
    "Problem",
    "TakedownNotice",
    "Trace",
    "WebhookEvent",
    "WebhookReceiver",
    "WebhookRefused",
    "WebhookReplayed",
]
