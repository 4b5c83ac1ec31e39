"""The request about the client itself."""

from __future__ import annotations

from nightlight_client.models import TokenInfo
from nightlight_client.requests.http_request import Request, Retry
from nightlight_client.responses import reader

_read_caller = reader(TokenInfo)


def caller() -> Request[TokenInfo]:
    """Return who this client is to the service; any good token will do."""
    return Request(method="GET", path="/v1/caller", read=_read_caller, retry=Retry.NEVER_WITHIN_BUDGET)
