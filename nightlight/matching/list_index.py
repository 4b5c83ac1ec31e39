"""Searches the hash lists in a folder.

Every ``NAME.csv`` in the folder is a list, called ``NAME``. An index of all lists is built once, beside the index of
renditions, under a name that changes with any of the files. It is memory-mapped and shared by all processes of a
machine. While a list cannot be read no search succeeds: the hashes missing from it would be missed in silence.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nightlight.matching.index import HashIndex
from nightlight.matching.list_files import MD5_BYTES, HashList, read_hash_list
from nightlight.matching.pdq import BYTES, LEAST_QUALITY, pdq
from nightlight.matching.segment import KEY_BYTES
from nightlight_core.errors import Conflict, IndexBroken, InvalidInput, ListsUnavailable

# Lists of so many bytes are indexed in a second or two, by a search; larger ones by ``nightlight lists build``.
MAX_IMPLICIT_BUILD_BYTES = 20_000_000
_RECHECK_S = 5.0
_WAIT_S = 20.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
# Written last: an index without it is incomplete.
_ABOUT = "about.json"
# The version of the index's folder: raise it when its content changes.
_FORMAT = 3
SAMPLE, SAMPLED_BYTES = 512, 8


@dataclass(frozen=True, slots=True)
class ListIndexMatch:
    """A list entry near to an upload: its list, the list's own reference for it, and the distance in bits of 256."""

    list: str
    reference: str
    distance: int


@dataclass(frozen=True, slots=True)
class IndexedHashList:
    """One list as it is indexed: how many hashes it has, MD5s with them, and how many were left out."""

    name: str
    hashes: int
    left_out: int


@dataclass(frozen=True, slots=True)
class HashListSnapshot:
    """One list's content at a time: how many hashes, their SHA-256 in hexadecimal, a sample, when its file changed.

    The sample is the SAMPLE smallest of the mixed hashes, SAMPLED_BYTES each. Two samples of a list tell which share of
    the one content is in the other; 4 kB are enough for ten million hashes.
    """

    name: str
    hashes: int
    digest: str
    sample: bytes
    modified_ns: int

    def lost(self, known_sample: bytes) -> float:
        """Return the share, 0 to 1, of a known sample that is not in this content any more."""
        sample = _split(self.sample)
        present = set(sample)
        # A full sample says nothing of hashes beyond its largest.
        largest = sample[-1] if len(sample) == SAMPLE else b"\xff" * SAMPLED_BYTES
        comparable = [mixed for mixed in _split(known_sample) if mixed <= largest]
        return sum(mixed not in present for mixed in comparable) / len(comparable) if comparable else 0.0


class HashListSearch(NamedTuple):
    """The matches of a search, the nearest first, and the lists that were searched."""

    matches: list[ListIndexMatch]
    lists: list[HashListSnapshot]


def _split(sample: bytes) -> list[bytes]:
    return [sample[at : at + SAMPLED_BYTES] for at in range(0, len(sample), SAMPLED_BYTES)]


@dataclass(frozen=True, slots=True)
class _OpenIndex:
    """An open index, with its description in memory, since another process may delete its folder."""

    target: Path
    index: HashIndex
    snapshots: list[HashListSnapshot]

    def entry(self, key: bytes) -> tuple[str, str]:
        """Return the list's name and its reference of the entry with this key; raises OSError or IndexBroken."""
        number, row = int.from_bytes(key[:8], "big"), int.from_bytes(key[8:], "big")
        with (self.target / f"{number}.txt").open(encoding="utf-8") as file:
            reference = next(itertools.islice(file, row, None), None)
        if reference is None or number >= len(self.snapshots):
            raise IndexBroken(f"{self.target.name}: no entry {number}/{row}")
        return self.snapshots[number].name, reference.rstrip("\n")

    def listed(self, md5: bytes) -> list[tuple[str, str]]:
        """Return (list, its reference) of every list with this MD5; raises OSError."""
        entries = []
        for number, snapshot in enumerate(self.snapshots):
            row = _row_of(self.target / f"{number}.md5", md5)
            if row is not None:
                with (self.target / f"{number}.md5.txt").open(encoding="utf-8") as file:
                    entries.append((snapshot.name, next(itertools.islice(file, row, None)).rstrip("\n")))
        return entries


