"""Who may call a route. A route says its scope, or that it is public; one that says neither is not built."""

from __future__ import annotations

import base64
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from nightlight.delivery.access_tokens import Caller, TokenScope
from nightlight_core.errors import Unauthenticated

if TYPE_CHECKING:
    from nightlight.wiring import ServiceContainer

_SCOPE = "__nightlight_scope__"
_PUBLIC = "public"
# Scopes whose calls change nothing that decisions are made by.
_ASKS = frozenset({TokenScope.DECIDE, TokenScope.LOCAL, TokenScope.EXPLAIN, TokenScope.TRACE})
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


def requires(scope: TokenScope) -> Callable[[_Endpoint], _Endpoint]:
    """Mark an endpoint as open to callers whose token carries ``scope``."""

    def mark(endpoint: _Endpoint) -> _Endpoint:
        setattr(endpoint, _SCOPE, scope)
        return endpoint

    return mark


def public(endpoint: _Endpoint) -> _Endpoint:
    """Mark an endpoint as open to everybody."""
    setattr(endpoint, _SCOPE, _PUBLIC)
    return endpoint


class ScopedRoute(APIRoute):
    """Checks the token before anything of the request's body is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, behind the check that the endpoint asked for."""
        handler = super().get_route_handler()
        scope = getattr(self.endpoint, _SCOPE, None)
        if scope is None:
            message = f"{self.path} says neither @requires(scope) nor @public"
            raise TypeError(message)
        if scope == _PUBLIC:
            return handler

        async def checked(request: Request) -> Response:
            request.state.caller = await run_in_threadpool(_authenticate, request, scope)
            answer = await handler(request)
            if scope not in _ASKS:
                request.app.state.house.watch.views.expire()  # what has just been changed is in the next decision
            return answer

        return checked


def caller(request: Request) -> Caller:
    """Return who calls; only routes that require a scope have a caller."""
    authenticated: Caller = request.state.caller
    return authenticated


def _authenticate(request: Request, scope: TokenScope) -> Caller:
    house: ServiceContainer = request.app.state.house
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic" and scope is TokenScope.IMPORT:  # S3 servers put what they know into the address
        kind, token = "bearer", _password(token)
    if kind.lower() != "bearer" or not token:
        message = "no bearer token"
        raise Unauthenticated(message)
    authenticated = house.verifier.verify(token.strip())
    authenticated.require(scope)
    return authenticated


def _password(basic: str) -> str:
    """Return the password of Basic credentials (RFC 7617), empty where they are none."""
    try:
        return base64.b64decode(basic.strip(), validate=True).decode("ascii").partition(":")[2]
    except ValueError:
        return ""
