"""Errors to ``application/problem+json`` (RFC 9457): the public text only; the detail goes to the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from nightlight import logs
from nightlight.wiring.readiness import FULL
from nightlight_core.errors import (
    BadRequest,
    DiskFull,
    InvalidInput,
    NightlightError,
    NotFound,
    PayloadTooLarge,
    RequestTimeout,
    TooManyRequests,
    Unauthenticated,
)

MEDIA_TYPE = "application/problem+json"
_TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Content too large",
    415: "Unsupported media type",
    422: "Unprocessable Content",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available",
}
# How many of a body's problems are told; a body of 500 bad items would otherwise be answered at length.
_MAX_ERRORS = 20
RETRY_AFTER_S = "2"


def problem(status: int, code: str, detail: str, errors: Sequence[dict[str, str]] = ()) -> Response:
    """Return the answer for an error."""
    body: dict[str, Any] = {
        "type": f"urn:nightlight:problem:{code}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "code": code,
        "detail": detail,
    }
    if errors:
        body["errors"] = list(errors)
    response = Response(orjson.dumps(body), status_code=status, media_type=MEDIA_TYPE)
    response.headers["Cache-Control"] = "no-store"
    if status == Unauthenticated.status:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status == 503:  # noqa: PLR2004 - RFC 9110's number
        response.headers["Retry-After"] = RETRY_AFTER_S
    return response


# The errors that leave an endpoint on purpose; any other is a fault of ours.
ANSWERED = (NightlightError, RequestValidationError, HTTPException)


def install(app: FastAPI) -> None:
    """Answer every error that leaves a route."""
    for kind in ANSWERED:
        app.add_exception_handler(kind, response_to)
    app.add_exception_handler(OSError, _of_the_system)
    app.add_exception_handler(Exception, _unexpected)


async def response_to(request: Request, error: Exception) -> Response:
    """Return the answer to an error that leaves an endpoint."""
    if isinstance(error, NightlightError):
        return _ours(error)
    if isinstance(error, RequestValidationError):
        return _validation(error)
    if isinstance(error, HTTPException):
        return _http(request, error)
    raise error


def _ours(error: NightlightError) -> Response:
    if error.status >= 500:  # noqa: PLR2004 - RFC 9110's class of server errors
        logs.get("service").error("request.failed", code=error.code, detail=str(error))
    detail = error.public_detail
    errors = [{"pointer": error.pointer, "detail": detail}] if error.tells and error.detail and error.pointer else []
    response = problem(error.status, error.code, detail, errors)
    if isinstance(error, RequestTimeout):
        response.headers["Connection"] = "close"  # the rest of the body is not waited for
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.after_s)
    return response


def bad_request(error: RequestValidationError | InvalidInput) -> Response:
    """Return the answer to a request that does not fit, where a standard asks for 400 instead of 422."""
    if isinstance(error, RequestValidationError):
        return _validation(error, BadRequest)
    return _ours(BadRequest(error.detail, pointer=error.pointer))


def _validation(error: RequestValidationError, kind: type[NightlightError] = InvalidInput) -> Response:
    errors = [
        {"pointer": "/" + "/".join(str(part) for part in item["loc"][1:]), "detail": str(item["msg"])}
        for item in error.errors()[:_MAX_ERRORS]
    ]
    return problem(kind.status, kind.code, kind.public, errors)


def _http(request: Request, error: HTTPException) -> Response:
    if isinstance(error.__cause__, NightlightError):  # raised while the framework read the body
        return _ours(error.__cause__)
    for kind in (NotFound, PayloadTooLarge):
        if error.status_code == kind.status:
            return problem(kind.status, kind.code, kind.public)
    response = problem(error.status_code, "http", _TITLES.get(error.status_code, "Error"))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    if error.status_code == 405:  # noqa: PLR2004 - RFC 9110's number
        response.headers["Allow"] = ", ".join(_allowed(request))
    return response


def _allowed(request: Request) -> list[str]:
    """Return the methods of every route for this path: each route of ours has one, and names only itself."""
    methods: set[str] = set()
    for route in request.app.state.routes:
        if route.matches(dict(request.scope))[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return sorted(methods)


async def _of_the_system(_request: Request, error: Exception) -> Response:
    """Answer 503 where the disk is full: nothing was acknowledged, and another process may have room."""
    if isinstance(error, OSError) and error.errno in FULL:
        return _ours(DiskFull(str(error.strerror)))
    raise error


async def _unexpected(_request: Request, error: Exception) -> Response:
    logs.get("service").error("request.crashed", exc_info=error)
    return problem(500, NightlightError.code, NightlightError.public)
