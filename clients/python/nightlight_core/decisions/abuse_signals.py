"""Signals of abuse: a viewer or a network that looks like a scraper, and why.

They wait in a bounded buffer for whoever writes them down or reports them, so that nobody's decision waits for that.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from nightlight_core.decisions.quotas import Requester

OVER_QUOTA, MANY_PROFILES, CANARY = "over-quota", "many-profiles", "canary"
KINDS = ("viewer", "network")
# The same is noted once in so many seconds: a scraper must not be able to make us write.
_NOTE_AGAIN_S = 60.0
_MOST_NOTED = 50_000


class AbuseSignal(NamedTuple):
    """Somebody who looks like a scraper: a viewer or a network, as the platform names it, and why."""

    kind: str
    who: str
    reason: str


class AbuseSignalSink(Protocol):
    """What the decision engine tells of abuse, and of limits that cannot be kept."""

    def note(self, requester: Requester, reason: str) -> None:
        """Take in that a requester looks like a scraper."""
        ...

    def quotas_unavailable(self, pictures: int, detail: str) -> None:
        """Take in that quotas did not answer, so that ``pictures`` were not given."""
        ...


class AbuseSignalBuffer:
    """Signals that wait, the oldest first; the oldest give way. Safe to share between threads.

    ::

        signals = buffer.drain()
        ...                          write them down
        buffer.restore(signals)      if that failed
    """

    def __init__(self, *, most: int) -> None:
        """Keep at most ``most`` signals."""
        self._noted_at: dict[AbuseSignal, float] = {}
        self._lock = threading.Lock()
        self._waiting: deque[AbuseSignal] = deque(maxlen=most)

    def note(self, requester: Requester, reason: str) -> None:
        """Add the requester's signals, unless they were noted lately."""
        named = zip(KINDS, (requester.viewer_id, requester.network), strict=True)
        signals = [AbuseSignal(kind, who, reason) for kind, who in named if who is not None]
        now = time.monotonic()
        with self._lock:
            fresh = [signal for signal in signals if now - self._noted_at.get(signal, float("-inf")) >= _NOTE_AGAIN_S]
            if len(self._noted_at) >= _MOST_NOTED:
                self._noted_at.clear()
            self._noted_at.update(dict.fromkeys(fresh, now))
        if fresh:
            self.add(fresh)

    def quotas_unavailable(self, pictures: int, detail: str) -> None:
        """Tell nobody: it is the operator of the quotas who hears of that."""

    def add(self, signals: Sequence[AbuseSignal]) -> None:
        """Add signals."""
        with self._lock:
            self._waiting.extend(signals)

    def drain(self) -> list[AbuseSignal]:
        """Return what waits; it waits no longer."""
        with self._lock:
            signals = list(self._waiting)
            self._waiting.clear()
        return signals

    def restore(self, signals: Sequence[AbuseSignal]) -> None:
        """Let drained signals wait again, before those that came since."""
        with self._lock:
            newer = list(self._waiting)
            self._waiting.clear()
            self._waiting.extend([*signals, *newer])
