"""Consistency tokens: a change's number, which a decision may ask to be no older than, on whatever node.

The node that made the change needs no token: ``service.auth`` expires its views.
"""

from __future__ import annotations

from fastapi import Response

CONSISTENCY = "Nightlight-Consistency"
CONSISTENCY_PATTERN = r"^[1-9][0-9]{0,17}$"


def changed(number: int) -> Response:
    """Return the empty answer to a change that was made, with its token."""
    return Response(status_code=204, headers={CONSISTENCY: str(number)})
