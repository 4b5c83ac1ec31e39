"""Signing in to pages, and the check of every form.

A page is opened with a token of the platform's callers, as the API is. The browser keeps it in a cookie that no script
reads, that goes to this host alone and over TLS, and that no other site's request carries. A form must carry a value
that only a page of this session has (OWASP's HMAC-based token pattern), and a browser must not say that it comes from
elsewhere. So a link or a form of another site does nothing here.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import parse_qs

from fastapi import Request, Response
from fastapi.routing import APIRoute

from nightlight.delivery.access_tokens import TokenScope
from nightlight_core.errors import Forbidden, InvalidInput, NightlightError, Unauthenticated
from service.auth import verified
from service.console.html_response import page

COOKIE = "__Host-nightlight-review"
FORM_TOKEN = "form_token"  # noqa: S105 - the name of a field
SIGN_IN = "/review/sign-in"
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 8


class ConsoleRoute(APIRoute):
    """A route that answers with pages: behind the session, but for signing in; and errors are pages too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the framework's handler, behind the session's checks."""
        handler = super().get_route_handler()

        async def checked(request: Request) -> Response:
            try:
                await _check(request)
                return await handler(request)
            except Unauthenticated:
                return page("sign_in.html", status=Unauthenticated.status, action=SIGN_IN, refused=_has_cookie(request))
            except NightlightError as error:
                return page("problem.html", status=error.status, detail=error.public_detail)

        return checked


def sign_in(response: Response, token: str) -> Response:
    """Give the browser a session by a token that was verified; it lasts as long as the token does."""
    response.set_cookie(COOKIE, token, path="/", secure=True, httponly=True, samesite="strict")
    return response


def sign_out(response: Response) -> Response:
    """End the browser's session."""
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    return response


def form_token(request: Request) -> str:
    """Return what every form of this session's pages carries."""
    return hmac.new(request.cookies.get(COOKIE, "").encode(), b"nightlight review form", "sha256").hexdigest()


async def form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form that was sent; raises InvalidInput where it is none."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise InvalidInput("a form is sent as application/x-www-form-urlencoded")
    try:
        fields = parse_qs((await request.body()).decode("ascii"), strict_parsing=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise InvalidInput("the form cannot be read") from error
    return {name: values[0] for name, values in fields.items()}


async def _check(request: Request) -> None:
    """Let a request pass that has a session and, where it changes something, comes from a page of that session."""
    if request.method == "POST" and request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Forbidden("the form comes from another site")
    if request.url.path == SIGN_IN:
        return
    token = request.cookies.get(COOKIE)
    if not token:
        raise Unauthenticated("no session")
    request.state.caller = await verified(request, token, TokenScope.REVIEW)
    if request.method == "POST":
        fields = await form(request)
        if not hmac.compare_digest(fields.get(FORM_TOKEN, ""), form_token(request)):
            raise Forbidden("the form is of another session")


def _has_cookie(request: Request) -> bool:
    return bool(request.cookies.get(COOKIE))
