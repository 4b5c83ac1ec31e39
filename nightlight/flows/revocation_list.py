"""Keeps the edges' lists of revoked pictures complete, and vouches for them.

::

    read      the feed of changes: what was revoked since the last time, or all that still may have an object
    revoke    each edge is told of it, some seconds before a worker gets to renaming and deleting   (flows.revoke)
    vouch     each edge is told that its list was complete when the catalogue was read

An edge that is not vouched for in time shows nothing. What a worker drops from the catalogue it has told the edges of
before; so what the catalogue holds, and what was told, is everything.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue.feed import NAME
from nightlight.delivery.names import EXTENSIONS, object_key
from nightlight.errors import NightlightError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nightlight.catalogue.engine import Catalogue
    from nightlight.clock import Clock
    from nightlight.delivery.purge import Edge

# More names than this are not kept for an edge that does not answer: it is told everything anew.
_MOST_WAITING = 20_000


@dataclass(slots=True)
class _Told:
    """What one edge has yet to be told; ``since`` is the moment up to which its list is complete, None for never."""

    edge: Edge
    since: int | None = None
    waiting: set[str] = field(default_factory=set)
    vouched_s: float = float("-inf")


class RevocationPublisher:
    """Tells edges; one thread runs it. Several processes may each have one: what is told twice does no harm."""

    def __init__(self, catalogue: Catalogue, edges: Sequence[Edge], *, every_s: float, clock: Clock) -> None:
        """Vouch for the lists of ``edges`` every ``every_s`` seconds; name what is revoked as soon as it is seen."""
        self._catalogue, self._every_s, self._clock = catalogue, every_s, clock
        self._told = [_Told(edge) for edge in edges]
        self._cursor: str | None = None

    def run_once(self) -> int:
        """Tell every edge what is new; return how many are up to date. Raises CatalogueUnavailable.

        An edge that does not answer is logged and tried again the next time; the others do not wait for it.
        """
        if not self._told:
            return 0
        at = int(self._clock().timestamp())
        anew = any(told.since is None for told in self._told)
        with self._catalogue.reading() as tx:
            look = tx.feed.since(None if anew else self._cursor)
            names = None if look.anew else [key for kind, key in look.changed if kind == NAME]
            rows = tx.revocations.named(names)
        self._cursor = look.cursor
        keys = {object_key(name, EXTENSIONS[format_]) for name, format_ in rows}
        return sum(self._tell(told, keys, at, whole=look.anew) for told in self._told)

    def _tell(self, told: _Told, keys: set[str], at: int, *, whole: bool) -> bool:
        edge = told.edge
        told.waiting |= keys
        try:
            if told.waiting:
                edge.revoke(sorted(told.waiting))
                told.waiting.clear()
            now = time.monotonic()
            if told.since is None or now - told.vouched_s >= self._every_s:
                known = edge.vouch(since=None if whole else told.since, at=at)
                told.since, told.vouched_s = (at, now) if known else (None, float("-inf"))
        except NightlightError as error:
            logs.get("edges").error("edge.not_told", code=error.code, detail=str(error), count=len(told.waiting))
            if len(told.waiting) > _MOST_WAITING:
                told.waiting.clear()
                told.since = None
            metrics.EDGE_LISTS.labels(edge.name, "failed").inc()
            return False
        metrics.EDGE_LISTS.labels(edge.name, "told").inc()
        if told.since is not None:
            metrics.EDGE_LIST_MOMENT.labels(edge.name).set(told.since)
        return told.since is not None
