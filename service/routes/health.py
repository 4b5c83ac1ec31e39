"""``/healthz``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Request, Response

from nightlight import metrics
from service.answers import services
from service.auth import ScopedRoute, public

router = APIRouter(tags=["health"], route_class=ScopedRoute, include_in_schema=False)


@router.get("/healthz")
@public
def healthz() -> Response:
    """Say that the process is alive."""
    return Response(b'{"status":"ok"}', media_type="application/json")


@router.get("/readyz")
@public
def readyz(request: Request) -> Response:
    """Say whether everything that the service needs answers; 503 names what does not, or that the process drains.

    ``keys`` has the ids of the keys that this process has read: a rotation goes on once all processes have one.
    """
    draining = request.app.state.draining.is_set()
    parts = {"process": "draining"} if draining else services(request).readiness()
    ready = all(state == "ok" for state in parts.values())
    body = orjson.dumps(
        {"status": "ok" if ready else "unavailable", "parts": parts, "keys": services(request).keys.loaded()}
    )
    return Response(body, status_code=200 if ready else 503, media_type="application/json")


@router.get("/metrics")
@public
def page() -> Response:
    """Show the Prometheus metrics."""
    data, content_type = metrics.exposition()
    return Response(data, headers={"Content-Type": content_type})
