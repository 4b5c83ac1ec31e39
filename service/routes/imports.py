"""``/v1/import-notifications``: S3 servers that push tell of pictures that were put into another bucket."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from nightlight.delivery.access_tokens import TokenScope
from nightlight.store.event_notifications import read_events
from nightlight_core.errors import InvalidInput
from service.answers import services
from service.auth import ScopedRoute, requires
from service.openapi import request_body

router = APIRouter(prefix="/v1/import-notifications", tags=["arrivals"], route_class=ScopedRoute)

_EVENT = {"type": "object", "description": "An event of S3, SNS, EventBridge, Ceph or MinIO."}


class NotificationsAnswer(BaseModel):
    """What was made of the events."""

    queued: int = Field(description="Keys that will be looked at.")
    known: int = Field(description="Events that had been told before.")
    unmatched: int = Field(description="Events of other buckets, or of keys that are nobody's picture.")


@router.post("", status_code=202, openapi_extra=request_body("application/json", _EVENT))
@requires(TokenScope.IMPORT)
async def notify(request: Request) -> NotificationsAnswer:
    """Take an S3 event notification. 202 means that it is not forgotten; the same event may come again, or late.

    The token may also come as the password of Basic credentials, for servers that take them in the address.
    """
    if not request.headers.get("content-length") and not request.headers.get("transfer-encoding"):
        raise InvalidInput("the body is empty")
    body = await request.body()
    heard = await run_in_threadpool(lambda: services(request).import_notifications.record(read_events(body)))
    return NotificationsAnswer(**heard._asdict())
