"""Profile and viewer ids in requests: percent-encoded in paths, as they are in JSON.

A server decodes a path before it looks for the route, so that ``a%2Fimage`` would be the image of ``a``.
``EncodedPath`` keeps what is between two slashes encoded until it is read as an id.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, unquote, unquote_to_bytes

from fastapi import Path
from pydantic import BeforeValidator, Field
from starlette.types import ASGIApp, Receive, Scope, Send

from nightlight_core.ids import MAX_PROFILE_ID_CHARS, PROFILE_ID_PATTERN

# What may stand in a part of a path as it is, beside letters, digits and -._~ (RFC 3986, section 3.3).
_PLAIN = "!$&'()*+,;=:@"


def _decoded(text: object) -> object:
    """Return a part of a path without its percent-encoding; raise ValueError where that is no UTF-8."""
    return unquote(text, errors="strict") if isinstance(text, str) else text


# In a body.
ProfileIdText = Annotated[str, Field(min_length=1, max_length=MAX_PROFILE_ID_CHARS, pattern=PROFILE_ID_PATTERN)]
# In a question about many: one that cannot be is answered with the placeholder, like one that nobody has.
AskedId = Annotated[str, Field(min_length=1, max_length=MAX_PROFILE_ID_CHARS)]
# In a path.
ProfileIdPath = Annotated[
    str,
    BeforeValidator(_decoded),
    Path(
        min_length=1,
        max_length=MAX_PROFILE_ID_CHARS,
        pattern=PROFILE_ID_PATTERN,
        description="The platform's own opaque id, percent-encoded.",
    ),
]


class EncodedPath:
    """Gives routes a path in which each part is encoded, and in one way only; plain paths are left as they are."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and b"%" in (raw := _raw_path(scope)):
            parts = raw.split(b"/")
            scope = {**scope, "path": "/".join(quote(unquote_to_bytes(part), safe=_PLAIN) for part in parts)}
        await self._app(scope, receive, send)


def _raw_path(scope: Scope) -> bytes:
    """Return the path as it was sent; a server that does not tell it has the id's slashes taken for the path's."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.partition(b"?")[0]
