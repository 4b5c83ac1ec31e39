"""What grows with the number of profiles: CPU of each thing that Nightlight does, ours and PostgreSQL's, and bytes.

The rows are generated (growth_rows); what is measured are the real flows over them, with pictures in a local folder.
PostgreSQL's CPU is of the backends of this database, by /proc, so the server must be on this machine.

    python bench/growth.py [--profiles 1000,10000,100000,1000000] [--database URL] [--csv FILE] [--plot FILE]
    python bench/growth.py --draw FILE.csv --plot FILE
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import growth_rows
import numpy as np
from rich.console import Console
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from nightlight.catalogue import migrate
from nightlight.catalogue.decision_inputs import seen
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.imports import SourceObject
from nightlight.catalogue.profiles import Declaration
from nightlight.flows.pictures.delete import DeletePictures
from nightlight.flows.retention.retention_sweep import Sweep
from nightlight.imaging.face import FaceDetector
from nightlight.imaging.invisible_watermark import InvisibleWatermarkWriter
from nightlight.imaging.pipeline import Pipeline
from nightlight.imaging.probe import UploadCaps
from nightlight.imaging.recipe import build_recipes
from nightlight.imaging.sandbox import Sandbox, SandboxLimits
from nightlight.imaging.visible_watermark import VisibleWatermark
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue_many
from nightlight.jobs.runner import JobRunner
from nightlight.matching.index import HashIndex
from nightlight.matching.pdq import BYTES
from nightlight.matching.segment import KEY_BYTES
from nightlight.policy.compile import compile_folder
from nightlight.settings.process import WorkerSettings
from nightlight.store.local import LocalStore
from tests.support import pictures
from tests.support.flow_container import HASHER, Clock, FlowContainer, Switch

SIZES = "1000,10000,100000,1000000"
SERVER = "postgresql+psycopg://nightlight@127.0.0.1:54329/postgres"
# A statement of production is cut off after so many seconds (NIGHTLIGHT_CATALOGUE_TIMEOUT_S).
CUT_OFF_S = 5.0


@contextmanager
def database(server):
    """A database of this run's own."""
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"nightlight_growth_{random.randrange(10**9)}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


class Meter:
    """CPU milliseconds of one call, as (operation, ours, PostgreSQL's, elapsed): medians over repeats."""

    def __init__(self, catalogue):
        self.catalogue, self.rows = catalogue, []

    def _server_ms(self):
        asked = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        with self.catalogue.reading() as tx:
            pids = tx.connection.execute(text(asked)).scalars().all()
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e6

    def measure(self, operation, call, repeats, *, before=lambda: None, per=1):
        spent = []
        idle = []
        for _ in range(3):
            mark = self._server_ms()
            idle.append(self._server_ms() - mark)
        for _ in range(repeats):
            given = before()
            server, own, began = self._server_ms(), time.process_time(), time.perf_counter()
            call() if given is None else call(given)
            own_ms, elapsed = (time.process_time() - own) * 1e3, (time.perf_counter() - began) * 1e3
            server_ms = max(0.0, self._server_ms() - server - min(idle))
            spent.append((own_ms / per, server_ms / per, elapsed / per))
        self.rows.append((operation, *(statistics.median(column) for column in zip(*spent, strict=True))))


def flows(catalogue, folder, compiled, recipes, pipeline):
    """The real flows; a picture's pixels are rendered once, since they do not depend on the catalogue."""
    drawn = []

    def draw(data, wanted, _crop, numbers):
        if not drawn:
            drawn.extend(pipeline.render(data, wanted, region=None, watermark_ids=numbers).renditions)
        return drawn

    clock = Clock(datetime.now(UTC))
    stores = Switch(LocalStore(folder / "originals")), Switch(LocalStore(folder / "renditions"))
    services = FlowContainer(catalogue, *stores, clock, [], compiled.table, recipes, draw)
    services.originals.ready()
    services.renditions.ready()
    runner = JobRunner(catalogue, WorkerSettings(), clock)
    delete = DeletePictures(catalogue, clock)
    sweep = Sweep(runner, delete, lambda: compiled.retention, lambda: (compiled.table,), 30, services.rows.leftovers)
    return services, sweep


