"""Takedown notices: copies that are found, time from a notice to the last copy dark, and false matches.

python bench/takedown.py [--quick] [--hashes N] [--copies N] [--pictures N] [--entries N]
    [--photographs FOLDER --first N --most N --tier TIER --ways upload,found --rows FILE]

With ``--photographs``, recall is measured on a folder of photographs instead, through the product's own ways
(takedown_recall); ``--parts recall,pairs`` compares all of its photographs of different people, too (takedown_pairs).

The machine is real throughout: the hashes, the index on the disk, the catalogue (SQLite) and the flow that hides. What
fills the index is random. Times are of this process's own clock, and by the wall.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import numpy as np
import structlog
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert
from takedown_copies import COPIES, encoded, photographs, rendering
from takedown_pairs import false_pairs, independent_bits
from takedown_recall import recall_of, recall_table

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.schema import images, profiles, renditions
from nightlight.catalogue.takedown_schema import view_hashes
from nightlight.flows.pictures.notices import WHOLE_WITHIN, WINDOW_WITHIN
from nightlight.flows.takedowns.notice_copies import NoticeCopies
from nightlight.flows.takedowns.requests import Notice, PlaceTakedowns, ReviewTakedowns
from nightlight.flows.takedowns.run import RunTakedown
from nightlight.flows.takedowns.search import FindCopies, hash_notice
from nightlight.flows.traces.search import TraceSearch
from nightlight.imaging.match_squares import candidate_lumas, square_luma
from nightlight.imaging.notice_views import window_lumas
from nightlight.imaging.renderer import Renderer
from nightlight.jobs.runner import JobRunner
from nightlight.matching.index import HashIndex
from nightlight.matching.list_index import hash_lumas
from nightlight.matching.pdq import BYTES, distance, pdq
from nightlight.settings import Settings
from nightlight.settings.pictures import UploadSettings
from nightlight.settings.process import WorkerSettings
from nightlight.store.interface import PutOnly, put_bytes, unsealed
from nightlight.store.local import LocalStore

NOW = datetime(2026, 11, 30, tzinfo=UTC)
VIEWS, BATCH = 8, 1_000_000
# A photograph's copies of a kind that depends on chance.
TIMES = 40


def recall(times, dice):
    """Return, for each kind of copy, how many there were, how many were found, and the largest distance."""
    beyond = {kind: [] for kind in COPIES}
    for _, picture in photographs():
        queries = hash_notice(candidate_lumas(picture), window_lumas(picture)).queries
        limits = {WHOLE_WITHIN: [], WINDOW_WITHIN: []}
        for _, query in queries:
            limits[query.within].append(query.hash)
        stacked = {within: np.stack(hashes) for within, hashes in limits.items()}
        for kind, copy in COPIES.items():
            for _ in range(times):
                views = [hashed.hashes[0] for hashed in map(pdq, candidate_lumas(copy(picture, dice)))]
                over = min(
                    int(distance(hashes, view).min()) - within for within, hashes in stacked.items() for view in views
                )
                beyond[kind].append(over)
    return {kind: (len(over), sum(bits <= 0 for bits in over), max(over)) for kind, over in beyond.items()}


def fill_index(folder, count, dice):
    """Fill the index of views with random hashes under numbers below those of the catalogue; return the next number."""
    batches = []
    for begin in range(0, count, BATCH):
        places = np.arange(begin, min(begin + BATCH, count))
        keys = np.stack([places // VIEWS + 1, places % VIEWS], axis=1).astype(">u8").view(np.uint8)
        batches.append((dice.integers(0, 256, (len(places), BYTES), np.uint8), keys.reshape(-1, 16)))
    with HashIndex(folder, write=True) as index:
        index.build(batches)
    return count // VIEWS + 2_000


def near(hash_, bits, dice):
    flat = np.unpackbits(np.frombuffer(hash_, np.uint8))
    flat[dice.choice(256, bits, replace=False)] ^= 1
    return np.packbits(flat).tobytes()


def write_copies(catalogue, count, view, number, dice):
    """Write profiles, each with an image that is shown: a copy, and the renditions of four tiers."""
    rows = {"profiles": [], "images": [], "renditions": [], "views": []}
    for place in range(count):
        image_id, profile_id = f"{place:032x}", f"u-{place}"
        rows["profiles"].append(
            {
                "profile_id": profile_id, "state": "live", "band": "unknown", "asserted_band": "unknown",
                "assurance": "none", "region": "unknown", "choice": "connections", "report_flag": "clear",
                "asserted_at": NOW, "generation": 0, "uploads": 1, "current_image_id": image_id, "created_at": NOW,
            }
        )  # fmt: skip
        rows["images"].append(
            {
                "image_id": image_id, "profile_id": profile_id, "sequence": 1, "state": "ready",
                "original_key": f"o/{place:064x}", "original_bytes": 1, "format": "jpeg", "width": 1, "height": 1,
                "band": "unknown", "ceiling_band": "unknown", "created_at": NOW, "ready_at": NOW,
            }
        )  # fmt: skip
        rows["renditions"] += [
            {
                "name": f"{place:028x}{tier:04x}", "image_id": image_id, "tier": f"t{tier}", "generation": 0,
                "recipe": "r", "format": "webp", "bytes": 1, "width": 1, "height": 1, "sha256": "0" * 64, "variant": 0,
                "created_at": NOW,
            }
            for tier in range(4)
        ]  # fmt: skip
        hashes = near(view, int(dice.integers(0, 30)), dice) + dice.bytes(BYTES * (VIEWS - 1))
        rows["views"].append({"number": number + place, "image_id": image_id, "hashes": hashes})
    with catalogue.transaction() as tx:
        for table, name in ((profiles, "profiles"), (images, "images"), (renditions, "renditions")):
            tx.connection.execute(insert(table), rows[name])
        tx.connection.execute(insert(view_hashes), rows["views"])


def dark(folder, hashes, copies, dice):
    """Place a notice on one of the copies, and let a worker carry it out; return seconds, CPU seconds and the hidden."""
    catalogue = Catalogue(f"sqlite:///{folder / 'catalogue.sqlite3'}", timeout_s=60)
    migrate.upgrade(catalogue.engine)
    rendering_ = Renderer(Settings())
    picture = next(picture for name, picture in photographs() if name == "coffee.png")
    file = folder / "coffee.jpg"
    encoded(picture, 90).save(file, quality=90)
    originals = LocalStore(folder / "originals")
    originals.ready()
    view = hash_lumas(rendering_.match_lumas(file.read_bytes(), None))[:BYTES]
    number = fill_index(folder / "index/views", hashes, dice)
    write_copies(catalogue, copies, view, number, dice)
    put_bytes(originals, f"o/{0:064x}", file.read_bytes(), "application/octet-stream")
    traces = TraceSearch(catalogue, folder / "index", rendering_.decode_copy, lambda _: None, lambda: NOW)
    find = FindCopies(catalogue, folder / "index/views", traces, 20)
    run = RunTakedown(
        JobRunner(catalogue, WorkerSettings(), lambda: NOW), originals, rendering_.notice_lumas, find, traces, unsealed,
        64_000_000, NoticeCopies(originals, rendering_.review_picture, unsealed, 64_000_000),
    )  # fmt: skip
    place = PlaceTakedowns(catalogue, PutOnly(originals), UploadSettings(), lambda: 48.0, lambda: NOW)
    begin, cpu = time.monotonic(), time.process_time()
    takedown_id = place.of_image(f"{0:032x}", Notice("other", "bench"), actor="bench").takedown_id
    with catalogue.reading() as tx:
        (job_id,) = tx.connection.exec_driver_sql("SELECT job_id FROM jobs WHERE kind = 'takedown'").scalars()
    ending = run.run(job_id, redelivered=False)
    took, cpu = time.monotonic() - begin, time.process_time() - cpu
    hidden = ReviewTakedowns(catalogue, lambda: NOW).status(takedown_id).takedown.hidden
    rendering_.close()
    catalogue.close()
    return ending, took, cpu, hidden


def false_matches(folder, pictures, entries):
    """Return how many pictures are near to a list of others, and the smallest distance that was met within 64 bits."""
    listed = []
    number = 10**9
    while len(listed) < entries:
        picture = rendering(number).resize((512, 512))
        listed += [hashed.hashes[0] for hashed in map(pdq, window_lumas(picture)) if hashed.quality >= 50]
        number += 1
    hashes = np.stack(listed[:entries])
    keys = np.zeros((entries, 2), ">u8")
    keys[:, 1] = np.arange(entries)
    matched, nearest = 0, 256
    with HashIndex(folder, write=True) as index:
        index.build([(hashes, keys.view(np.uint8).reshape(-1, 16))])
        for place in range(pictures):
            turns = pdq(square_luma(rendering(place), 512)).hashes
            near_ = [match.distance for turn in turns for match in index.search_beyond(turn, within=64)]
            nearest = min([nearest, *near_])
            matched += any(bits <= WHOLE_WITHIN for bits in near_)
    return matched, nearest


def measure_photographs(options, console, figures):
    if "recall" in options.parts:
        options.rows.parent.mkdir(parents=True, exist_ok=True)
        ways = options.ways.split(",")
        rows = recall_of(options.photographs, options.first, options.most, options.tier, ways, options.rows)
        table, figures["photographs"] = recall_table(rows, options.tier)
        console.print(table)
    if "pairs" in options.parts:
        compared, histogram, near = false_pairs(options.photographs)
        figures["pairs"] = {"compared": compared, "histogram": histogram.tolist(), "near": near}
        console.print(
            f"{compared:,} comparisons of different people, the nearest {int(np.flatnonzero(histogram)[0])} bits apart; "
            f"their spread is that of {independent_bits(histogram):.0f} independent bits; within the limit:"
        )
        for bits, name, other in near:
            console.print(f"  {bits} bits: {name}, {other}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of a percent of it")
    parser.add_argument("--hashes", type=int, default=10_000_000)
    parser.add_argument("--copies", type=int, default=1_000)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--parts", default="recall,dark,false")
    parser.add_argument("--photographs", type=Path, help="measure recall on this folder's photographs")
    parser.add_argument("--first", type=int, default=0, help="leave out so many of them")
    parser.add_argument("--most", type=int, default=1_000)
    parser.add_argument("--tier", default="medium", help="the tier whose rendition leaks")
    parser.add_argument("--ways", default="upload,found")
    parser.add_argument("--rows", type=Path, default=Path("var/takedown-rows.jsonl"), help="what is known already")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
    )  # a line for each image says nothing
    if options.quick:
        options.hashes, options.copies, options.pictures, options.entries, options.times = 100_000, 50, 100, 2_000, 2
    console, dice, figures = Console(width=110, highlight=False), np.random.default_rng(7), {}
    if options.photographs is not None:
        measure_photographs(options, console, figures)
    if "recall" in options.parts and options.photographs is None:
        table = Table("copy", "tried", "found", "share", "bits beyond the limit at most")
        for kind, (tried, matched, most) in recall(options.times, dice).items():
            figures[kind] = {"tried": tried, "found": matched}
            table.add_row(kind, f"{tried:,}", f"{matched:,}", f"{matched / tried:.3f}", str(max(0, most)))
        console.print(table)
    if "dark" in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            ending, took, cpu, hidden = dark(Path(folder), options.hashes, options.copies, dice)
        figures["dark"] = {"seconds": took, "cpu_s": cpu, "hidden": hidden, "hashes": options.hashes}
        console.print(
            f"{options.hashes:,} hashes, {options.copies:,} copies: {ending}, {hidden:,} hidden in {took:.1f} s "
            f"({cpu:.1f} s of this process's CPU)"
        )
    if "false" in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            matched, nearest = false_matches(Path(folder), options.pictures, options.entries)
        bound = 3 / (options.pictures * options.entries * 8)
        figures["false"] = {
            "found": matched,
            "nearest": nearest,
            "pictures": options.pictures,
            "entries": options.entries,
        }
        console.print(
            f"{options.pictures:,} unrelated renderings against {options.entries:,} entries: {matched} matched; the "
            f"nearest pair {nearest} bits apart"
            + (f"; a comparison matches less than once in {1 / bound:.1e} (95 %)" if not matched else "")
        )
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
