"""Uploads that are copies of what a standing takedown notice names: kept from everybody, like those on a hash list.

The notices' hashes are in the catalogue, and in an index on each worker's disk. A notice joins the list before copies
of its picture are searched for, and a picture is published only under the revision of the list that it was held
against: so every copy is met by one or the other.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight.catalogue.takedowns import LIST
from nightlight.flows.pictures.synced_index import NearQuery, SyncedIndex, search_all
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight_core.errors import Conflict, IndexBroken, ListsUnavailable

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.matching.index import HashIndex
    from nightlight.matching.list_index import ListIndexMatch
    from nightlight_core.ids import ImageId

# How far a hash may be from another to count for one of the same picture, in bits of 256. Of random hashes the
# probability is 2e-22 for WHOLE_WITHIN and 4e-26 for WINDOW_WITHIN; docs/operations.md has what real pictures do.
WHOLE_WITHIN, WINDOW_WITHIN = 52, 47
# The turns of ``PdqHashes`` that windows are looked for in: as they are, and mirrored.
UPRIGHT, MIRRORED, TURNS = 0, 5, 8
_HASH_BYTES = 32


class Noticed(NamedTuple):
    """The standing notices that a picture is near to, the hashes of its views, and the list's revision."""

    matches: Sequence[ListIndexMatch]
    views: bytes
    revision: int


@dataclass(slots=True)
class _OpenList:
    """The index as it was opened last, for reading, and the revision that it holds."""

    revision: int = -1
    index: HashIndex | None = None


@dataclass(frozen=True, slots=True)
class NoticeScreening:
    """Holds pictures against the standing notices; the index is in ``folder``. Thread-safe.

    After each ``unlike`` and one pictures that a notice keeps dark its job looks whether it floods.
    """

    catalogue: Catalogue
    folder: Path
    unlike: int
    _open: _OpenList = field(default_factory=_OpenList)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def screen(self, hashes: bytes) -> Noticed:
        """Return what hashes, eight turns of 32 bytes for each view, are near to.

        Raises ListsUnavailable where the list cannot be read; then the picture waits.
        """
        views = upright(hashes)
        with self._lock:
            revision, index = self._current()
        if not hashes or not index:
            return Noticed((), views, revision)
        queries = [
            NearQuery(query, WHOLE_WITHIN if turn in {UPRIGHT, MIRRORED} else WINDOW_WITHIN, 1)
            for turn, query in _queries(hashes)
        ]
        neighbours = search_all(index, queries)
        with self.catalogue.reading() as tx:
            standing = tx.takedowns.standing(sorted({near.number for _, near in neighbours}))
        nearest: dict[str, int] = {}
        for _, near in neighbours:
            notice = standing.get(near.number)
            if notice is not None and near.place not in notice.aside:
                nearest[notice.takedown_id] = min(near.distance, nearest.get(notice.takedown_id, near.distance))
        return Noticed([_entry(notice, distance) for notice, distance in nearest.items()], views, revision)

    def count(self, tx: Transaction, noticed: Noticed, image_id: ImageId, now: datetime) -> None:
        """Count a picture that notices keep dark, in the caller's transaction; its hashes are kept, to be compared."""
        tx.view_hashes.set(image_id, noticed.views)
        for match in noticed.matches:
            if tx.takedown_matches.count((LIST, match.reference)) % (self.unlike + 1) == 0:
                enqueue(tx, kinds.TAKEDOWN, match.reference, now)

    def _current(self) -> tuple[int, HashIndex | None]:
        """Return the list's revision and its index, None where no notice stands."""
        from nightlight.matching.index import HashIndex

        with self.catalogue.reading() as tx:
            revision = tx.takedowns.revision()
            standing = tx.takedowns.any_standing()
        if not standing:
            return revision, None
        if self._open.index is None or self._open.revision != revision:
            synced = SyncedIndex(self.catalogue, self.folder, standing_rows)
            try:
                with synced.synced(None):
                    self._open.index = HashIndex(self.folder)
            except (Conflict, IndexBroken, OSError) as error:
                raise ListsUnavailable(f"{self.folder}: the list of takedown notices: {error}") from error
            self._open.revision = revision
        return revision, self._open.index


def standing_rows(tx: Transaction, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Return the rows of the notices' index."""
    return tx.takedowns.standing_after(after, limit=limit)


def check_notices(tx: Transaction, noticed: Noticed) -> None:
    """Raise ListsUnavailable where the notices changed since a picture was held against them: it is, again.

    They are held unchanged until the transaction ends.
    """
    if tx.takedowns.revision(hold="share") != noticed.revision:
        raise ListsUnavailable("a takedown notice has come or gone while the picture was rendered")


def upright(hashes: bytes) -> bytes:
    """Return the hashes of views as they are, of eight turns each."""
    step = TURNS * _HASH_BYTES
    return b"".join(hashes[at : at + _HASH_BYTES] for at in range(0, len(hashes), step))


def _queries(hashes: bytes) -> list[tuple[int, Any]]:
    import numpy as np

    rows = np.frombuffer(hashes, np.uint8).reshape(-1, _HASH_BYTES)
    return [(place % TURNS, row) for place, row in enumerate(rows)]


def _entry(notice: str, distance: int) -> ListIndexMatch:
    from nightlight.matching.list_index import ListIndexMatch

    return ListIndexMatch(LIST, notice, distance)
