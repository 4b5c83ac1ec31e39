"""Who may call a route. A route names its scope, or that it is public; one that names neither is not built."""

from __future__ import annotations

import base64
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from nightlight.delivery.access_tokens import Caller, TokenScope
from nightlight_core.errors import Unauthenticated

if TYPE_CHECKING:
    from nightlight.delivery.access_tokens import AccessVerifier

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_SCOPE = "__nightlight_scope__"
_PUBLIC = "public"
# Scopes whose calls change nothing that decisions are made by; every other call is taken to have changed something.
_READING = frozenset(
    {
        TokenScope.DECIDE,
        TokenScope.SEARCH,
        TokenScope.LOCAL,
        TokenScope.EXPLAIN,
        TokenScope.TRACE,
        TokenScope.EXPORT,
        TokenScope.REVIEW,
    }
)
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


def requires(*scopes: TokenScope) -> Callable[[_Endpoint], _Endpoint]:
    """Mark an endpoint as open to callers whose token carries one of ``scopes``, or to any good token without them."""

    def mark(endpoint: _Endpoint) -> _Endpoint:
        setattr(endpoint, _SCOPE, scopes)
        return endpoint

    return mark


def public(endpoint: _Endpoint) -> _Endpoint:
    """Mark an endpoint as open to everybody."""
    setattr(endpoint, _SCOPE, _PUBLIC)
    return endpoint


class ScopedRoute(APIRoute):
    """A route whose endpoint says who may call it: see ``guarded``."""

    def get_route_handler(self) -> Handler:
        """Return the framework's handler, behind the check that the endpoint asked for."""
        if not hasattr(self.endpoint, _SCOPE):
            raise TypeError(f"{self.path} says neither @requires(scope) nor @public")
        return guarded(self.endpoint, super().get_route_handler())


def guarded(endpoint: Callable[..., Any], handler: Handler) -> Handler:
    """Return ``handler``, which calls ``endpoint``, behind the check that the endpoint asked for.

    The token is checked before anything of the request's body is read. After a call that may have changed what
    decisions are made by, this process uses no view that was read before the change feed is polled again.
    """
    scopes = getattr(endpoint, _SCOPE)
    if scopes == _PUBLIC:
        return handler

    async def authenticated(request: Request) -> Response:
        request.state.caller = await _authenticate(request, scopes)
        response = await handler(request)
        if not _READING.issuperset(scopes):
            request.app.state.services.change_feed.views.expire()
        return response

    return authenticated


def caller(request: Request) -> Caller:
    """Return who calls; only routes that require a scope have a caller."""
    authenticated: Caller = request.state.caller
    return authenticated


async def _authenticate(request: Request, scopes: Sequence[TokenScope]) -> Caller:
    """Return the caller that the request's token names; raise as ``verified`` does."""
    return await verified(request, _bearer_token(request.headers.get("authorization", ""), scopes), *scopes)


async def verified(request: Request, token: str, *scopes: TokenScope) -> Caller:
    """Return the caller that a token names and that has one of ``scopes``.

    A token that was good lately is looked up; every other is verified in the thread pool, since that may read keys.
    Raises Unauthenticated, Forbidden or Unavailable.
    """
    verifier: AccessVerifier = request.app.state.services.verifier
    caller = verifier.try_cached(token)
    if caller is None:
        caller = await run_in_threadpool(verifier.verify, token)
    caller.require(*scopes)
    return caller


def _bearer_token(header: str, scopes: Sequence[TokenScope]) -> str:
    kind, _, token = header.partition(" ")
    if kind.lower() == "basic" and TokenScope.IMPORT in scopes:  # S3 servers put what they know into the address
        kind, token = "bearer", _password(token)
    if kind.lower() != "bearer" or not token:
        raise Unauthenticated("no bearer token")
    return token.strip()


def _password(basic: str) -> str:
    """Return the password of Basic credentials (RFC 7617), empty where they are none."""
    try:
        return base64.b64decode(basic.strip(), validate=True).decode("ascii").partition(":")[2]
    except ValueError:
        return ""
