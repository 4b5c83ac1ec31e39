"""A sealed part of the index: hashes that change no more, and for each of their words the rows in its order."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nightlight.matching.pdq import BYTES

KEY_BYTES = 16
# A hash's words of sixteen bits.
WORDS = 16
# A word, and with each of its bits the other way; and with each two of them.
_ONE_BIT = np.concatenate(([0], 1 << np.arange(16))).astype(np.uint16)
_TWO_BITS = np.unique(_ONE_BIT[1:, None] | _ONE_BIT[None, 1:])
_FLIPS = {1: _ONE_BIT, 2: np.concatenate(([0], _TWO_BITS)).astype(np.uint16)}


class Segment:
    """Hashes that change no more: rows of hashes and keys, and for each word the rows in its order."""

    def __init__(self, folder: Path) -> None:
        """Map the arrays; raises OSError or ValueError if they are not there or do not fit together."""
        self.hashes = np.load(folder / "hashes.npy", mmap_mode="r")
        self.keys = np.load(folder / "keys.npy", mmap_mode="r")
        self._order = np.load(folder / "order.npy", mmap_mode="r")
        self._start = np.load(folder / "start.npy")
        self._wide = self.hashes.view("<u8")
        count = len(self.hashes)
        shapes = (self.hashes.shape, self.keys.shape, self._order.shape, self._start.shape)
        if shapes != ((count, BYTES), (count, KEY_BYTES), (WORDS, count), (WORDS, (1 << 16) + 1)):
            raise ValueError(f"{folder.name}: arrays of shapes {shapes} do not fit together")

    def near(self, query: np.ndarray, within: int, *, flips: int = 1) -> Iterator[tuple[bytes, int]]:
        """Yield (key, distance) of hashes at most ``within`` bits away that have a word at most ``flips`` bits away.

        Up to 16 * flips + 15 bits away that is every hash.
        """
        words = query.view("<u2")[:, None] ^ _FLIPS[flips]
        rows = np.arange(WORDS)[:, None]
        first, last = self._start[rows, words], self._start[rows, words.astype(np.int64) + 1]
        lengths = (last - first).ravel()
        total = int(lengths.sum())
        if total == 0:
            return
        # All the runs of rows, one behind the other: where each begins, and how far each place is into its own.
        ends = np.cumsum(lengths)
        within_run = np.arange(total) - np.repeat(ends - lengths, lengths)
        places = np.repeat((first + rows * len(self.hashes)).ravel(), lengths) + within_run
        # A row may come up for several words; it is counted again rather than sorted out.
        candidates = self._order.reshape(-1)[places]
        bits = np.bitwise_count(self._wide[candidates] ^ query.view("<u8")).sum(axis=1, dtype=np.int64)
        for place in np.flatnonzero(bits <= within):
            yield bytes(self.keys[candidates[place]]), int(bits[place])


def write_segment(folder: Path, hashes: np.ndarray, keys: np.ndarray) -> None:
    """Write a segment's arrays; uint8 (n, 32) and uint8 (n, 16)."""
    if hashes.shape[1:] != (BYTES,) or keys.shape != (len(hashes), KEY_BYTES):
        raise ValueError(f"hashes {hashes.shape} and keys {keys.shape} do not fit together")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    np.save(folder / "hashes.npy", np.ascontiguousarray(hashes, dtype=np.uint8))
    np.save(folder / "keys.npy", np.ascontiguousarray(keys, dtype=np.uint8))
    words = np.ascontiguousarray(hashes, dtype=np.uint8).view("<u2")
    start = np.zeros((WORDS, (1 << 16) + 1), np.int64)
    order = np.lib.format.open_memmap(folder / "order.npy", mode="w+", dtype=np.uint32, shape=(WORDS, len(hashes)))
    for word in range(WORDS):
        column = np.ascontiguousarray(words[:, word])
        order[word] = np.argsort(column, kind="stable")  # a radix sort, for words of sixteen bits
        start[word, 1:] = np.cumsum(np.bincount(column, minlength=1 << 16))
    order.flush()
    np.save(folder / "start.npy", start)