class HashListIndex:
    """The index of the hash lists in a folder. Thread-safe."""

    def __init__(self, folder: Path, index_dir: Path) -> None:
        """Read ``NAME.csv`` in ``folder`` at the first search; keep the index in ``index_dir``."""
        self._folder = folder
        self._index_dir = index_dir
        self._lock = threading.Lock()
        self._checked_at = -_RECHECK_S
        self._open: _OpenIndex | None = None

    def search_hashes(self, hashes: bytes, md5: bytes = b"") -> HashListSearch:
        """Return the entries near any of these hashes, 32 bytes each, and the lists that were searched.

        With ``md5``, 16 bytes, those of a file that is the very same, too.

        Raises ListsUnavailable where a list cannot be read, or has yet to be indexed.
        """
        opened = self._current()
        nearest: dict[bytes, int] = {}
        try:
            for query in np.frombuffer(hashes, np.uint8).reshape(-1, BYTES):
                for near in opened.index.search(query):
                    nearest[near.key] = min(near.distance, nearest.get(near.key, near.distance))
            matches = [ListIndexMatch(*opened.entry(key), bits) for key, bits in nearest.items()]
            same = {(match.list, match.reference) for match in matches if match.distance == 0}
            matches += [ListIndexMatch(*entry, 0) for entry in (opened.listed(md5) if md5 else ()) if entry not in same]
        except (OSError, IndexBroken) as error:  # another process has indexed newer lists, and dropped these
            with self._lock:
                self._open = None
            message = f"{self._folder}: the index that was open is gone ({type(error).__name__})"
            raise ListsUnavailable(message) from error
        matches.sort(key=lambda match: (match.distance, match.list, match.reference))
        return HashListSearch(matches, opened.snapshots)

    def state(self) -> list[HashListSnapshot]:
        """Return the lists as they are now. Raises ListsUnavailable if one is unreadable, or not indexed yet."""
        return self._current().snapshots

    def build(self) -> list[IndexedHashList]:
        """Index the lists as they are now, unless they are indexed already; return them.

        Raises InvalidInput naming the lines that cannot be read, and Conflict while another process does it.
        """
        target, _ = self._target()
        if not (target / _ABOUT).exists():
            with HashIndex(target, write=True, wait_s=_WAIT_S) as index:
                if not (target / _ABOUT).exists():
                    self._fill(target, index)
            self._drop_others(target)
        return _about(target)[0]

    def _fill(self, target: Path, index: HashIndex) -> None:
        files = self._files()
        modified = [path.stat().st_mtime_ns for path in files]
        lists = [read_hash_list(path, path.stem) for path in files]
        if self._target()[0] != target:
            raise Conflict(f"{self._folder}: a list was written while it was read; it is read again")
        batches = []
        for number, hash_list in enumerate(lists):
            keys = np.zeros((len(hash_list.hashes), 2), ">u8")
            keys[:, 0], keys[:, 1] = number, np.arange(len(hash_list.hashes))
            batches.append((hash_list.hashes, keys.view(np.uint8).reshape(-1, KEY_BYTES)))
            lines = "".join(f"{reference}\n" for reference in hash_list.references)
            (target / f"{number}.txt").write_text(lines, "utf-8")
            (target / f"{number}.md5").write_bytes(b"".join(md5 for md5, _ in hash_list.md5s))
            (target / f"{number}.md5.txt").write_text(
                "".join(f"{reference}\n" for _, reference in hash_list.md5s), "utf-8"
            )
        index.build(batches)
        about = [
            {
                "name": hash_list.name,
                "hashes": len(hash_list.hashes) + len(hash_list.md5s),
                "left_out": hash_list.left_out,
                **_content(_rows(hash_list)),
                "modified": modified_ns,
            }
            for hash_list, modified_ns in zip(lists, modified, strict=True)
        ]
        (target / f"{_ABOUT}.new").write_text(json.dumps(about), "utf-8")
        (target / f"{_ABOUT}.new").rename(target / _ABOUT)

    def _current(self) -> _OpenIndex:
        with self._lock:
            if self._open is not None and time.monotonic() - self._checked_at < _RECHECK_S:
                return self._open
            try:
                target, size = self._target()
                if self._open is None or self._open.target != target:
                    self._open = None
                    if size > MAX_IMPLICIT_BUILD_BYTES and not (target / _ABOUT).exists():
                        message = f"{self._folder}: {size} bytes of lists are new; run `nightlight lists build`"
                        raise ListsUnavailable(message)
                    self.build()
                    self._open = _OpenIndex(target, HashIndex(target), _about(target)[1])
            except (InvalidInput, IndexBroken, Conflict, OSError) as error:
                raise ListsUnavailable(f"{self._folder}: {error}") from error
            self._checked_at = time.monotonic()
            return self._open

    def _files(self) -> list[Path]:
        if not self._folder.is_dir():
            raise InvalidInput(f"{self._folder}: there is no such folder")
        # Not glob(), which finds nothing in a folder that may not be read.
        files = sorted(path for path in self._folder.iterdir() if path.name.endswith(".csv"))
        for path in files:
            if not _NAME.fullmatch(path.stem):
                raise InvalidInput(f"{path.name}: a list's name is at most 64 lower-case letters, digits or ._-")
            if not path.is_file():
                raise InvalidInput(f"{path.name}: a list is a file")
        return files

    def _target(self) -> tuple[Path, int]:
        """Return the folder of the index of the lists as they are now, and the size of their files in bytes."""
        files = [(path.name, path.stat()) for path in self._files()]
        digest = hashlib.sha256(
            repr([_FORMAT] + [(name, at.st_size, at.st_mtime_ns, at.st_ino) for name, at in files]).encode()
        )
        return self._index_dir / f"lists-{digest.hexdigest()[:16]}", sum(at.st_size for _, at in files)

    def _drop_others(self, target: Path) -> None:
        for path in self._index_dir.glob("lists-*"):
            if path != target:  # whoever still has it mapped keeps what it has mapped
                shutil.rmtree(path, ignore_errors=True)


