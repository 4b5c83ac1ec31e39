"""What it costs to find the pictures that a run renders again: what should exist minus what does, on both databases.

Catalogues of invented pictures, all of them rendered by another recipe of every tier, or all as they should be. The
run's own code looks at them, and queues them where they are stale; nothing is rendered, a queued picture counts as done
at once. CPU seconds are those of this process, and of the connection's own process where PostgreSQL has one.

    python bench/rerender_select.py [--pictures N ...] [--databases sqlite postgres]
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

from rich.console import Console
from rich.table import Table
from sqlalchemy import text, update

from nightlight.catalogue.schema import jobs
from nightlight.flows.pictures.rerender_runs import RerenderFeeder, RerenderRuns
from nightlight.imaging.recipe import build_recipes
from nightlight.jobs import kinds
from nightlight.policy.compile import compile_folder
from nightlight_core.clock import system_clock
from tests.support.databases import catalogue_on

ROOT = Path(__file__).parents[1]
# Numbers from 0 on, and an id of 32 digits for each, in no order.
NUMBERS = {
    "postgres": "SELECT g FROM generate_series(0, :count - 1) AS numbers(g)",
    "sqlite": "WITH RECURSIVE numbers(g) AS (SELECT 0 UNION ALL SELECT g + 1 FROM numbers WHERE g < :count - 1) "
    "SELECT g FROM numbers",
}
IDS = {
    "postgres": "lpad(to_hex((g::bigint * 2654435761) & 4294967295), 8, '0') || lpad(to_hex(g), 24, '0')",
    "sqlite": "printf('%08x%024x', (g * 2654435761) & 4294967295, g)",
}
PROFILES = (
    "INSERT INTO profiles (profile_id, state, band, asserted_band, assurance, region, choice, report_flag, asserted_at,"
    " generation, uploads, created_at) SELECT 'p-' || g, 'active', 'adult', 'adult', 'verified', 'eu', 'connections',"
    " 'clear', :now, 1, 1, :now FROM ({numbers}) AS n"
)
IMAGES = (
    "INSERT INTO images (image_id, profile_id, sequence, state, original_key, original_bytes, format, width, height,"
    " band, ceiling_band, created_at, ready_at) SELECT {id}, 'p-' || g, 1, 'ready', {id}, 1, 'jpeg', 800, 600, 'adult',"
    " 'adult', :now, :now FROM ({numbers}) AS n"
)
RENDITIONS = (
    "INSERT INTO renditions (name, image_id, tier, generation, recipe, format, bytes, width, height, sha256, variant,"
    " created_at) SELECT :tier || '-' || :variant || '-' || {id}, {id}, :tier, 1, :recipe, 'webp', 1, 1, 1, '', "
    ":variant, :now FROM ({numbers}) AS n"
)


def fill(catalogue, kind, count, recipes, *, stale):
    """Write pictures that are shown, each with a rendition of every tier."""
    now, parts = datetime.now(UTC), {"numbers": NUMBERS[kind], "id": IDS[kind]}
    with catalogue.transaction() as tx:
        if kind == "postgres":
            tx.connection.execute(text("SET LOCAL statement_timeout = 0"))
        for statement in (PROFILES, IMAGES):
            tx.connection.execute(text(statement.format(**parts)), {"count": count, "now": now})
        for recipe in recipes:
            for variant in range(recipe.variants):
                made_by = {"tier": recipe.tier, "recipe": "earlier" if stale else recipe.digest, "variant": variant}
                tx.connection.execute(text(RENDITIONS.format(**parts)), {"count": count, "now": now, **made_by})
        if kind == "postgres":
            tx.connection.execute(text("ANALYZE"))


def server_cpu_s(connection, kind):
    """CPU seconds of the process of a connection; 0 where the database is in this process."""
    if kind == "sqlite":
        return 0.0
    pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def select(catalogue, kind, recipes):
    """Look until the run is done; return the CPU seconds of this process, of the server, and the pictures queued."""
    feeder = RerenderFeeder(catalogue, system_clock, lambda: recipes)
    own, server, queued = time.process_time(), None, 0
    waiting = update(jobs).where(jobs.c.kind == kinds.RERENDER.name, jobs.c.state == "queued").values(state="done")
    while True:
        queued += feeder.look()
        with catalogue.transaction() as tx:
            # One connection serves it all, one after the other.
            now = server_cpu_s(tx.connection, kind)
            server = now if server is None else server
            tx.connection.execute(waiting)
        if RerenderRuns(catalogue, system_clock).progress(limit=1)[0].run.state == "done":
            return time.process_time() - own, now - server, queued


def main():
    """Print a line for each database, size and state."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--databases", nargs="+", choices=sorted(NUMBERS), default=sorted(NUMBERS))
    args = parser.parse_args()
    compiled = compile_folder(ROOT / "policies")
    recipes = build_recipes(compiled.table.tiers, order=compiled.pack.vocabulary.outcomes.tier)
    table = Table(title="Finding the pictures that a run renders again")
    for name in ("database", "pictures", "queued", "CPU s", "the server's", "ms a picture", "peak MB more"):
        table.add_column(name, justify="right" if name != "database" else "left")
    for kind in args.databases:
        for stale in (False, True):
            for count in args.pictures:
                with tempfile.TemporaryDirectory() as folder, catalogue_on(kind, Path(folder)) as catalogue:
                    fill(catalogue, kind, count, recipes, stale=stale)
                    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                    own, server, queued = select(catalogue, kind, recipes)
                    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
                row = f"{own:.2f}", f"{server:.2f}", f"{1000 * (own + server) / count:.3f}", f"{more:.0f}"
                table.add_row(kind, f"{count:,}", f"{queued:,}", *row)
                print(kind, count, queued, *row, flush=True)
    Console().print(table)


if __name__ == "__main__":
    main()
