"""The clock that is passed in wherever time matters, so that tests can turn it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the time now, in UTC and aware of it."""
    return datetime.now(UTC)
