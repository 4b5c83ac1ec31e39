"""A policy by date: what is in force at a moment, and when that changes. Every date begins at midnight, UTC."""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, NamedTuple, TypeVar

# A policy changes by itself on at most so many days: each has a table of its own.
MOST_DATES = 16
# A clock that is set back by less than this many seconds takes nothing back. One that is set back further was wrong
# before, and is followed.
BACK_S = 3600.0
_DIGEST = "nightlight-policy-dated/1"

T = TypeVar("T")


class Period(NamedTuple, Generic[T]):
    """What is in force, what was before it (None: nothing was), and from when until when, in Unix seconds."""

    value: T
    before: T | None
    since: float
    until: float

    def holds(self, moment: float) -> bool:
        """Say whether this is in force at a moment, or was until the clock was set back a little."""
        return self.since - BACK_S <= moment < self.until


@dataclass(frozen=True, slots=True)
class Timeline(Generic[T]):
    """One value after the other: ``first``, and from each day (``2027-01-01``) on another; days rise."""

    first: T
    later: tuple[tuple[str, T], ...] = ()

    def on(self, day: str) -> T:
        """Return what is in force on a day; an empty text stands for the time before all of them."""
        return self.first if (place := self._place(day)) == 0 else self.later[place - 1][1]

    def at(self, moment: float) -> Period[T]:
        """Return what is in force at a moment, in Unix seconds."""
        place = self._place(datetime.fromtimestamp(moment, UTC).date().isoformat()) if self.later else 0
        values = [self.first, *(value for _, value in self.later)]
        return Period(
            values[place],
            values[place - 1] if place else None,
            begin_of(self.later[place - 1][0]) if place else -math.inf,
            begin_of(self.later[place][0]) if place < len(self.later) else math.inf,
        )

    def _place(self, day: str) -> int:
        return bisect_right([begins for begins, _ in self.later], day)


def iso_day(text: str) -> str:
    """Return a day as it is written, 2027-01-31; raise ValueError for any other text."""
    day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    if day != text:
        raise ValueError("a day is written 2027-01-31")
    return day


def begin_of(day: str) -> float:
    """Return when a day begins, in Unix seconds; raise ValueError for a text that is no day."""
    return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()


def digest_of(first: str, later: Iterable[tuple[str, str]]) -> str:
    """Return the digest of a policy: of its one table, or of all of them with their dates."""
    dated = list(later)
    if not dated:
        return first
    return hashlib.sha256(json.dumps([_DIGEST, first, dated], separators=(",", ":")).encode()).hexdigest()
