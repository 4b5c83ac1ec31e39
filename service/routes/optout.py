"""What crawlers and those who train models are told: ``/robots.txt`` and ``/.well-known/tdmrep.json``."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Response

from service.auth import ScopedRoute, public

router = APIRouter(tags=["opt-out"], route_class=ScopedRoute, include_in_schema=False)

_ROBOTS = b"User-agent: *\nContent-Usage: train-ai=n, search=n\nDisallow: /\n"
# TDM Reservation Protocol (W3C Community Group final report, 2024): rights are reserved for every path.
_TDMREP = orjson.dumps([{"location": "/*", "tdm-reservation": 1}])
_HEADERS = {"Cache-Control": "public, max-age=86400"}


@router.get("/robots.txt")
@public
def robots() -> Response:
    """Ask everybody not to crawl."""
    return Response(_ROBOTS, media_type="text/plain", headers=_HEADERS)


@router.get("/.well-known/tdmrep.json")
@public
def tdmrep() -> Response:
    """Reserve the rights of text and data mining."""
    return Response(_TDMREP, media_type="application/json", headers=_HEADERS)
