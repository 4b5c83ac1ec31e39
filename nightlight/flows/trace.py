"""A found copy, back to the rendition it was made from.

::

    sync       the index takes in what was published since it was last asked; a broken one is made again
    look       the copy goes through the cage, like any upload that nobody trusts
    search     its perceptual hash, as it is, turned and mirrored, among those of all renditions
    origin     the catalogue says what a near hash leads back to; what was erased leads nowhere

Nothing of the copy is kept but its SHA-256 in the audit log, with who asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightlight.errors import IndexBroken
from nightlight.ids import ImageId, ProfileId

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.clock import Clock
    from nightlight.matching.index import HashIndex

# Rows that are read from the catalogue at once.
_BATCH = 10_000
# Numbers are given when a row is written and seen when its transaction ends, so a lower one may come after a higher:
# at most so many are on their way at once (four tiers, 250 pictures published at the same moment).
_LATE = 1_000
# At most so many origins are told of one copy: more means that the picture is a common one.
MOST = 20


@dataclass(frozen=True, slots=True)
class Found:
    """One rendition that the copy may come from; ``distance`` of 256 bits, at most 31: the nearest is the likeliest."""

    image_id: ImageId
    profile_id: ProfileId
    tier: str
    state: str
    rendered_at: datetime
    distance: int


@dataclass(frozen=True, slots=True)
class Traced:
    """What is known of a copy: its SHA-256, its hash's quality (under 50 it says nothing), what it may come from."""

    sha256: str
    quality: int
    searched: int
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """Traces copies by their perceptual hash. ``look`` gives a copy's luma, uint8 (512, 512), one way or two."""

    catalogue: Catalogue
    folder: Path
    look: Callable[[bytes], Sequence[Any]]
    clock: Clock

    def trace(self, data: bytes, *, actor: str) -> Traced:
        """Return what ``data``, an image file that nobody trusts, may be a copy of.

        Raises ImageRefused and its kinds, DecoderDied, CatalogueUnavailable, or Conflict while another process
        brings the index up to date.
        """
        from nightlight.matching.pdq import LEAST_QUALITY, pdq

        sha256 = hashlib.sha256(data).hexdigest()
        with self.catalogue.transaction() as tx:
            tx.audit.append("trace.asked", now=self.clock(), actor=actor, detail={"sha256": sha256})
        hashed = [pdq(pixels) for pixels in self.look(data)]
        quality = max(one.quality for one in hashed)
        queries = [row for one in hashed if one.quality >= LEAST_QUALITY for row in one.hashes]
        try:
            found, searched = self._search(queries)
        except IndexBroken:
            self.rebuild()
            found, searched = self._search(queries)
        return Traced(sha256, quality, searched, tuple(found[:MOST]))

    def rebuild(self, progress: Callable[[int], None] = lambda _: None) -> int:
        """Make the index again from the catalogue; return how many hashes are in it."""
        from nightlight.matching.index import HashIndex

        HashIndex.discard(self.folder)
        with self._synced(progress) as index:
            index.merge()
            return len(index)

    @contextmanager
    def _synced(self, progress: Callable[[int], None] = lambda _: None) -> Iterator[HashIndex]:
        from nightlight.matching.index import HashIndex
        from nightlight.matching.segment import KEY_BYTES

        try:
            index = HashIndex(self.folder, write=True)
        except IndexBroken:
            HashIndex.discard(self.folder)
            index = HashIndex(self.folder, write=True)
        with index:
            known = {int.from_bytes(key, "big") for key in index.newest(4 * _LATE)}
            last = max(0, max(known, default=0) - _LATE)
            while True:
                with self.catalogue.reading() as tx:
                    rows = tx.hashes.after(last, limit=_BATCH)
                if not rows:
                    break
                last = rows[-1][0]
                fresh = [(number.to_bytes(KEY_BYTES, "big"), hash_) for number, hash_ in rows if number not in known]
                if fresh:
                    index.extend(fresh)
                progress(len(fresh))
            yield index

    def _search(self, queries: Sequence[Any]) -> tuple[list[Found], int]:
        """Return what these hashes lead to, the nearest first, and among how many it was looked for."""
        with self._synced() as index:
            nearest: dict[int, int] = {}
            for query in queries:
                for match in index.search(query):
                    number = int.from_bytes(match.key, "big")
                    nearest[number] = min(match.distance, nearest.get(number, match.distance))
            return self._origins(index, nearest, queries), len(index)

    def _origins(self, index: HashIndex, nearest: dict[int, int], queries: Sequence[Any]) -> list[Found]:
        import numpy as np

        from nightlight.matching.pdq import distance
        from nightlight.matching.segment import KEY_BYTES

        if not nearest:
            return []
        with self.catalogue.reading() as tx:
            origins = tx.hashes.origins(sorted(nearest))
        for number in nearest.keys() - origins.keys():  # erased since
            index.take_out(number.to_bytes(KEY_BYTES, "big"))
        for number, origin in origins.items():
            stored = np.frombuffer(origin.hash, np.uint8)
            if min(int(distance(stored, query)) for query in queries) != nearest[number]:
                message = f"hash {number} is another one in the catalogue: the index belongs to another time"
                raise IndexBroken(message)
        found = [
            Found(origin.image_id, origin.profile_id, origin.tier, origin.state, origin.rendered_at, nearest[number])
            for number, origin in origins.items()
        ]
        return sorted(found, key=lambda one: (one.distance, one.rendered_at, one.tier))
