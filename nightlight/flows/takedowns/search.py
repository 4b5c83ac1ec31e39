"""Every published image that is a copy of a notice's picture.

::

    hash       the picture's likely parts in all eight turns, and windows of it as they are and mirrored
    views      what is near among the hashes of all images' views          (catalogue.view_hashes, an index on disk)
    renditions what is near among the hashes of renditions: images from before views were hashed   (traces.search)
    set aside  entries that match many unlike pictures, and what they alone have found

The index holds what the catalogue does: it is brought up to date before each search.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight.catalogue.images import DELETED
from nightlight.flows.pictures.notices import MIRRORED, UPRIGHT, WHOLE_WITHIN, WINDOW_WITHIN
from nightlight.flows.pictures.synced_index import IndexedHash, NearQuery, SyncedIndex, discard_index
from nightlight.flows.traces.search import ANOTHER
from nightlight_core.errors import IndexBroken

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.flows.traces.search import TraceSearch
    from nightlight_core.ids import ImageId, ProfileId

# Numbers of views are given before their rows are seen: at most so many are on their way at once.
_LATE = 1_000
_HASH_BYTES = 32
# Two bits of a word are flipped for the few hashes of whole pictures, one for the many of windows.
_WHOLE_FLIPS, _WINDOW_FLIPS = 2, 1


class NoticeHashes(NamedTuple):
    """A picture's entries, 32 bytes each, and the queries that search for copies, each with its entry's number."""

    entries: bytes
    queries: list[tuple[int, NearQuery]]

    def joined(self, other: NoticeHashes) -> NoticeHashes:
        """Return the hashes of both pictures."""
        first = len(self.entries) // 32
        more = [(first + entry, query) for entry, query in other.queries]
        return NoticeHashes(self.entries + other.entries, [*self.queries, *more])


@dataclass(slots=True)
class FoundImage:
    """An image near to a notice: its distance in bits of 256, the entries that found it, and its whole's hash."""

    image_id: ImageId
    profile_id: ProfileId
    distance: int
    whole: bytes
    entries: set[int] = field(default_factory=set)


class FoundCopies(NamedTuple):
    """The copies of a picture; ``aside`` are those that only entries set aside have found, and those entries."""

    copies: list[FoundImage]
    aside: list[FoundImage]
    aside_entries: list[int]


def hash_notice(lumas: Iterable[Any], windows: Iterable[Any]) -> NoticeHashes:
    """Return the hashes of a notice's picture, given its lumas, uint8 (512, 512): of its parts, and of its windows.

    What has too little in it to be told by is left out.
    """
    from nightlight.matching.pdq import LEAST_QUALITY, pdq

    entries: list[bytes] = []
    queries: list[tuple[int, NearQuery]] = []
    turns = range(8), (UPRIGHT, MIRRORED)
    limits = (WHOLE_WITHIN, _WHOLE_FLIPS), (WINDOW_WITHIN, _WINDOW_FLIPS)
    for group, wanted, limit in zip((lumas, windows), turns, limits, strict=True):
        for luma in group:
            hashed = pdq(luma)
            if hashed.quality >= LEAST_QUALITY:
                queries += [(len(entries), NearQuery(hashed.hashes[turn], *limit)) for turn in wanted]
                entries.append(hashed.hashes[UPRIGHT].tobytes())
    return NoticeHashes(b"".join(entries), queries)


def hash_stored(hashes: Sequence[bytes]) -> NoticeHashes:
    """Return the same of hashes alone, where the picture is not there any more."""
    import numpy as np

    from nightlight.matching.pdq import turned

    queries = [
        (place, NearQuery(np.ascontiguousarray(turn), WHOLE_WITHIN, _WHOLE_FLIPS))
        for place, stored in enumerate(hashes)
        for turn in turned(stored)
    ]
    return NoticeHashes(b"".join(hashes), queries)


