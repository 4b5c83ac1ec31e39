"""Which of the lists in a folder an upload is on.

Every ``NAME.csv`` in the folder is a list, called ``NAME``. From them an index is built once, beside the index of
renditions, under a name that changes with any of the files; it is memory-mapped and shared by all processes of a
machine. While a list cannot be read nothing is let through: what is missing from it would be missed in silence.
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
from nightlight.matching.list_files import read_list
from nightlight.matching.pdq import BYTES, LEAST_QUALITY, pdq
from nightlight.matching.segment import KEY_BYTES
from nightlight_core.errors import Conflict, IndexBroken, InvalidInput, ListsUnavailable

# Files of so many bytes are indexed in a second or two, in passing; larger ones by ``nightlight lists build``.
IN_PASSING_BYTES = 20_000_000
_LOOK_AGAIN_S = 5.0
_WAIT_S = 20.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
# Written last: an index without it was cut short.
_ABOUT = "about.json"
# The form of the index's folder: raise it when what stands in it changes.
_FORM = 2
SAMPLE, SAMPLED_BYTES = 512, 8


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry that an upload is near to: of which list, the list's own reference, and how many bits of 256 apart."""

    list: str
    reference: str
    distance: int


@dataclass(frozen=True, slots=True)
class ListKept:
    """One list as it is indexed: how many hashes, and how many were left out because they say too little."""

    name: str
    hashes: int
    left_out: int


@dataclass(frozen=True, slots=True)
class ListState:
    """One list's content: how many hashes, their SHA-256 in hexadecimal, a sample of them, when its file was changed.

    The sample is the SAMPLE smallest of what the hashes are mixed to, SAMPLED_BYTES each: of two states of a list it
    tells what share of the one is in the other, and 4 kB are kept of ten million hashes.
    """

    name: str
    hashes: int
    digest: str
    sample: bytes
    modified_ns: int

    def lost(self, known_sample: bytes) -> float:
        """Return the share, 0 to 1, of a known sample that is not here any more."""
        known = _split(known_sample)
        here = _split(self.sample)
        kept = set(here)
        # A full sample says nothing of what is larger than its largest.
        most = here[-1] if len(here) == SAMPLE else b"\xff" * SAMPLED_BYTES
        told = [one for one in known if one <= most]
        return sum(one not in kept for one in told) / len(told) if told else 0.0


class Searched(NamedTuple):
    """What was found, the nearest first, and the lists that were looked in."""

    found: list[Listed]
    lists: list[ListState]


def _split(sample: bytes) -> list[bytes]:
    return [sample[at : at + SAMPLED_BYTES] for at in range(0, len(sample), SAMPLED_BYTES)]


@dataclass(frozen=True, slots=True)
class _Opened:
    """An index as it was opened: what it is about is kept, since another process may drop its folder."""

    target: Path
    index: HashIndex
    kept: list[ListKept]
    states: list[ListState]

    def named(self, key: bytes) -> tuple[str, str]:
        """Return the name of a list and its reference for the entry with this key; raises OSError or IndexBroken."""
        number, row = int.from_bytes(key[:8], "big"), int.from_bytes(key[8:], "big")
        with (self.target / f"{number}.txt").open(encoding="utf-8") as file:
            reference = next(itertools.islice(file, row, None), None)
        if reference is None or number >= len(self.kept):
            message = f"{self.target.name}: no entry {number}/{row}"
            raise IndexBroken(message)
        return self.kept[number].name, reference.rstrip("\n")


