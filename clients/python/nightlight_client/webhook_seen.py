"""What a receiver of webhooks remembers, so that no event is taken twice; and how it refuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from nightlight_client.errors import Problem


class WebhookRefused(Problem):
    """A request that is no event of ours, or not one to act on. ``status`` is what to answer.

    ``code``: webhook_too_large (413), webhook_malformed (400), webhook_expired (401), webhook_unsigned (401),
    webhook_busy (503), and that of WebhookReplayed.
    """


class WebhookReplayed(WebhookRefused):
    """An event that was taken before: nothing is to be done, and whoever sends it has its answer (204)."""


class SeenEvents(Protocol):
    """Remembers words for a time: where several processes take events, a store that they share.

    With Redis: ``SET key 1 NX EX seconds``, ``EXISTS key``, ``DEL key``. Each must be atomic.
    """

    def add(self, word: str, seconds: int) -> bool:
        """Remember a word; return whether it was new."""
        ...

    def has(self, word: str) -> bool:
        """Return whether a word is remembered."""
        ...

    def discard(self, word: str) -> None:
        """Forget a word."""
        ...


class AsyncSeenEvents(Protocol):
    """The same for an AsyncWebhookReceiver: ``redis.asyncio``, say."""

    def add(self, word: str, seconds: int) -> Awaitable[bool]:
        """Remember a word; return whether it was new."""
        ...

    def has(self, word: str) -> Awaitable[bool]:
        """Return whether a word is remembered."""
        ...

    def discard(self, word: str) -> Awaitable[None]:
        """Forget a word."""
        ...


class MemorySeen:
    """Remembers in this process alone, at most so many words at a time; with as many, nothing more is taken."""

    def __init__(self, most: int = 100_000, elapsed: Callable[[], float] = time.monotonic) -> None:
        """Remember nothing yet. 100,000 words take some 20 MB."""
        self._most, self._elapsed = most, elapsed
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, word: str, seconds: int) -> bool:
        """Remember a word; raises WebhookRefused (503) where there is no room: a replay could not be told."""
        with self._lock:
            now = self._elapsed()
            if self._until.get(word, now) > now:
                return False
            if len(self._until) >= self._most:
                self._until = {known: until for known, until in self._until.items() if until > now}
                if len(self._until) >= self._most:
                    raise WebhookRefused(503, "webhook_busy", "too many events at a time to tell replays")
            self._until[word] = now + seconds
            return True

    def has(self, word: str) -> bool:
        """Return whether a word is remembered."""
        with self._lock:
            now = self._elapsed()
            return self._until.get(word, now) > now

    def discard(self, word: str) -> None:
        """Forget a word."""
        with self._lock:
            self._until.pop(word, None)