def hash_lumas(lumas: Sequence[np.ndarray]) -> bytes:
    """Return the hashes, 32 bytes each, of lumas, uint8 (512, 512): all eight of each that has enough quality."""
    hashed = [pdq(luma) for luma in lumas]
    return b"".join(picture.hashes.tobytes() for picture in hashed if picture.quality >= LEAST_QUALITY)


def _row_of(path: Path, md5: bytes) -> int | None:
    """Return the place of an MD5 in a file of sorted ones, or None; raises OSError."""
    with path.open("rb") as file:
        low, high = 0, file.seek(0, 2) // MD5_BYTES
        while low < high:
            middle = (low + high) // 2
            file.seek(middle * MD5_BYTES)
            read = file.read(MD5_BYTES)
            if read == md5:
                return middle
            low, high = (middle + 1, high) if read < md5 else (low, middle)
    return None


def _rows(hash_list: HashList) -> np.ndarray:
    """Return all that is on a list, uint8 (n, 32): its hashes, and its MD5s behind as many zeros."""
    md5s = b"".join(bytes(BYTES - MD5_BYTES) + md5 for md5, _ in hash_list.md5s)
    return np.concatenate((hash_list.hashes, np.frombuffer(md5s, np.uint8).reshape(-1, BYTES)))


def _content(hashes: np.ndarray) -> dict[str, str]:
    """Return the digest and the sample of a list's hashes, which do not depend on the order of its lines."""
    words = np.ascontiguousarray(hashes).view("<u8").reshape(-1, BYTES // 8)
    ordered = words[np.lexsort(words.T)]
    # Which hashes are sampled must not depend on their likeness: their words are mixed (Knuth's multiplier).
    mixed = np.zeros(len(ordered), np.uint64)
    for word in ordered.T:
        mixed = (mixed ^ word) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    sample = np.sort(mixed)[:SAMPLE].astype(">u8")
    return {"digest": hashlib.sha256(ordered.tobytes()).hexdigest(), "sample": sample.tobytes().hex()}


def _about(target: Path) -> tuple[list[IndexedHashList], list[HashListSnapshot]]:
    try:
        about = json.loads((target / _ABOUT).read_text("utf-8"))
        lists = [IndexedHashList(entry["name"], entry["hashes"], entry["left_out"]) for entry in about]
        snapshots = [
            HashListSnapshot(
                entry["name"], entry["hashes"], entry["digest"], bytes.fromhex(entry["sample"]), entry["modified"]
            )
            for entry in about
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise IndexBroken(f"{target.name}: {_ABOUT} is not what was written") from error
    return lists, snapshots