class Lists:
    """The lists of a folder. Safe to share between threads."""

    def __init__(self, folder: Path, index_dir: Path) -> None:
        """Read ``NAME.csv`` in ``folder`` when first asked; keep what is made of them in ``index_dir``."""
        self._folder = folder
        self._index_dir = index_dir
        self._lock = threading.Lock()
        self._looked = -_LOOK_AGAIN_S
        self._open: _Opened | None = None

    def search(self, views: Sequence[np.ndarray]) -> list[Listed]:
        """Return the entries near a picture, given as lumas, uint8 (512, 512): as it is, turned and mirrored.

        The nearest comes first. Raises ListsUnavailable where a list cannot be read, or has yet to be indexed.
        """
        return self.search_hashes(hashes_of(views)).found

    def search_hashes(self, hashes: bytes) -> Searched:
        """Return the entries near any of these hashes, 32 bytes each, and which lists they were looked for in.

        Raises ListsUnavailable.
        """
        opened = self._current()
        nearest: dict[bytes, int] = {}
        try:
            for query in np.frombuffer(hashes, np.uint8).reshape(-1, BYTES):
                for match in opened.index.search(query):
                    nearest[match.key] = min(match.distance, nearest.get(match.key, match.distance))
            found = [Listed(*opened.named(key), bits) for key, bits in nearest.items()]
        except (OSError, IndexBroken) as error:  # another process has indexed newer lists, and dropped these
            with self._lock:
                self._open = None
            message = f"{self._folder}: the index that was open is gone ({type(error).__name__})"
            raise ListsUnavailable(message) from error
        found.sort(key=lambda one: (one.distance, one.list, one.reference))
        return Searched(found, opened.states)

    def state(self) -> list[ListState]:
        """Return the lists as they are now. Raises ListsUnavailable where one cannot be read, or has to be indexed."""
        return self._current().states

    def build(self) -> list[ListKept]:
        """Index the lists as they are now, unless that has been done; return them.

        Raises InvalidInput naming the lines that cannot be read, and Conflict while another process does it.
        """
        target, _ = self._wanted()
        if not (target / _ABOUT).exists():
            with HashIndex(target, write=True, wait_s=_WAIT_S) as index:
                if not (target / _ABOUT).exists():
                    self._fill(target, index)
            self._drop_others(target)
        return _about(target)[0]

    def _fill(self, target: Path, index: HashIndex) -> None:
        files = self._files()
        modified = [path.stat().st_mtime_ns for path in files]
        read = [read_list(path, path.stem) for path in files]
        if self._wanted()[0] != target:
            message = f"{self._folder}: a list was written while it was read; it is read again"
            raise Conflict(message)
        batches = []
        for number, one in enumerate(read):
            keys = np.zeros((len(one.hashes), 2), ">u8")
            keys[:, 0], keys[:, 1] = number, np.arange(len(one.hashes))
            batches.append((one.hashes, keys.view(np.uint8).reshape(-1, KEY_BYTES)))
            (target / f"{number}.txt").write_text("".join(f"{reference}\n" for reference in one.references), "utf-8")
        index.build(batches)
        kept = [
            {
                "name": one.name,
                "hashes": len(one.hashes),
                "left_out": one.left_out,
                **_content(one.hashes),
                "modified": at,
            }
            for one, at in zip(read, modified, strict=True)
        ]
        (target / f"{_ABOUT}.new").write_text(json.dumps(kept), "utf-8")
        (target / f"{_ABOUT}.new").rename(target / _ABOUT)

    def _current(self) -> _Opened:
        with self._lock:
            if self._open is not None and time.monotonic() - self._looked < _LOOK_AGAIN_S:
                return self._open
            try:
                target, size = self._wanted()
                if self._open is None or self._open.target != target:
                    self._open = None
                    if size > IN_PASSING_BYTES and not (target / _ABOUT).exists():
                        message = f"{self._folder}: {size} bytes of lists are new; run `nightlight lists build`"
                        raise ListsUnavailable(message)
                    self.build()
                    self._open = _Opened(target, HashIndex(target), *_about(target))
            except (InvalidInput, IndexBroken, Conflict, OSError) as error:
                message = f"{self._folder}: {error}"
                raise ListsUnavailable(message) from error
            self._looked = time.monotonic()
            return self._open

    def _files(self) -> list[Path]:
        if not self._folder.is_dir():
            message = f"{self._folder}: there is no such folder"
            raise InvalidInput(message)
        # Not glob(), which finds nothing in a folder that may not be read.
        files = sorted(path for path in self._folder.iterdir() if path.name.endswith(".csv"))
        for path in files:
            if not _NAME.fullmatch(path.stem):
                message = f"{path.name}: a list's name is at most 64 lower-case letters, digits or ._-"
                raise InvalidInput(message)
            if not path.is_file():
                message = f"{path.name}: a list is a file"
                raise InvalidInput(message)
        return files

    def _wanted(self) -> tuple[Path, int]:
        """Return where the index of the lists as they are now is, and how large their files are, in bytes."""
        said = [(path.name, path.stat()) for path in self._files()]
        digest = hashlib.sha256(
            repr([_FORM] + [(name, at.st_size, at.st_mtime_ns, at.st_ino) for name, at in said]).encode()
        )
        return self._index_dir / f"lists-{digest.hexdigest()[:16]}", sum(at.st_size for _, at in said)

    def _drop_others(self, target: Path) -> None:
        for path in self._index_dir.glob("lists-*"):
            if path != target:  # whoever still has it mapped keeps what it has mapped
                shutil.rmtree(path, ignore_errors=True)


def hashes_of(views: Sequence[np.ndarray]) -> bytes:
    """Return the hashes, 32 bytes each, of lumas, uint8 (512, 512): eight turns of each in which there is enough."""
    hashed = [pdq(view) for view in views]
    return b"".join(one.hashes.tobytes() for one in hashed if one.quality >= LEAST_QUALITY)


def _content(hashes: np.ndarray) -> dict[str, str]:
    """Return what tells a list's content from another's, whatever the order of its lines."""
    words = np.ascontiguousarray(hashes).view("<u8").reshape(-1, BYTES // 8)
    ordered = words[np.lexsort(words.T)]
    # Which hashes are sampled must not depend on what is like in them: their words are mixed (Knuth's multiplier).
    mixed = np.zeros(len(ordered), np.uint64)
    for word in ordered.T:
        mixed = (mixed ^ word) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    sample = np.sort(mixed)[:SAMPLE].astype(">u8")
    return {"digest": hashlib.sha256(ordered.tobytes()).hexdigest(), "sample": sample.tobytes().hex()}


def _about(target: Path) -> tuple[list[ListKept], list[ListState]]:
    try:
        said = json.loads((target / _ABOUT).read_text("utf-8"))
        kept = [ListKept(one["name"], one["hashes"], one["left_out"]) for one in said]
        states = [
            ListState(one["name"], one["hashes"], one["digest"], bytes.fromhex(one["sample"]), one["modified"])
            for one in said
        ]
    except (KeyError, TypeError, ValueError) as error:
        message = f"{target.name}: {_ABOUT} is not what was written"
        raise IndexBroken(message) from error
    return kept, states
