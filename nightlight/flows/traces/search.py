"""A found copy, back to the rendition it was made from.

::

    sync       the index adds what was published since it was last asked; a broken one is made again
    look       the copy goes through the sandbox, like any upload that nobody trusts
    read       its invisible watermark, which names one rendition                          (watermark.detect)
    search     its perceptual hash, as it is, turned and mirrored, among those of all renditions
    origin     the catalogue says what the watermark and near hashes lead back to; what was erased leads nowhere

Nothing of the copy is kept here but its SHA-256 in the audit log, with who asked. ``flows.traces.requests`` does the
same for callers over HTTP, in a worker.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightlight.flows.traces.results import TraceOrigin, TraceResult, WatermarkReading, origin_of, watermark_reading
from nightlight_core.errors import IndexBehind, IndexBroken

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.catalogue.rendition_hashes import HashOrigin
    from nightlight.imaging.renderer import FoundCopy
    from nightlight.matching.index import HashIndex
    from nightlight.watermark.detect import Detection, DetectionResult
    from nightlight_core.clock import Clock

# Rows that are read from the catalogue at once.
_BATCH = 10_000
# Numbers are given when a row is written and seen when its transaction ends, so a lower one may come after a higher:
# at most so many are on their way at once (four tiers, 250 pictures published at the same moment).
_LATE = 1_000
# At most so many origins are told of one copy: more means that the picture is a common one.
MOST = 20


# A picture whose whole is this far, of 256 bits, from the rendition that its watermark names is another picture:
# strangers are 128 apart, with a deviation of 8, and edits that leave a whole picture whole stay far under it.
ANOTHER = 90
BITS = 256

# Another process holds the index for the time of one search, or while it brings it up to date.
_WAIT_S = 5.0
# How far a search is, in hundredths, once the copy is decoded, and once its watermark was looked for, which takes the
# longest by far.
DECODED, WATERMARK_READ = 10, 80


@dataclass(frozen=True, slots=True)
class TraceSearch:
    """Traces copies by their invisible watermark and their perceptual hash.

    ``look`` gives a copy's pixels and its luma, uint8 (512, 512), one way or two; ``detect`` reads the watermark.
    """

    catalogue: Catalogue
    folder: Path
    look: Callable[[bytes], FoundCopy]
    detect: Callable[[Any], DetectionResult]
    clock: Clock

    def trace(self, data: bytes, *, actor: str) -> TraceResult:
        """Return what ``data``, an image file that nobody trusts, may be a copy of.

        Raises ImageRefused and its kinds, DecoderDied, CatalogueUnavailable, or Conflict while another process
        brings the index up to date.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        with self.catalogue.transaction() as tx:
            tx.audit.append("trace.asked", now=self.clock(), actor=actor, detail={"sha256": sha256})
        return self.find(data)

    def find(
        self, data: bytes, *, within_s: float | None = None, progress: Callable[[int], None] = lambda _: None
    ) -> TraceResult:
        """Return what ``data`` may be a copy of, for somebody whose asking is in the audit log already.

        ``progress`` is told how far it is, in hundredths. Raises like ``trace``, and IndexBehind where the index has
        more to index than can be done ``within_s`` seconds: the next call goes on from there.
        """
        from nightlight.matching.index import HashIndex
        from nightlight.matching.pdq import LEAST_QUALITY, pdq
        from nightlight.watermark.detect import PRESENCE_THRESHOLD

        until = time.monotonic() + within_s if within_s else None
        sha256 = hashlib.sha256(data).hexdigest()
        look = self.look(data)
        progress(DECODED)
        detected = self.detect(look.pixels)
        progress(WATERMARK_READ)
        hashed = [pdq(pixels) for pixels in look.lumas]
        quality = max(hash_.quality for hash_ in hashed)
        queries = [row for hash_ in hashed if hash_.quality >= LEAST_QUALITY for row in hash_.hashes]
        try:
            near, searched = self._search(queries, until)
        except IndexBroken:
            HashIndex.discard(self.folder)
            near, searched = self._search(queries, until)
        watermark, origins = self._merged(detected.detection, near, queries)
        present = watermark is not None or detected.present >= PRESENCE_THRESHOLD
        return TraceResult(sha256, watermark, present, quality, searched, tuple(origins[:MOST]))

    def _merged(
        self, read: Detection | None, near: dict[HashOrigin, int], queries: Sequence[Any]
    ) -> tuple[WatermarkReading | None, list[TraceOrigin]]:
        """Return the watermark and the origins: those by the watermark first, then those by hash, the nearest first."""
        named: dict[HashOrigin, int | None] = {}
        doubt = None
        if read is not None and read.payload.short:
            with self.catalogue.reading() as tx:
                short_origins = tx.rendition_hashes.by_short_watermark(read.payload.rendition, read.payload.variant)
            distances = {origin_: near.get(origin_, _distance(origin_, queries)) for origin_ in short_origins}
            named = dict(sorted(distances.items(), key=lambda origin_: BITS if origin_[1] is None else origin_[1]))
            if not near.keys() & named.keys():
                doubt = f"{len(named)} small renditions say this, and the hash of none is near: it may be none of them"
        elif read is not None:
            with self.catalogue.reading() as tx:
                origins = tx.rendition_hashes.by_watermark(read.payload.rendition)
            named = {
                origin_: _distance(origin_, queries) for origin_ in origins if origin_.variant == read.payload.variant
            }
            if not named:
                doubt = "nothing is published under this watermark: it was erased, or is of another deployment"
            distances_ = [distance for distance in named.values() if distance is not None]
            if read.how == "whole" and distances_ and min(distances_) > ANOTHER:
                doubt = "this is another picture than the watermark names, which may have been copied onto it"
        ways = {origin: "watermark+hash" if origin in near else "watermark" for origin in named}
        by_hash = [(origin, distance, "hash") for origin, distance in near.items() if origin not in named]
        by_hash.sort(key=lambda origin_: (origin_[1], origin_[0].rendered_at, origin_[0].tier))
        listed = [origin_of(origin, distance, ways[origin]) for origin, distance in named.items()]
        return watermark_reading(read, doubt), listed + [origin_of(*origin_) for origin_ in by_hash]

    def near(self, queries: Sequence[Any], *, until: float | None = None) -> dict[HashOrigin, tuple[int, int]]:
        """Return each rendition that is near to a query, uint8 (32,), with that query's place and the distance.

        Of several near queries the nearest counts. Raises CatalogueUnavailable, Conflict or IndexBehind.
        """
        from nightlight.matching.index import HashIndex

        try:
            near, _ = self._search(queries, until)
        except IndexBroken:
            HashIndex.discard(self.folder)
            near, _ = self._search(queries, until)
        return {origin: (_nearest(origin, queries), bits) for origin, bits in near.items()}

    def rebuild(self, progress: Callable[[int], None] = lambda _: None) -> int:
        """Make the index again from the catalogue; return how many hashes are in it."""
        from nightlight.matching.index import HashIndex

        HashIndex.discard(self.folder)
        with self._synced(progress=progress) as index:
            index.merge()
            return len(index)

    def forget_erased(self) -> int:
        """Take from the index's files what the catalogue has no more, since it was erased; return how many that was.

        Raises CatalogueUnavailable, Conflict or IndexBroken.
        """
        from nightlight.matching.index import HashIndex
        from nightlight.matching.segment import KEY_BYTES

        if not self.folder.is_dir():
            return 0
        gone: list[bytes] = []
        with HashIndex(self.folder, write=True, wait_s=_WAIT_S) as index:
            every = index.keys()
            while keys := list(itertools.islice(every, _BATCH)):
                numbers = {int.from_bytes(key, "big") for key in keys}
                with self.catalogue.reading() as tx:
                    numbers -= tx.rendition_hashes.present(sorted(numbers))
                gone += [number.to_bytes(KEY_BYTES, "big") for number in numbers]
            if gone:
                index.forget(gone)
        return len(gone)

    @contextmanager
    def _synced(
        self, until: float | None = None, *, progress: Callable[[int], None] = lambda _: None
    ) -> Iterator[HashIndex]:
        from nightlight.matching.index import HashIndex
        from nightlight.matching.segment import KEY_BYTES

        try:
            index = HashIndex(self.folder, write=True, wait_s=_WAIT_S)
        except IndexBroken:
            HashIndex.discard(self.folder)
            index = HashIndex(self.folder, write=True)
        with index:
            indexed = {int.from_bytes(key, "big"): hash_ for key, hash_ in index.newest(4 * _LATE)}
            last = begin = max(0, max(indexed, default=0) - _LATE)
            while True:
                with self.catalogue.reading() as tx:
                    rows = tx.rendition_hashes.after(last, limit=_BATCH)
                if not rows and indexed and last == begin:  # after the catalogue was restored, say
                    raise IndexBroken(f"the catalogue has no hash after {begin}, and the index has some")
                if not rows:
                    break
                last = rows[-1][0]
                if other := [number for number, hash_ in rows if indexed.get(number, hash_) != hash_]:
                    raise IndexBroken(f"hash {other[0]} is another one in the catalogue")
                fresh = [(number.to_bytes(KEY_BYTES, "big"), hash_) for number, hash_ in rows if number not in indexed]
                if fresh:
                    index.extend(fresh)
                progress(len(fresh))
                if until is not None and time.monotonic() > until:
                    raise IndexBehind(f"{len(index)} hashes are in the index, and more are in the catalogue")
            yield index

    def _search(self, queries: Sequence[Any], until: float | None) -> tuple[dict[HashOrigin, int], int]:
        """Return what these hashes lead to with the distance of each, and among how many it was looked for."""
        with self._synced(until) as index:
            nearest: dict[int, int] = {}
            for query in queries:
                for match in index.search(query):
                    number = int.from_bytes(match.key, "big")
                    nearest[number] = min(match.distance, nearest.get(number, match.distance))
            return self._origins(index, nearest, queries), len(index)

    def _origins(self, index: HashIndex, nearest: dict[int, int], queries: Sequence[Any]) -> dict[HashOrigin, int]:
        from nightlight.matching.segment import KEY_BYTES

        if not nearest:
            return {}
        with self.catalogue.reading() as tx:
            origins = tx.rendition_hashes.origins(sorted(nearest))
        for number in nearest.keys() - origins.keys():  # erased since
            index.remove(number.to_bytes(KEY_BYTES, "big"))
        for number, origin in origins.items():
            if _distance(origin, queries) != nearest[number]:
                raise IndexBroken(f"hash {number} is another one in the catalogue: the index belongs to another time")
        return {origin: nearest[number] for number, origin in origins.items()}


def _distance(origin: HashOrigin, queries: Sequence[Any]) -> int | None:
    """Return how far an origin's hash is from the nearest of ``queries``, of 256 bits; None where one has no hash."""
    import numpy as np

    from nightlight.matching.pdq import distance

    if origin.hash is None or not queries:
        return None
    stored = np.frombuffer(origin.hash, np.uint8)
    return min(int(distance(stored, query)) for query in queries)


def _nearest(origin: HashOrigin, queries: Sequence[Any]) -> int:
    """Return the place of the query that an origin's hash is nearest to."""
    import numpy as np

    from nightlight.matching.pdq import distance

    stored = np.frombuffer(origin.hash or b"", np.uint8)
    return int(np.argmin([int(distance(stored, query)) for query in queries]))
