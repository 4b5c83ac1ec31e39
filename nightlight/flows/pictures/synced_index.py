"""An index of hashes on this machine's disk that follows numbered rows of the catalogue.

Each row has a number that is never given twice, and one or more hashes. The catalogue is the source of truth: what is
in the index and no longer there is removed when it is met. An index that does not open is made again; so is one of
another catalogue or time, as after the catalogue was restored: it has another hash under one of its newest numbers, or
the catalogue has no row from there on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight_core.errors import IndexBehind, IndexBroken

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.matching.index import HashIndex

# Rows that are read from the catalogue at once.
_BATCH = 10_000
# Another process holds the index while it searches or brings it up to date.
_WAIT_S = 30.0
_HALF = 8
_HASH_BYTES = 32


class IndexedHash(NamedTuple):
    """A hash near to what was searched for: its row's number, its place in the row, and the distance in bits."""

    number: int
    place: int
    distance: int


class NearQuery(NamedTuple):
    """A hash, uint8 (32,), and how far from it others may be: see ``HashIndex.search_beyond``."""

    hash: Any
    within: int
    flips: int


def discard_index(folder: Path) -> None:
    """Delete an index, so that the next search makes it again from the catalogue."""
    from nightlight.matching.index import HashIndex

    HashIndex.discard(folder)


def search_all(index: HashIndex, queries: Sequence[NearQuery]) -> list[tuple[int, IndexedHash]]:
    """Return (query's place, hash) for each hash of an open index that is near to a query."""
    return [
        (place, IndexedHash(*_split(match.key), match.distance))
        for place, query in enumerate(queries)
        for match in index.search_beyond(query.hash, within=query.within, flips=query.flips)
    ]


@dataclass(frozen=True, slots=True)
class SyncedIndex:
    """The index in ``folder``; ``rows`` gives (number, hashes of 32 bytes each) after a number, in order.

    ``late`` is how many numbers may be seen later than a higher one, since numbers are given before rows are seen.
    """

    catalogue: Catalogue
    folder: Path
    rows: Callable[[Transaction, int, int], Sequence[tuple[int, bytes]]]
    late: int = 0

    def search(self, queries: Sequence[NearQuery], *, until: float | None = None) -> list[tuple[int, IndexedHash]]:
        """Return (query's place, hash) for each hash that is near to a query.

        Raises Conflict where another process holds the index for long, and IndexBehind where more is to be indexed
        than can be done ``until`` a moment of the monotonic clock: the next call goes on from there.
        """
        with self.synced(until) as index:
            return search_all(index, queries)

    def forget(self, numbers: Sequence[tuple[int, int]]) -> None:
        """Remove hashes, given as (number, place), whose rows are in the catalogue no more."""
        if numbers:
            with self.synced(None) as index:
                for number, place in numbers:
                    index.remove(_key(number, place))

    @contextmanager
    def synced(self, until: float | None) -> Iterator[HashIndex]:
        """Give the index, which holds all that the catalogue does."""
        from nightlight.matching.index import HashIndex

        with ExitStack() as opened:
            try:
                index = opened.enter_context(HashIndex(self.folder, write=True, wait_s=_WAIT_S))
                self._sync(index, until)
            except IndexBroken:
                opened.close()
                HashIndex.discard(self.folder)
                index = opened.enter_context(HashIndex(self.folder, write=True, wait_s=_WAIT_S))
                self._sync(index, until)
            yield index

    def _sync(self, index: HashIndex, until: float | None) -> None:
        # A row has some ten hashes; those of the newest rows tell which numbers are there. The newest is read again.
        late = max(1, self.late)
        newest = dict(index.newest(40 * late))
        known = {_split(key)[0] for key in newest}
        last = begin = max(0, max(known, default=0) - late)
        while True:
            with self.catalogue.reading() as tx:
                rows = self.rows(tx, last, _BATCH)
            if not rows and known and last == begin:
                raise IndexBroken(f"the catalogue has no row after {begin}, and the index has some")
            if not rows:
                return
            last = rows[-1][0]
            for number, hashes in rows:
                if any(newest.get(key, hash_) != hash_ for key, hash_ in _entries(number, hashes)):
                    raise IndexBroken(f"row {number} has other hashes in the catalogue")
            fresh = [entry for number, hashes in rows if number not in known for entry in _entries(number, hashes)]
            if fresh:
                index.extend(fresh)
            if len(rows) == _BATCH and until is not None and time.monotonic() > until:
                raise IndexBehind(f"{len(index)} hashes are in the index, and more are in the catalogue")


def _entries(number: int, hashes: bytes) -> Iterator[tuple[bytes, bytes]]:
    for place in range(len(hashes) // _HASH_BYTES):
        yield _key(number, place), hashes[place * _HASH_BYTES : (place + 1) * _HASH_BYTES]


def _key(number: int, place: int) -> bytes:
    return number.to_bytes(_HALF, "big") + place.to_bytes(_HALF, "big")


def _split(key: bytes) -> tuple[int, int]:
    return int.from_bytes(key[:_HALF], "big"), int.from_bytes(key[_HALF:], "big")