class Operations:
    """Each thing that is measured, on profiles that are chosen by chance."""

    def __init__(self, services, sweep, profiles, recipes):
        self.services, self.sweep, self.profiles = services, sweep, profiles
        self.catalogue, self.clock = services.catalogue, services.clock
        self.wanted = {(recipe.tier, recipe.digest): recipe.variants for recipe in recipes}
        self.dice, self.picture = random.Random(1), pictures.jpeg()
        with self.catalogue.reading() as tx:
            self.cursor = tx.feed.since(None).cursor

    def measure(self, meter, repeats):
        rounds = (
            ("100 decisions not in memory", self.decide, repeats * 4, lambda: self.some(100)),
            ("an upload, to publication", self.upload, repeats, lambda: self.some(1)),
            ("an erasure, to its second proof", self.erase, repeats, self.uploaded),
            ("a poll of the change feed", self.poll, repeats, None),
            ("a step of a backfill, 1,000 keys", self.backfill_step, 5, None),
            ("a step of a re-render, 500 pictures", self.rerender_step, repeats, None),
            ("a round of the schedule", self.tick, repeats, None),
            ("a batch of the sweep, nothing due", self.sweep.batch, 3, None),
            ("the report of a quarter", self.report, 3, None),
            ("objects by state, for the buckets' rules", self.objects, 2, None),
            ("what `status` reads", self.status, 3, None),
        )
        for name, call, times, before in rounds:
            meter.measure(name, call, times, before=before or (lambda: None))
            if call == self.backfill_step:
                self.forget_imports()

    def some(self, count):
        return [f"u-{self.dice.randrange(1, self.profiles + 1)}" for _ in range(count)]

    def decide(self, ids):
        with self.catalogue.reading() as tx:
            seen(tx.connection, ids, most_blocked=100)

    def upload(self, ids):
        self.services.upload(ids[0], self.picture)
        self.services.deliver()

    def uploaded(self):
        self.upload(ids := self.some(1))
        with self.catalogue.reading() as tx:
            return tx.profiles.get(ids[0]).current_image_id

    def erase(self, image_id):
        self.services.delete.image(image_id, actor="bench")
        self.services.deliver()
        self.clock.forward(hours=2)
        self.services.reconciler.run_once()
        self.services.deliver()

    def poll(self):
        with self.catalogue.reading() as tx:
            tx.feed.since(self.cursor)

    def backfill_step(self):
        run = self.dice.randrange(10**9)
        named = [SourceObject("b", f"{run}/{number}", f"u-{run}-{number}", "e") for number in range(1000)]
        with self.catalogue.transaction() as tx:
            item_ids = tx.imports.add(named, self.clock())
            enqueue_many(tx, kinds.IMPORT, item_ids, self.clock())

    def forget_imports(self):
        with self.catalogue.transaction() as tx:
            tx.connection.execute(text("DELETE FROM outbox"))
            tx.connection.execute(text("DELETE FROM jobs WHERE kind = 'import'"))

    def rerender_step(self):
        with self.catalogue.transaction() as tx:
            tx.rerenders.batch(self.wanted, {}, after=f"{self.dice.randrange(15):x}", limit=500)

    def report(self):
        period = self.clock() - timedelta(days=92), self.clock()
        with self.catalogue.reading() as tx:
            figures = tx.statistics
            for kind in (kinds.ERASE.name, kinds.ROTATE_NAMES.name):
                figures.seconds(kind, period)
                figures.open(kind, period)
            figures.details("policy.activated", period)
            for figure in (figures.holds, figures.swept, figures.uploads, figures.failures, figures.receipts):
                figure(period)
            figures.notices(period, self.clock())

    def objects(self):
        with self.catalogue.reading() as tx:
            tx.statistics.objects()

    def status(self):
        with self.catalogue.reading() as tx:
            tx.backlog.open_jobs()
            tx.backlog.outbox()
            tx.backlog.events()
            tx.erased_rows.left()

    def tick(self):
        self.services.reconciler.run_once()
        self.services.expiry.run_once()


def index_search(meter, folder, hashes, repeats):
    """Search an index of so many hashes on disk."""
    dice = np.random.default_rng(1)
    with HashIndex(folder, write=True) as index:
        index.build(
            (dice.integers(0, 256, (size, BYTES), np.uint8), dice.integers(0, 256, (size, KEY_BYTES), np.uint8))
            for size in [min(1_000_000, hashes - begin) for begin in range(0, hashes, 1_000_000)]
        )
        query = dice.integers(0, 256, BYTES, np.uint8)
        meter.measure("a search of the hash index", lambda: index.search(query), repeats)