@dataclass(frozen=True, slots=True)
class FindCopies:
    """Searches. ``unlike`` is how many pictures that are unlike each other one entry may match."""

    catalogue: Catalogue
    folder: Path
    traces: TraceSearch
    unlike: int

    def find(self, hashes: NoticeHashes, *, until: float | None = None) -> FoundCopies:
        """Return every copy among what is in the catalogue now.

        Raises Conflict where another process holds an index, and IndexBehind as ``SyncedIndex.search`` does.
        """
        by_image: dict[ImageId, FoundImage] = {}
        try:
            by_views = self._by_views(hashes, until)
        except IndexBroken:  # it is of another catalogue, or another time
            discard_index(self.folder)
            by_views = self._by_views(hashes, until)
        for entry, image in [*by_views, *self._by_renditions(hashes, until)]:
            known = by_image.setdefault(image.image_id, image)
            known.distance = min(known.distance, image.distance)
            known.entries.add(entry)
        aside = self._set_aside(by_image.values())
        copies: list[FoundImage] = []
        only_aside: list[FoundImage] = []
        for image in by_image.values():
            (only_aside if image.entries <= aside else copies).append(image)
        return FoundCopies(copies, only_aside, sorted(aside))

    def _by_views(self, hashes: NoticeHashes, until: float | None) -> list[tuple[int, FoundImage]]:
        index = SyncedIndex(self.catalogue, self.folder, view_rows, _LATE)
        near = index.search([query for _, query in hashes.queries], until=until)
        with self.catalogue.reading() as tx:
            images = tx.view_hashes.images(sorted({match.number for _, match in near}))
        gone = {(match.number, match.place) for _, match in near if match.number not in images}
        index.forget(sorted(gone))
        pairs = []
        for place, match in near:
            image = images.get(match.number)
            if image is not None and image.state != DELETED:  # an erasure is on its way: it hides, and floods, nothing
                self._require_same(hashes.queries[place][1].hash, image.hashes, match)
                whole = bytes(image.hashes[:_HASH_BYTES])
                copy = FoundImage(image.image_id, image.profile_id, match.distance, whole)
                pairs.append((hashes.queries[place][0], copy))
        return pairs

    @staticmethod
    def _require_same(query: Any, hashes: bytes, match: IndexedHash) -> None:
        """Raise IndexBroken where the catalogue's hash is not as near as the index says: no other image is hidden."""
        import numpy as np

        from nightlight.matching.pdq import distance

        stored = hashes[match.place * _HASH_BYTES : (match.place + 1) * _HASH_BYTES]
        if len(stored) < _HASH_BYTES or int(distance(np.frombuffer(stored, np.uint8), query)) != match.distance:
            raise IndexBroken(f"view {match.place} of row {match.number} is another one in the catalogue")

    def _by_renditions(self, hashes: NoticeHashes, until: float | None) -> list[tuple[int, FoundImage]]:
        whole = [(entry, query) for entry, query in hashes.queries if query.flips == _WHOLE_FLIPS]
        pairs = []
        for origin, (place, bits) in self.traces.near([query.hash for _, query in whole], until=until).items():
            copy = FoundImage(origin.image_id, origin.profile_id, bits, bytes(origin.hash or b""))
            pairs.append((whole[place][0], copy))
        return pairs

    def _set_aside(self, matches: Iterable[FoundImage]) -> set[int]:
        """Return the entries that match more than ``unlike`` pictures that are unlike each other."""
        by_entry: dict[int, list[bytes]] = defaultdict(list)
        for image in matches:
            for entry in image.entries:
                by_entry[entry].append(image.whole)
        return {
            entry
            for entry, wholes in by_entry.items()
            if len(wholes) > self.unlike and unlike_pictures(wholes, most=self.unlike) > self.unlike
        }


def unlike_pictures(hashes: Sequence[bytes], *, most: int) -> int:
    """Return how many pictures there are that are unlike each other, counted up to ``most`` and one.

    Two are alike where their wholes, in any turn, are at most ANOTHER bits apart.
    """
    import numpy as np

    from nightlight.matching.pdq import distance, turned

    leaders = np.zeros((0, _HASH_BYTES), np.uint8)
    count = 0
    for stored in dict.fromkeys(hashes):
        if len(leaders) and int(distance(leaders, np.frombuffer(stored, np.uint8)).min()) <= ANOTHER:
            continue
        leaders = np.concatenate((leaders, turned(stored)))
        count += 1
        if count > most:
            break
    return count


def view_rows(tx: Transaction, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Return the rows of the index of views."""
    return tx.view_hashes.after(after, limit=limit)
