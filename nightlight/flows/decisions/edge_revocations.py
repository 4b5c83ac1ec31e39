"""Keeps the edges' lists of revoked pictures complete, and confirms it to them.

::

    read      the feed of changes: what was revoked since the last time, or all that still may have an object
    revoke    each edge is told of it, some seconds before a worker gets to renaming and deleting   (pictures.revoke)
    confirm   each edge is told that its list was complete when the catalogue was read

An edge whose list is not confirmed in time shows nothing. A worker tells the edges of a picture before it drops it from
the catalogue. So what the catalogue holds, and what was told, is everything.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue.feed import NAME
from nightlight.delivery.object_names import rendition_key
from nightlight_core.errors import NightlightError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nightlight.catalogue.engine import Catalogue
    from nightlight.delivery.purge import RevocationEdge
    from nightlight_core.clock import Clock

# More names than this are not kept for an edge that does not answer: it is told everything again.
_MOST_WAITING = 20_000
# An edge that fails again and again is asked less often, by a second more each time, up to this.
_MOST_PAUSE_S, _FREE_FAILURES = 10, 2


@dataclass(slots=True)
class _EdgeState:
    """What one edge has yet to be told; ``since`` is the moment up to which its list is complete, None for never."""

    edge: RevocationEdge
    since: int | None = None
    waiting: set[str] = field(default_factory=set)
    confirmed_s: float = float("-inf")
    failures: int = 0
    next_s: float = float("-inf")


class RevocationPublisher:
    """Tells edges; one thread runs it. Several processes may each have one: what is told twice does no harm."""

    def __init__(self, catalogue: Catalogue, edges: Sequence[RevocationEdge], *, every_s: float, clock: Clock) -> None:
        """Confirm the lists of ``edges`` every ``every_s`` seconds; name what is revoked as soon as it is seen."""
        self._catalogue, self._every_s, self._clock = catalogue, every_s, clock
        self._edge_states = [_EdgeState(edge) for edge in edges]
        for edge in edges:  # an edge that never answers is seen too
            metrics.EDGE_LIST_MOMENT.labels(edge.name).set(0)
        self._cursor: str | None = None

    def run_once(self) -> int:
        """Tell every edge what is new; return how many are up to date. Raises CatalogueUnavailable.

        They are told beside each other: one that does not answer holds up no other. It is logged, and tried again.
        """
        if not self._edge_states:
            return 0
        at, now = int(self._clock().timestamp()), time.monotonic()
        due = [edge_state for edge_state in self._edge_states if edge_state.next_s <= now]
        with self._catalogue.reading() as tx:
            page = tx.feed.since(self._cursor)
            names = None if page.reset else [key for kind, key in page.changed if kind == NAME]
            fresh = _keys(tx.revocations.named(names))
            lost = not page.reset and any(edge_state.since is None for edge_state in due)
            every = _keys(tx.revocations.named(None)) if lost else fresh
        self._cursor = page.cursor
        for edge_state in self._edge_states:
            complete = page.reset or edge_state.since is None
            edge_state.since = None if complete else edge_state.since
            edge_state.waiting |= every if complete and edge_state in due else fresh
        with ThreadPoolExecutor(max(1, len(due))) as threads:
            return sum(threads.map(lambda edge_state: self._tell(edge_state, at), due))

    def _tell(self, edge_state: _EdgeState, at: int) -> bool:
        edge = edge_state.edge
        try:
            if edge_state.waiting:
                edge.revoke(sorted(edge_state.waiting))
                edge_state.waiting.clear()
            now = time.monotonic()
            if edge_state.since is None or now - edge_state.confirmed_s >= self._every_s:
                accepted = edge.confirm(since=edge_state.since, at=at)
                edge_state.since, edge_state.confirmed_s = (at if accepted else None), now
        except NightlightError as error:
            self._failed(edge_state, error)
            return False
        edge_state.failures = 0
        metrics.EDGE_LISTS.labels(edge.name, "told").inc()
        if edge_state.since is None:
            return False
        metrics.EDGE_LIST_MOMENT.labels(edge.name).set(edge_state.since)
        return True

    def _failed(self, edge_state: _EdgeState, error: NightlightError) -> None:
        logs.get("edges").error("edge.not_told", code=error.code, detail=str(error), count=len(edge_state.waiting))
        metrics.EDGE_LISTS.labels(edge_state.edge.name, "failed").inc()
        edge_state.failures += 1
        edge_state.next_s = time.monotonic() + min(max(0, edge_state.failures - _FREE_FAILURES), _MOST_PAUSE_S)
        if len(edge_state.waiting) > _MOST_WAITING:
            edge_state.waiting.clear()
            edge_state.since = None


def _keys(rows: Sequence[tuple[str, str]]) -> set[str]:
    return {rendition_key(name, format_) for name, format_ in rows}
