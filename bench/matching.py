"""Perceptual hashes: what one costs, and the search for near ones among millions, beside a search of all.

python bench/matching.py [--hashes N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import numpy as np
import peers
from PIL import Image
from rich.console import Console

from nightlight.matching.index import HashIndex
from nightlight.matching.pdq import BYTES, CANONICAL, MATCH_WITHIN, distance, pdq
from nightlight.matching.segment import KEY_BYTES

BATCH = 1_000_000


def batches(count, dice):
    """Random hashes and keys, a million at a time."""
    for begin in range(0, count, BATCH):
        size = min(BATCH, count - begin)
        yield dice.integers(0, 256, (size, BYTES), np.uint8), dice.integers(0, 256, (size, KEY_BYTES), np.uint8)


def changed(row, bits, dice):
    flat = np.unpackbits(row)
    flat[dice.choice(flat.size, bits, replace=False)] ^= 1
    return np.packbits(flat)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hashes", type=int, default=10_000_000)
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    console = Console(width=110, highlight=False)
    source = Path(find_spec("skimage").origin).parent / "data/astronaut.png"
    pixels = np.asarray(Image.open(source).convert("RGB").resize((CANONICAL, CANONICAL)))
    console.print(
        f"PDQ of {CANONICAL} pixels with all eight turns: {peers.median_ms(lambda: pdq(pixels), 30):.1f} ms of CPU"
    )
    dice = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder, HashIndex(Path(folder), write=True) as index:
        begin = time.monotonic()
        index.build(batches(options.hashes, dice))
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.npy")) / 1e6
        console.print(f"built {options.hashes:,} hashes in {time.monotonic() - begin:.1f} s; {size:,.0f} MB on disk")
        rows = np.load(Path(folder) / "s1/hashes.npy", mmap_mode="r")
        times, hits = [], 0
        for _ in range(options.queries):
            query = changed(rows[dice.integers(len(rows))], int(dice.integers(0, MATCH_WITHIN + 1)), dice)
            begin = time.perf_counter()
            hits += bool(index.search(query))
            times.append((time.perf_counter() - begin) * 1e3)
        scan_ms = peers.median_ms(lambda: int(distance(rows[:BATCH], query).min()), 3) * len(rows) / BATCH
        ordered = sorted(times)
        console.print(
            f"{hits} of {options.queries} queries, 0 to {MATCH_WITHIN} bits off, found; median {statistics.median(times):.1f} ms, "
            f"95 % within {ordered[int(0.95 * len(ordered))]:.1f} ms; comparing with all takes {scan_ms:,.0f} ms"
        )


if __name__ == "__main__":
    main()
