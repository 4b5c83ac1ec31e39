"""What a platform backend imports: a small HTTP client. It needs nothing of the server.

::

    from nightlight_client import NightlightClient

    with NightlightClient("https://nightlight.internal", token=lambda: tokens.current(), relation_keys=ring) as client:
        client.check("ingest", "decide")  # at the start: a wrong host, token or key is an exception here
        client.declare("u-81", band="age_13_15", assurance="verified", region="eu")
        image = client.upload("u-81", open("picture.jpg", "rb"), idempotency_key="upload-7731")
        urls = client.decide("peer", "list", [("u-81", "connection"), ("u-82", "stranger")], viewer_id="u-7")
"""

from nightlight_client.async_client import AsyncNightlightClient
from nightlight_client.client import NightlightClient
from nightlight_client.errors import (
    ClientMisconfigured,
    InvalidId,
    NotNightlight,
    Problem,
    ProblemError,
    ServiceUnreachable,
    StillPending,
)
from nightlight_client.models import (
    Decision,
    DeclaredProfile,
    Export,
    Image,
    NoticeReview,
    TakedownNotice,
    TokenInfo,
    Trace,
)
from nightlight_client.options import CallReport, HttpOptions
from nightlight_client.webhook_seen import MemorySeen, WebhookRefused, WebhookReplayed
from nightlight_client.webhooks import AsyncWebhookReceiver, WebhookEvent, WebhookReceiver
from nightlight_core.errors import NightlightError

__all__ = [
    "AsyncNightlightClient",
    "AsyncWebhookReceiver",
    "CallReport",
    "ClientMisconfigured",
    "Decision",
    "DeclaredProfile",
    "Export",
    "HttpOptions",
    "Image",
    "InvalidId",
    "MemorySeen",
    "NightlightClient",
    "NightlightError",
    "NotNightlight",
    "NoticeReview",
    "Problem",
    "ProblemError",
    "ServiceUnreachable",
    "StillPending",
    "TakedownNotice",
    "TokenInfo",
    "Trace",
    "WebhookEvent",
    "WebhookReceiver",
    "WebhookRefused",
    "WebhookReplayed",
]
