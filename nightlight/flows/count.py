"""Counts of decisions by combination: words and numbers, never who asked or about whom."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nightlight import logs
from nightlight.catalogue.policies import DECIDED, WOULD_CLOSE, WOULD_OPEN
from nightlight.errors import NightlightError

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.clock import Clock
    from nightlight.policy.table import Outcome, Table

# How much an outcome opens, comparable between packs with different words: edge in pixels, cache_s, per_hour.
Openness = tuple[int, int, int]


def openness(table: Table, outcome: Outcome) -> Openness:
    """Return how much an outcome of ``table`` opens."""
    tier = table.tiers.get(outcome.tier)
    return (tier.edge if tier else 0, outcome.cache_s, outcome.per_hour)


class DecisionCounter:
    """Adds up in memory and writes down every few seconds. Safe to share between threads."""

    def __init__(self, catalogue: Catalogue, clock: Clock, *, flush_s: float) -> None:
        """Write into ``catalogue`` every ``flush_s`` seconds once ``run`` is called."""
        self._catalogue = catalogue
        self._clock = clock
        self._flush_s = flush_s
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[str]] = {}

    def count(self, inputs: Mapping[str, str], active: Openness, candidate: tuple[int, Openness] | None) -> None:
        """Count one decision, and whether the candidate (version, what it gives) would have shown more or less."""
        cell = ",".join(inputs.values())
        with self._lock:
            self._counts.setdefault(DECIDED, Counter())[cell] += 1
            if candidate is None or candidate[1] == active:
                return
            version, given = candidate
            higher = any(new > old for new, old in zip(given, active, strict=True))
            kind = f"{WOULD_OPEN if higher else WOULD_CLOSE}:{version}"
            self._counts.setdefault(kind, Counter())[cell] += 1

    def flush(self) -> None:
        """Write down what was counted; if the catalogue does not answer, it is counted on."""
        with self._lock:
            taken, self._counts = self._counts, {}
        if not taken:
            return
        try:
            with self._catalogue.transaction() as tx:
                for kind, counts in taken.items():
                    tx.policies.count(self._clock().date(), kind, counts)
        except NightlightError as error:
            logs.get("count").warning("counts.kept", code=error.code)
            with self._lock:
                for kind, counts in taken.items():
                    self._counts.setdefault(kind, Counter()).update(counts)

    def run(self, stop: threading.Event) -> None:
        """Flush every few seconds until ``stop`` is set, and once more then."""
        while not stop.wait(self._flush_s):
            self.flush()
        self.flush()
