"""``/a/{name}``: bytes for a signed URL. Every picture is answered with the same headers."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from nightlight.flows.decisions.serve import Picture, RenditionServer
from service.auth import ScopedRoute, public

router = APIRouter(tags=["pictures"], route_class=ScopedRoute)

# Asked of crawlers and of those who train models (Content-Usage: draft-ietf-aipref-attach; tdm-reservation: TDM
# Reservation Protocol); and of browsers, to take the bytes for what they are.
HEADERS = {
    "Accept-Ranges": "bytes",
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Content-Usage": "train-ai=n, search=n",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noai, noimageai, noindex",
    "tdm-reservation": "1",
}


@router.head("/a/{name}.{extension}", response_class=Response, include_in_schema=False)
@router.get("/a/{name}.{extension}", response_class=Response)
@public
async def picture(request: Request, name: str, extension: str, e: str = "", k: str = "", s: str = "") -> Response:
    """Serve the picture that a decision's URL is for; anything else is 404, whatever is wrong with it."""
    server: RenditionServer = request.app.state.services.rendition_server
    served = server.try_cached(name, extension, e, k, s)
    if served is None:
        served = await run_in_threadpool(server.fetch, name, extension, e, k, s)
    headers = request.headers
    range_ = headers.get("range") if request.method == "GET" else None  # RFC 9110, 14.2: of no other method
    return picture_response(served, headers.get("if-none-match"), range_, headers.get("if-range"))


def picture_response(served: Picture, if_none_match: str | None, range_: str | None, if_range: str | None) -> Response:
    """Return the response of RFC 9110 for a picture: 200, 206, 304 or 416."""
    cache = f"public, max-age={served.max_age}, immutable" if served.max_age else "no-store"
    headers = {**HEADERS, "ETag": served.etag, "Cache-Control": cache}
    if if_none_match is not None and _matches(if_none_match, served.etag):
        return Response(status_code=304, headers=headers)
    size = len(served.data)
    part = _range(range_, size) if range_ and (if_range is None or if_range == served.etag) else None
    if part is None:
        return Response(served.data, media_type=served.media_type, headers=headers)
    first, last = part
    if first > last:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Response(served.data[first : last + 1], status_code=206, media_type=served.media_type, headers=headers)


def _matches(header: str, etag: str) -> bool:
    candidates = [candidate.strip().removeprefix("W/") for candidate in header.split(",")]
    return "*" in candidates or etag in candidates


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Return (first, last) of a single byte range; first > last if it cannot be satisfied; None to ignore it."""
    unit, _, spec = header.partition("=")
    first, dash, last = spec.strip().partition("-")
    # 18 digits stay below 2**63; several ranges, other units and anything malformed are ignored (RFC 9110, 14.2).
    digits = all(part == "" or (part.isascii() and part.isdigit() and len(part) <= 18) for part in (first, last))  # noqa: PLR2004
    if unit.strip().lower() != "bytes" or not dash or not digits or (not first and not last):
        return None
    if not first:
        length = int(last)
        return (max(0, size - length), size - 1) if length else (1, 0)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        return 1, 0
    return int(first), min(int(last), size - 1) if last else size - 1
