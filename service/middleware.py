"""What every request passes: its metrics, an id for the logs, and a cap on its body before any of it is kept."""

from __future__ import annotations

import re
import secrets
import time
from functools import cache

import structlog
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nightlight import metrics
from nightlight_core.errors import PayloadTooLarge
from service.problems import problem

# In the scope of a request that reached its endpoint without the framework's routing: the template of its route.
ROUTE = "nightlight.route"
# What counts where nothing was answered: a fault of ours, or a client that left before it had sent its request.
_NO_ANSWER, _CLIENT_GONE = 500, 499
DECISIONS, RENDITION, UPLOAD = "/v1/decisions", "/a/{name}.{extension}", "/v1/profiles/{profile_id}/image"
EVALUATION, EVALUATIONS = "/access/v1/evaluation", "/access/v1/evaluations"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
# What AuthZEN asks for: the id that came, whatever it is (OpenID Authorization API 1.0, "Request Identification"). The
# cap of a request's head bounds it; what a header may not hold (RFC 9110, section 5.5) is not sent.
_AUTHZEN, _ANY_ID = "/access/v1/", re.compile(rb"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?")


class RequestMetrics:
    """Counts requests by their route's template and how they were answered, and times them."""

    # Timed by themselves. Other routes are called so seldom that the time of one call would be seen.
    TIMED = (DECISIONS, RENDITION, UPLOAD)

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Until an answer begins; what the application raises is answered 500 further out.
        status, began = _NO_ANSWER, time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            status = _CLIENT_GONE
            raise
        finally:
            route = scope["route"].path_format if "route" in scope else scope.get(ROUTE, "none")
            _count(route, status, time.perf_counter() - began)


def _count(route: str, status: int, seconds: float) -> None:
    outcome = "failed" if status >= 500 else "refused" if status >= 400 else "answered"  # noqa: PLR2004
    requests, times = _children(route, outcome)
    requests.inc()
    times.observe(seconds)
    if outcome == "failed":
        metrics.REQUEST_FAILURES.labels(route).inc()


@cache
def _children(route: str, outcome: str) -> tuple[Counter, Histogram]:
    timed = route if route in RequestMetrics.TIMED else "other"
    return metrics.REQUESTS.labels(route, outcome), metrics.REQUEST_SECONDS.labels(timed)


class RequestId:
    """Binds a request id to the log lines of a request and returns it in ``X-Request-Id``.

    An id that comes in is kept if it is a plain word, so that a platform's own trace can be followed. The routes of
    AuthZEN return any id as it came; the logs have plain ones alone.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent_id = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else secrets.token_hex(8).encode()
        returned = sent_id if scope["path"].startswith(_AUTHZEN) and _ANY_ID.fullmatch(sent_id) else request_id

        async def tagged(message: Message) -> None:
            # Pictures are answered alike for everybody: nothing of one request may stand in their headers.
            if message["type"] == "http.response.start" and not scope["path"].startswith("/a/"):
                message["headers"] = [*message["headers"], (b"x-request-id", returned)]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            await self._app(scope, receive, tagged)


class BodyCap:
    """Refuses a body over its cap: at once if its declared length says so, else when the cap is passed."""

    def __init__(self, app: ASGIApp, *, upload_bytes: int, json_bytes: int, pictures: str) -> None:
        """Allow ``upload_bytes`` to forms, and to pictures sent to the path ``pictures``; ``json_bytes`` to others."""
        self._app = app
        self._upload = upload_bytes
        self._json = json_bytes
        self._pictures = pictures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        kind = headers.get(b"content-type", b"").lower()
        picture = scope["path"] == self._pictures and kind.startswith(b"image/")
        upload = picture or kind.startswith(b"multipart/form-data")
        cap = self._upload if upload else self._json
        detail = f"The request body has more than {cap:,} bytes, which is the most that is accepted."
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit() or len(declared) > 18 or int(declared) > cap:  # noqa: PLR2004 - below 2**63
            answer = problem(PayloadTooLarge.status, PayloadTooLarge.code, detail)
            answer.headers["Connection"] = "close"
            await answer(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > cap:
                raise PayloadTooLarge(detail)
            return message

        await self._app(scope, counted, send)
