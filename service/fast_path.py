"""Decisions, and pictures that are in memory, are answered here, before the framework; the rest goes on to its routes.

The routes say what is right: whatever is unusual about a request (no token that was good lately, a body that is not as
it should be) is theirs to answer, and so are all errors. Here is only the same, sooner.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from nightlight.delivery.access_tokens import TokenScope
from nightlight_core.decisions.quotas import Asker
from nightlight_core.errors import NightlightError
from service.routes.decisions import DecisionsBody, answered, decided
from service.routes.renditions import answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from nightlight.wiring import ServiceContainer
    from nightlight_core.decisions.engine import Decision

_DECISIONS, _PICTURES = "/v1/decisions", "/a/"
# As our URLs are written; whatever else means the same is the route's.
_SIGNED = re.compile(rb"e=([0-9]{10})&k=([a-z0-9]{2})&s=([A-Za-z0-9_-]{22})")


class Lean:
    """The innermost middleware: everything outside it is passed by these requests too."""

    def __init__(self, app: ASGIApp, *, house: ServiceContainer) -> None:
        """Answer for ``app`` from what ``house`` has in memory."""
        self._app, self._house = app, house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            path, method = scope["path"], scope["method"]
            if path == _DECISIONS and method == "POST":
                await self._decisions(scope, receive, send)
                return
            if path.startswith(_PICTURES) and method in {"GET", "HEAD"} and await self._picture(scope, receive, send):
                return
        await self._app(scope, receive, send)

    async def _picture(self, scope: Scope, receive: Receive, send: Send) -> bool:
        name, dot, extension = scope["path"].removeprefix(_PICTURES).partition(".")
        signed = _SIGNED.fullmatch(scope["query_string"])
        if not dot or signed is None:
            return False
        try:
            found = self._house.deliver.at_hand(name, extension, *(one.decode() for one in signed.groups()))
        except NightlightError:
            found = None
        if found is None:
            return False
        headers = dict(scope["headers"])
        asked = (headers.get(one) for one in (b"if-none-match", b"range", b"if-range"))
        response = answer(found, *(one.decode("latin-1") if one is not None else None for one in asked))
        await response(scope, receive, send)
        return True

    async def _decisions(self, scope: Scope, receive: Receive, send: Send) -> None:
        come: deque[Message | NightlightError] = deque()
        body = bytearray()
        try:
            while True:
                message = await receive()
                come.append(message)
                body += message.get("body", b"")
                if message["type"] != "http.request" or not message.get("more_body", False):
                    break
        except NightlightError as error:  # the routes' answers are the right ones to this too
            come.append(error)
        else:
            found = await self._decided(dict(scope["headers"]), bytes(body))
            if found is not None:
                await answered(found)(scope, receive, send)
                return

        async def again() -> Message:
            if not come:
                return await receive()
            message = come.popleft()
            if isinstance(message, NightlightError):
                raise message
            return message

        await self._app(scope, again, send)

    async def _decided(self, headers: dict[bytes, bytes], body: bytes) -> list[Decision] | None:
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() != b"bearer" or headers.get(b"content-type") != b"application/json":
            return None
        caller = self._house.verifier.known(token.decode("latin-1"))
        if caller is None or TokenScope.DECIDE.value not in caller.scopes:
            return None
        try:
            asked = DecisionsBody.model_validate_json(body)
            asker, claims = Asker(asked.viewer_id, asked.network, caller.subject), asked.claims()
            if asked.consistency is None:
                found = self._house.decide.at_hand(asked.viewer, asked.context, claims, asker)
                if found is not None:
                    return found
            return await run_in_threadpool(decided, self._house, asked, claims, asker)
        except (ValidationError, NightlightError):
            return None
