"""Near hashes among millions: every one within a distance is found, none is missed.

256 bits are sixteen words of sixteen bits. Two hashes that differ in at most 31 bits have at least one word in which
they differ in at most one bit (31 // 16 = 1), so it is enough to look, for each word, at the hashes that have
that word or one of its sixteen neighbours there, and to count all bits of those: multi-index hashing (Norouzi,
Punjani, Fleet: "Fast Exact Search in Hamming Space with Multi-Index Hashing", IEEE PAMI 2014).

On disk it is a folder: sealed segments, each an array of hashes, one of keys, and for each word the rows in
the order of that word, all memory-mapped; a log of newer hashes, which is searched from end to end and sealed
when it is long; and a log of removed keys. One process writes; any number read. The catalogue is the source of truth:
an index that does not open is rebuilt from it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from nightlight.matching.pdq import BYTES, MATCH_WITHIN, distance
from nightlight.matching.segment import KEY_BYTES, Segment, write_segment
from nightlight_core.errors import Conflict, IndexBroken

# Hashes in the log from which it is sealed: searching so many from end to end takes two milliseconds.
SEAL_ROWS = 1 << 16
# Segments from which they are merged into one: each costs a search of its own.
MERGE_SEGMENTS = 8
FORMAT = 1
# Between two attempts at a lock that another process holds.
_LOCK_RETRY_S = 0.01

_ROW = BYTES + KEY_BYTES
# A record of a log: its bytes, then their checksum, so that one that was cut short or damaged is seen.
_CHECK = struct.Struct("<I")
_ADDED, _REMOVED = "added.log", "taken.log"
_SEGMENT = re.compile(r"s[0-9]{1,9}")
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class HashMatch:
    """A near hash: the key it was added under (16 bytes), and in how many bits of 256 it differs."""

    key: bytes
    distance: int


class HashIndex:
    """A folder of hashes that can be searched and added to. Use it as a context, or close it."""

    def __init__(self, folder: Path, *, write: bool = False, seal_at: int = SEAL_ROWS, wait_s: float = 0) -> None:
        """Open the index in ``folder``, which is made if ``write`` and absent.

        Raises IndexBroken if it cannot be read as it should be, and Conflict if another process writes to it and still
        does after ``wait_s`` seconds.
        """
        self._folder = folder
        self._seal_at = seal_at
        self._lock: int | None = None
        self._names: list[str] = []
        self._segments: list[Segment] = []
        self._tail_hashes = np.zeros((0, BYTES), np.uint8)
        self._tail_keys: list[bytes] = []
        self._removed: set[bytes] = set()
        if write:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _lock(self._folder, wait_s)
        try:
            self._load()
        except IndexBroken:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the index."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def __len__(self) -> int:
        """Return how many hashes are stored, with those that were removed and not yet merged away."""
        return sum(len(segment.hashes) for segment in self._segments) + len(self._tail_hashes)

    @staticmethod
    def discard(folder: Path) -> None:
        """Delete an index from the disk, so that another can be built; raise Conflict if a process writes to it."""
        if not folder.is_dir():
            return
        lock = _lock(folder)
        try:
            HashIndex._delete_files(folder)
        finally:
            os.close(lock)

    @staticmethod
    def _delete_files(folder: Path) -> None:
        for path in (folder / _MANIFEST, folder / _ADDED, folder / _REMOVED):
            path.unlink(missing_ok=True)
        for path in folder.glob("s[0-9]*"):
            shutil.rmtree(path)

    def extend(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Add many at once: (key of 16 bytes, hash of 32). All are found from now on, also after a crash, or none."""
        if any(len(hash_) != BYTES for _, hash_ in rows):
            raise ValueError(f"a hash is {BYTES} bytes")
        self._append(_ADDED, b"".join(_record(hash_ + _checked(key)) for key, hash_ in rows))
        fresh = np.frombuffer(b"".join(hash_ for _, hash_ in rows), np.uint8).reshape(-1, BYTES)
        self._tail_hashes = np.concatenate((self._tail_hashes, fresh))
        self._tail_keys += [key for key, _ in rows]
        if len(self._tail_hashes) >= self._seal_at:
            self.seal()

    def newest(self, count: int) -> list[tuple[bytes, bytes]]:
        """Return (key, hash) of the hashes that were added last, at most ``count``."""
        tail = zip(self._tail_keys[-count:], self._tail_hashes[-count:], strict=True)
        newest = [(key, hash_.tobytes()) for key, hash_ in tail]
        for segment in reversed(self._segments):
            if len(newest) >= count:
                break
            missing = count - len(newest)
            kept = zip(segment.keys[-missing:], segment.hashes[-missing:], strict=True)
            newest = [(bytes(key), hash_.tobytes()) for key, hash_ in kept] + newest
        return newest

    def remove(self, key: bytes) -> None:
        """Remove all hashes of a key: they are not found from now on, and gone from the disk after ``merge``."""
        self._append(_REMOVED, _record(_checked(key)))
        self._removed.add(key)

    def keys(self) -> Iterator[bytes]:
        """Yield the key of every hash that is on the disk, removed or not."""
        for segment in self._segments:
            yield from (bytes(key) for key in segment.keys)
        yield from self._tail_keys

    def forget(self, keys: Iterable[bytes]) -> None:
        """Take all hashes of these keys from the disk now."""
        self._removed |= set(keys)
        self.merge()

    def search(self, query: np.ndarray, *, within: int = MATCH_WITHIN) -> list[HashMatch]:
        """Return every hash at most ``within`` (0 to 31) bits away from ``query``, uint8 (32,), the nearest first.

        A key that has several such hashes is returned once, with its nearest.
        """
        if not 0 <= within <= MATCH_WITHIN:
            raise ValueError(f"the search is exact up to {MATCH_WITHIN} bits, not {within}")
        return self.search_beyond(query, within=within)

    def search_beyond(self, query: np.ndarray, *, within: int, flips: int = 1) -> list[HashMatch]:
        """Return as ``search`` does, further away too: those hashes of which a word differs in ``flips`` bits (1, 2).

        That is every hash up to 16 * flips + 15 bits away, and most beyond. Of random differences of 47 bits one bit
        misses 3 %, and of 52 bits two miss 0.1 %; two cost five times as much.
        """
        if query.shape != (BYTES,) or query.dtype != np.uint8:
            raise ValueError(f"a query is uint8 ({BYTES},), not {query.dtype} {query.shape}")
        nearest: dict[bytes, int] = {}
        for key, bits in self._near(query, within, flips):
            if key not in self._removed and bits < nearest.get(key, BYTES * 8 + 1):
                nearest[key] = bits
        return [HashMatch(key, bits) for key, bits in sorted(nearest.items(), key=lambda item: (item[1], item[0]))]

    def seal(self) -> None:
        """Make a segment of the log, and merge the segments if there are many."""
        if len(self._tail_hashes):
            keys = np.frombuffer(b"".join(self._tail_keys), np.uint8).reshape(-1, KEY_BYTES)
            self._commit([*self._names, self._write_segment(self._tail_hashes, keys)])
        if len(self._names) >= MERGE_SEGMENTS:
            self.merge()

    def merge(self) -> None:
        """Make one segment of all hashes that were not removed, and delete the others from the disk."""
        hashes = np.concatenate([*(segment.hashes for segment in self._segments), self._tail_hashes])
        tail = np.frombuffer(b"".join(self._tail_keys), np.uint8).reshape(-1, KEY_BYTES)
        keys = np.concatenate([*(segment.keys for segment in self._segments), tail])
        if self._removed:
            removed = np.frombuffer(b"".join(sorted(self._removed)), f"V{KEY_BYTES}")
            kept = ~np.isin(np.ascontiguousarray(keys).view(f"V{KEY_BYTES}").ravel(), removed)
            hashes, keys = hashes[kept], keys[kept]
        self._commit([self._write_segment(hashes, keys)] if len(hashes) else [], forget_removed=True)

    def build(self, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Replace everything by ``batches`` of hashes, uint8 (n, 32), and keys, uint8 (n, 16): one segment."""
        pairs = list(batches)
        hashes = np.concatenate([np.zeros((0, BYTES), np.uint8), *(batch for batch, _ in pairs)])
        keys = np.concatenate([np.zeros((0, KEY_BYTES), np.uint8), *(batch for _, batch in pairs)])
        self._commit([self._write_segment(hashes, keys)] if len(hashes) else [], forget_removed=True)

    def close(self) -> None:
        """Release the files."""
        self._segments = []
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _near(self, query: np.ndarray, within: int, flips: int) -> Iterator[tuple[bytes, int]]:
        for segment in self._segments:
            yield from segment.near(query, within, flips=flips)
        bits = distance(self._tail_hashes, query)
        for row in np.flatnonzero(bits <= within):
            yield self._tail_keys[row], int(bits[row])

    def _load(self) -> None:
        manifest = self._folder / _MANIFEST
        try:
            content: dict[str, Any] = {"format": FORMAT, "segments": []}
            if manifest.exists():
                content = json.loads(manifest.read_text("utf-8"))
            if content["format"] != FORMAT or not all(_SEGMENT.fullmatch(name) for name in content["segments"]):
                raise IndexBroken(f"{manifest} is none of format {FORMAT}; build the index again from the catalogue")
            self._names = list(content["segments"])
            self._segments = [Segment(self._folder / name) for name in self._names]
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{self._folder}: {type(error).__name__}: {error}; build it again from the catalogue"
            raise IndexBroken(message) from error
        added = self._records(_ADDED, _ROW)
        self._tail_hashes = np.frombuffer(b"".join(row[:BYTES] for row in added), np.uint8).reshape(-1, BYTES)
        self._tail_keys = [row[BYTES:] for row in added]
        self._removed = set(self._records(_REMOVED, KEY_BYTES))

    def _records(self, name: str, size: int) -> list[bytes]:
        """Return a log's records up to the first that is not whole; a writer cuts what follows it."""
        path = self._folder / name
        data = path.read_bytes() if path.exists() else b""
        step = size + _CHECK.size
        records: list[bytes] = []
        for at in range(0, len(data) - step + 1, step):
            body = data[at : at + size]
            if _CHECK.unpack_from(data, at + size)[0] != zlib.crc32(body):
                break
            records.append(body)
        if self._lock is not None and len(records) * step != len(data):
            os.truncate(path, len(records) * step)
        return records

    def _append(self, name: str, data: bytes) -> None:
        if self._lock is None:
            raise Conflict(f"{self._folder}: opened for reading")
        with (self._folder / name).open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _write_segment(self, hashes: np.ndarray, keys: np.ndarray) -> str:
        number = 1 + max((int(path.name[1:]) for path in self._folder.glob("s[0-9]*")), default=0)
        write_segment(self._folder / f"s{number}", hashes, keys)
        return f"s{number}"

    def _commit(self, names: list[str], *, forget_removed: bool = False) -> None:
        """Make ``names`` the segments: one rename, before which the old ones hold and after which the new ones do."""
        if self._lock is None:
            raise Conflict(f"{self._folder}: opened for reading")
        fresh = self._folder / f"{_MANIFEST}.new"
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"format": FORMAT, "segments": names}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._folder / _MANIFEST)
        # The logs are in the segments by now. A crash in between leaves a hash in both, which does no harm.
        for name in (_ADDED, _REMOVED) if forget_removed else (_ADDED,):
            (self._folder / name).unlink(missing_ok=True)
        self._load()
        for path in self._folder.glob("s[0-9]*"):
            if path.name not in names:
                shutil.rmtree(path, ignore_errors=True)


def _lock(folder: Path, wait_s: float = 0) -> int:
    """Return the descriptor of the write lock; raise Conflict if another process holds it."""
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() < until:
                time.sleep(_LOCK_RETRY_S)
                continue
            os.close(lock)
            raise Conflict(f"{folder}: another process writes to this index") from error
        return lock


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key is {KEY_BYTES} bytes, not {len(key)}")
    return key


def _record(body: bytes) -> bytes:
    return body + _CHECK.pack(zlib.crc32(body))