def run(server, profiles, compiled, recipes, pipeline, console):
    """Return (operation, profiles, our ms, PostgreSQL's ms, elapsed ms) and the bytes of each table."""
    with database(server) as url, tempfile.TemporaryDirectory() as text_:
        folder = Path(text_)
        catalogue = Catalogue(url, pool_size=2, timeout_s=900)
        migrate.upgrade(catalogue.engine)
        began = time.monotonic()
        with catalogue.engine.begin() as connection:
            growth_rows.write(connection, profiles, recipes)
        with catalogue.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
            sizes = growth_rows.sizes(connection)
        console.print(f"{profiles:,} profiles written in {time.monotonic() - began:.0f} s")
        services, sweep = flows(catalogue, folder, compiled, recipes, pipeline)
        services.declare.declare(
            "warm", Declaration("adult", "verified", "eu", "connections"), follow_band=False, actor="bench"
        )
        with catalogue.transaction() as tx:
            for number in range(min(profiles // 100, 100_000)):
                tx.tombstones.add(HASHER.subject(f"erased-{number}"), services.clock())
        services.upload("warm")
        services.deliver()
        sweep.batch()
        meter = Meter(catalogue)
        Operations(services, sweep, profiles, recipes).measure(meter, 15)
        (folder / "index").mkdir()
        index_search(meter, folder / "index", profiles, 30)
        catalogue.close()
        return [(name, profiles, *costs) for name, *costs in meter.rows], sizes


def print_table(console, rows, sizes):
    """Print CPU by operation and size, and how the cost grows: the exponent between the two largest sizes."""
    columns = sorted({row[1] for row in rows})
    console.print("| CPU ms, ours + PostgreSQL's | " + " | ".join(f"{n:,}" for n in columns) + " | grows as n to the |")
    console.print("| --- |" + " --- |" * (len(columns) + 1))
    for name in dict.fromkeys(row[0] for row in rows):
        by_size = {row[1]: row for row in rows if row[0] == name}
        cells = [f"{by_size[n][2]:.1f} + {by_size[n][3]:.1f}" for n in columns]
        slow = " **cut off**" if by_size[columns[-1]][4] > CUT_OFF_S * 1e3 else ""
        console.print(f"| {name} | " + " | ".join(cells) + f" | {exponent(by_size, columns):.2f}{slow} |")
    for profiles, tables in sizes.items():
        total = sum(tables.values())
        most = ", ".join(f"{name} {size / profiles:,.0f}" for name, size in list(tables.items())[:10])
        console.print(f"{profiles:,}: {total / 1e6:,.0f} MB, {total / profiles:,.0f} bytes a profile: {most}")


def exponent(by_size, columns):
    """Return the power of n by which the CPU grows between the last two sizes."""
    if len(columns) < 2:
        return float("nan")
    low, high = columns[-2:]
    costs = [max(0.01, sum(by_size[n][2:4])) for n in (low, high)]
    return float(np.log(costs[1] / costs[0]) / np.log(high / low))


def draw(path, rows):
    """Draw CPU against profiles, both by powers of ten."""
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams |= {"svg.hashsalt": "nightlight", "svg.fonttype": "none"}
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(9, 5.5), layout="constrained")
    for number, name in enumerate(dict.fromkeys(row[0] for row in rows)):
        points = sorted((row[1], max(0.05, row[2] + row[3])) for row in rows if row[0] == name)
        style = ("-", "--", ":")[number // 6]
        axis.plot(*zip(*points, strict=True), style, marker="o", markersize=4, label=name, color=f"C{number % 10}")
    axis.set(xscale="log", yscale="log", xlabel="profiles", ylabel="CPU ms, ours and PostgreSQL's")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", default=SIZES)
    parser.add_argument("--database", default=SERVER)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--draw", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    console = Console(width=200, highlight=False)
    sizes = {}
    if options.draw:
        with options.draw.open() as file:
            rows = [(name, int(n), *map(float, rest)) for name, n, *rest in csv.reader(file)]
    else:
        rows = []
        compiled = compile_folder(Path(__file__).parents[1] / "policies")
        recipes = build_recipes(compiled.table.tiers, order=("none", *compiled.table.tiers))
        with Sandbox(SandboxLimits()) as sandbox:
            pipeline = Pipeline(
                UploadCaps(), sandbox, FaceDetector(), VisibleWatermark(), InvisibleWatermarkWriter(bytes(range(32)))
            )
            for profiles in map(int, options.profiles.split(",")):
                measured, sizes[profiles] = run(options.database, profiles, compiled, recipes, pipeline, console)
                rows += measured
    print_table(console, rows, sizes)
    if options.csv:
        with options.csv.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    if options.plot:
        draw(options.plot, rows)


if __name__ == "__main__":
    main()
