"""What AuthZEN's batches cost beside /v1/decisions: CPU time of the server, medians of rounds that alternate.

python bench/authzen.py [--profiles N] [--rounds N] [--json FILE]     one service process over SQLite, one client

The same profiles are asked for by both, in batches of 100 and of 500. The whole way is measured: HTTP, the check of the
token, the body, the decisions, the answer. A figure is evaluations for a second of the server's CPU time.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.delivery import HOT, ROOT, serving
from bench.load import request, rounds
from bench.profiles import fill
from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.cli import key_commands
from nightlight.policy.compile import compile_folder
from nightlight_core.decisions.relation_proofs import issue_proof

BODIES = 40
# Whom one viewer looks at, again and again: as many pictures as the policy gives a stranger at once, or fewer.
FRIENDS = 80
WANTED_PER_S = 100_000
SHAPES = ("stranger", "connection", "each with its own subject")


def pairs(folder, shape, batch):
    """(body of /v1/decisions, body of /access/v1/evaluations) about the same profiles and viewers, ``BODIES`` of each."""
    ring, now, drawn = key_commands.relation_keys(folder), int(time.time()), random.Random(7)
    relation = "connection" if shape == "connection" else "stranger"
    bodies = []
    for number in range(BODIES):
        viewer, items, evaluations = f"v-{number}", [], []
        pool = drawn.sample(range(HOT), FRIENDS)
        for _ in range(batch):
            profile_id = f"p-{drawn.choice(pool)}"
            item = {"profile_id": profile_id, "relation": relation}
            resource = {"type": "profile", "id": profile_id}
            if relation != "stranger":
                item["proof"] = issue_proof(ring, viewer, profile_id, relation, now=now, life_s=3600)
                resource["properties"] = {"relation": relation, "proof": item["proof"]}
            items.append(item)
            evaluations.append({"resource": resource})
        subject = {"type": "user", "id": viewer, "properties": {"viewer": "adult"}}
        if shape == SHAPES[2]:
            for at, evaluation in enumerate(evaluations):
                evaluation["subject"] = {**subject, "id": f"{viewer}-{at}"}
        bodies.append(
            (
                {"viewer": "adult", "context": "list", "viewer_id": viewer, "items": items},
                {"subject": subject, "action": {"name": "view"}, "context": {"context": "list"}, "evaluations": evaluations},
            )
        )  # fmt: skip
    return bodies


def measured(options, process, port, folder):
    token = key_commands.token(folder, scopes=["decide"], subject="bench", hours=1)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for shape in SHAPES:
        for batch in (100, 500):
            bodies = pairs(folder, shape, batch)
            ways = {
                path: [request("POST", path, headers, json.dumps(pair[number]).encode()) for pair in bodies]
                for number, path in enumerate(("/v1/decisions", "/access/v1/evaluations"))
            }
            used = {path: [] for path in ways}
            for _ in range(options.rounds):
                for path, requests in ways.items():
                    used[path].append(rounds(1, 20_000 // batch, process.pid, port, requests)[0])
            decisions, evaluations = (statistics.median(used[path]) for path in ways)
            ratios = [ours / theirs for theirs, ours in zip(*used.values(), strict=True)]
            yield shape, batch, decisions, evaluations, statistics.median(ratios)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=HOT)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = Table(title="evaluations for a second of CPU time, whole route")
    for column in ("subjects", "batch", "/v1/decisions", "AuthZEN", "AuthZEN's time", "ms a batch"):
        table.add_column(column, justify="right")
    figures = []
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        key_commands.init(folder)
        url = f"sqlite:///{folder}/catalogue.sqlite3"
        catalogue = Catalogue(url)
        migrate.upgrade(catalogue.engine)
        fill(catalogue, options.profiles, compile_folder(ROOT / "policies").table.tiers)
        with serving(folder, url) as (process, port):
            for shape, batch, decisions, evaluations, ratio in measured(options, process, port, folder):
                theirs, ours = 1000 * batch / decisions, 1000 * batch / evaluations
                figures.append(
                    {
                        "shape": shape,
                        "batch": batch,
                        "decisions_per_s": theirs,
                        "evaluations_per_s": ours,
                        "ratio": ratio,
                    }
                )
                table.add_row(
                    shape, str(batch), f"{theirs:,.0f}", f"{ours:,.0f}", f"x {ratio:.2f}", f"{evaluations:.2f}"
                )
        catalogue.close()
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))
    best = max(figure["evaluations_per_s"] for figure in figures if figure["shape"] == "stranger")
    return 0 if best >= WANTED_PER_S else 1


if __name__ == "__main__":
    sys.exit(main())
