"""What makes a change count in the next decision: consistency tokens, and the end of views that are older.

A consistency token is a change's number, which a decision may ask to be no older than, on whatever node. The node that
made the change needs no token: its views are expired.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response

CONSISTENCY = "Nightlight-Consistency"
CONSISTENCY_PATTERN = r"^[1-9][0-9]{0,17}$"


def changed(number: int) -> Response:
    """Return the empty answer to a change that was made, with its token."""
    return Response(status_code=204, headers={CONSISTENCY: str(number)})


def expiring_views(
    handler: Callable[[Request], Coroutine[Any, Any, Response]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """Return a handler after which no view is used that was read before the change feed is polled again."""

    async def expiring(request: Request) -> Response:
        response = await handler(request)
        request.app.state.services.change_feed.views.expire()
        return response

    return expiring
