"""What ``nightlight backfill`` shows and minds while it goes on: a bar, a pace, and when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nightlight.cli.output import progress

if TYPE_CHECKING:
    from nightlight.flows.imports.backfill import Backfill

_LOOK_S = 0.5
# Counting asks the database for every key that waits.
_COUNT_S = 2.0


class Pace:
    """Waits so that no more than ``rate`` keys a second go by."""

    def __init__(self, rate: float) -> None:
        """Let ``rate`` keys a second by; 0 lets all by."""
        self._rate, self._free_at = rate, time.monotonic()

    def wait(self, keys: int) -> None:
        """Return when the next may go by."""
        if self._rate:
            self._free_at = max(self._free_at, time.monotonic()) + keys / self._rate
            time.sleep(max(0.0, self._free_at - time.monotonic()))


class StallLimit:
    """Says when a bucket has refused keys for ``seconds`` in which no other key came to an end."""

    def __init__(
        self, seconds: float, count: Callable[[], tuple[int, int]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``count`` gives how many keys are refused now, and how many have come to an end."""
        self._seconds, self._count, self._clock = seconds, count, clock
        self._ended, self._since, self._next_count = -1, clock(), clock()
        self._over = False

    def over(self) -> bool:
        """Say whether it is at its end, once and for all."""
        now = self._clock()
        if self._over or now < self._next_count:
            return self._over
        self._next_count = now + min(_COUNT_S, self._seconds / 4)
        denied, ended = self._count()
        if not denied or ended != self._ended:
            self._ended, self._since = ended, now
        self._over = now - self._since >= self._seconds
        return self._over


class WalkBar:
    """What there is to see meanwhile: keys listed, then keys taken with the time that is left."""

    def __init__(self, expect: int | None) -> None:
        """``expect`` is how many keys there are, if that is known."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} keys {task.fields[more]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = progress(*columns)
        self._listing = self._bar.add_task("listed", total=expect, more="")
        self._began, self._count = time.monotonic(), 0

    def __enter__(self) -> Self:
        """Show it."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._bar.stop()

    def listed(self, keys: int) -> None:
        """Count keys that were listed."""
        self._count += keys
        speed = self._count / max(1e-9, time.monotonic() - self._began)
        self._bar.update(self._listing, advance=keys, more=f"{speed:,.0f}/s")

    def waiting(self, keys: int) -> None:
        """Say that the workers have so many keys before them."""
        self._bar.update(self._listing, more=f"({keys:,} wait for the workers)")

    def until_done(self, flow: Backfill, import_id: str, stopped: StallLimit) -> int:
        """Wait for the workers; return how many keys are left if somebody interrupts, or the bucket refuses."""
        left = flow.waiting(import_id)
        task = self._bar.add_task("taken", total=left, more="")
        first = left
        try:
            while left and not stopped.over():
                time.sleep(_LOOK_S)
                left = flow.waiting(import_id)
                self._bar.update(task, completed=first - left)
        except KeyboardInterrupt:
            pass
        return left
