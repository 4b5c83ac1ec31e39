"""Counts of decisions by combination: words and numbers, never who asked or about whom."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from nightlight import logs
from nightlight.catalogue.policies import DECIDED, WOULD_CLOSE, WOULD_OPEN
from nightlight_core.errors import NightlightError

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight_core.clock import Clock
    from nightlight_core.policy.table import Outcome, Table

# How much an outcome opens, comparable between packs with different words: edge in pixels, cache_s, per_hour.
Openness = tuple[int, int, int]


def openness(table: Table, outcome: Outcome) -> Openness:
    """Return how much an outcome of ``table`` opens."""
    tier = table.tiers.get(outcome.tier)
    return (tier.edge if tier else 0, outcome.cache_s, outcome.per_hour)


def difference(version: int, active: Openness, would: Openness) -> str | None:
    """Return the kind of difference that a candidate makes to one decision, None where it makes none."""
    if would == active:
        return None
    higher = any(new > old for new, old in zip(would, active, strict=True))
    return f"{WOULD_OPEN if higher else WOULD_CLOSE}:{version}"


class DecisionCounter:
    """Adds up in memory and writes down every few seconds. Safe to share between threads."""

    def __init__(self, catalogue: Catalogue, clock: Clock, *, flush_s: float) -> None:
        """Write into ``catalogue`` every ``flush_s`` seconds once ``run`` is called."""
        self._catalogue = catalogue
        self._clock = clock
        self._flush_s = flush_s
        self._lock = threading.Lock()
        self._counted: Counter[tuple[str, str | None]] = Counter()

    def count(self, decided: Iterable[tuple[str, str | None]]) -> None:
        """Count decisions: each its cell, and the difference that a candidate would make to it."""
        with self._lock:
            self._counted.update(decided)

    def add(self, decided: tuple[str, str | None], times: int) -> None:
        """Count a decision that was made ``times`` times."""
        with self._lock:
            self._counted[decided] += times

    def flush(self) -> None:
        """Write down what was counted; if the catalogue does not answer, it is counted on."""
        with self._lock:
            taken, self._counted = self._counted, Counter()
        if not taken:
            return
        counts: dict[str, Counter[str]] = {DECIDED: Counter()}
        for (cell, kind), count in taken.items():
            counts[DECIDED][cell] += count
            if kind is not None:
                counts.setdefault(kind, Counter())[cell] += count
        try:
            with self._catalogue.transaction() as tx:
                for kind, cells in counts.items():
                    tx.policies.count(self._clock().date(), kind, cells)
        except NightlightError as error:
            logs.get("count").warning("counts.kept", code=error.code)
            with self._lock:
                self._counted.update(taken)

    def run(self, stop: threading.Event) -> None:
        """Flush every few seconds until ``stop`` is set, and once more then."""
        while not stop.wait(self._flush_s):
            self.flush()
        self.flush()
