"""Counts of decisions by combination: words and numbers, never who asked or about whom."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue.policies import DECIDED, WOULD_CLOSE, WOULD_OPEN
from nightlight_core.errors import NightlightError
from nightlight_core.ids import ImageId
from nightlight_core.policy import protection
from nightlight_core.policy.table import ALLOW

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight_core.clock import Clock
    from nightlight_core.decisions.answers import Answer
    from nightlight_core.policy.table import Outcome, Table

# How much an outcome shows, comparable between packs with different words: a number for each field of a recipe that can
# weaken protection, then cache_s, per_hour and whether it may be captured.
Openness = tuple[float, ...]
# Of pictures that are asked for and wait to be rendered again, so many are counted between two flushes.
_MOST_BEHIND = 1000
_NOTHING: Openness = (-math.inf,) * len(protection.OPENING)


def openness(table: Table, outcome: Outcome) -> Openness:
    """Return how much an outcome of ``table`` shows; larger numbers show more."""
    recipe = table.tiers.get(outcome.tier)
    limits = outcome.cache_s, outcome.per_hour, outcome.capture == ALLOW
    return (*(protection.exposure(recipe) if recipe else _NOTHING), *limits)


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
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._counts: Counter[tuple[str, str | None]] = Counter()
        self._behind: Counter[str] = Counter()

    def count(self, answers: Sequence[Answer]) -> None:
        """Count the answers of one request: each its cell, and the difference that a candidate would make to it."""
        metrics.DECISIONS.inc(len(answers))
        if unknown := [answer.unknown_words for answer in answers if answer.unknown_words]:
            metrics.UNKNOWN_WORDS.inc(len(unknown))
            logs.get("decide").warning("decisions.unknown_word", words=sorted({*sum(unknown, ())}))
        tallies = [answer.tally for answer in answers if answer.tally is not None]
        behind = [answer.image_id for answer in answers if answer.behind]
        with self._lock:
            self._counts.update(tallies)
            if behind and len(self._behind) < _MOST_BEHIND:
                self._behind.update(behind)

    def add(self, tally: tuple[str, str | None], times: int) -> None:
        """Count a decision that was made ``times`` times elsewhere."""
        with self._lock:
            self._counts[tally] += times

    def flush(self) -> None:
        """Write down what was counted; if the catalogue does not answer, it is counted on.

        Whoever asks for this and reads then sees what another thread was about to write, too.
        """
        with self._writing:
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            tallies, self._counts = self._counts, Counter()
            behind, self._behind = self._behind, Counter()
        if behind:
            self._ask(behind)
        if not tallies:
            return
        counts: dict[str, Counter[str]] = {DECIDED: Counter()}
        for (cell, kind), count in tallies.items():
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
                self._counts.update(tallies)

    def _ask(self, behind: Counter[str]) -> None:
        """Have pictures rendered first that were asked for and are not as the policy wants them."""
        try:
            with self._catalogue.transaction() as tx:
                tx.rerenders.ask({ImageId(image_id): views for image_id, views in behind.items()})
        except NightlightError as error:  # they are rendered all the same, in their turn
            logs.get("count").warning("demand.not_written", code=error.code)

    def run(self, stop: threading.Event) -> None:
        """Flush every few seconds until ``stop`` is set, and once more then."""
        while not stop.wait(self._flush_s):
            self.flush()
        self.flush()
