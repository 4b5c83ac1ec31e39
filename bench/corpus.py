"""What becomes of each image of the outside corpus: a frame or a refusal, and how long it takes.

python bench/corpus.py [--json FILE]      # NIGHTLIGHT_CORPUS, or ../shared/corpus
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

from rich.console import Console
from rich.table import Table

from nightlight.imaging.probe import UploadCaps, probe
from nightlight.imaging.sandbox import Sandbox
from nightlight_core.errors import NightlightError

CORPUS = Path(os.environ.get("NIGHTLIGHT_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))
EDGE = 1024


def render_once(sandbox, data):
    begin = time.perf_counter()
    try:
        frame = sandbox.frame(data, probe(data, UploadCaps(), edge=EDGE), edge=EDGE)
        outcome = f"a frame, {frame.width} x {frame.height}"
    except NightlightError as error:
        outcome = error.code
    return outcome, (time.perf_counter() - begin) * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    if not (CORPUS / "manifest.csv").exists():
        sys.exit(f"no corpus at {CORPUS}; set NIGHTLIGHT_CORPUS")
    with (CORPUS / "manifest.csv").open(newline="") as file:
        entries = list(csv.DictReader(file))
    table = Table()
    for title in ("image", "must", "outcome", "ms"):
        table.add_column(title, justify="right" if title == "ms" else "left", max_width=44)
    report, bombs = {}, {}
    with Sandbox() as sandbox:
        for entry in sorted(entries, key=lambda entry: entry["file"]):
            outcome, ms = render_once(sandbox, (CORPUS / entry["file"]).read_bytes())
            table.add_row(entry["file"], entry["must"], outcome, f"{ms:.1f}")
            report[entry["file"]] = {"must": entry["must"], "outcome": outcome, "ms": round(ms, 1)}
            if entry["category"] == "bomb":
                bombs[entry["file"]] = ms
        console = Console(width=150, highlight=False)
        console.print(table)
        slowest = max(bombs, key=bombs.get)
        refused = max(ms for name, ms in bombs.items() if "frame" not in report[name]["outcome"])
        died = [name for name, row in report.items() if row["outcome"] == "decoder_died"]
        console.print(
            f"bombs: refused in at most {refused:.1f} ms; the slowest answer took {bombs[slowest]:.1f} ms ({slowest}); "
            f"decoders that died: {len(died)}"
        )
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
