"""The fast path: decisions and pictures reach their endpoints before the framework's own middleware and routing.

These are called more often than all others together, and the way through the framework costs as much as what they
do. The fast path has no answers of its own: it calls the same endpoint as the route would, behind the same check of the
token, and errors are answered by the same handlers. Every other request goes on to the routes.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from fastapi import Request

from service import problems
from service.auth import guarded
from service.middleware import DECISIONS, EVALUATION, EVALUATIONS, RENDITION, ROUTE
from service.routes.authzen import evaluation, evaluations
from service.routes.decisions import decide
from service.routes.edge_avatars import AVATAR, avatar
from service.routes.rendition_files import picture

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from service.auth import Handler

# The path and the query of our URLs, as they are written; whatever else may mean the same is for the routes to read.
_PATH = re.compile(r"/a/([a-z0-9]+)\.([a-z0-9]+)")
_QUERY = re.compile(r"e=([0-9]{10})&k=([a-z0-9]{2})&s=([A-Za-z0-9_-]{22})")


class FastPath:
    """The innermost middleware: everything outside it is passed by these requests too."""

    def __init__(self, app: ASGIApp) -> None:
        """Send what is not on the fast path to ``app``."""
        self._app = app
        self._posted = {
            DECISIONS: guarded(decide, decide),
            EVALUATION: guarded(evaluation, evaluation),
            EVALUATIONS: guarded(evaluations, evaluations),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        handler = self._handler(scope) if scope["type"] == "http" else None
        if handler is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await handler(request)
        except problems.ANSWERED as error:
            response = await problems.response_to(request, error)
        await response(scope, receive, send)

    def _handler(self, scope: Scope) -> Handler | None:
        """Return the handler of a request that is on the fast path."""
        path, method = scope["path"], scope["method"]
        if method == "POST" and (handler := self._posted.get(path)) is not None:
            scope[ROUTE] = path
            return handler
        if path == AVATAR and method == "GET":
            scope[ROUTE] = AVATAR
            return avatar
        if method in {"GET", "HEAD"} and (address := _PATH.fullmatch(path)) is not None:
            signed = _QUERY.fullmatch(scope["query_string"].decode("latin-1"))
            if signed is not None:
                scope[ROUTE] = RENDITION
                name, extension = address.groups()
                expiry, key_id, signature = signed.groups()
                return partial(picture, name=name, extension=extension, e=expiry, k=key_id, s=signature)
        return None
