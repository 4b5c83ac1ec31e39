"""``make colour``: what the sandbox makes of every kind of colour, beside Chromium and other decoders.

Exits with 1 if a picture is further from Chromium's than its bound: a mean of 3 of 255, 10 for HDR. Exits with 2 if
Chromium is not installed, or with --strict any other decoder.

python -m tests.colour [--folder FOLDER] [--only WORDS] [--json FILE] [--write] [--strict]
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from rich.console import Console

from nightlight.imaging.decoders import available_formats
from nightlight.imaging.probe import UploadCaps, probe
from nightlight.imaging.sandbox import Sandbox
from nightlight_core.errors import DecoderDied, ImageRefused
from tests.colour import browser, cases, page, peers, suites

BOUND, HDR_BOUND = 3.0, 10.0
# Larger than every picture here, so that none is made smaller.
EDGE = 2048


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="every picture below this folder; a folder in it is a suite")
    parser.add_argument("--only", default="", help="cases whose names hold these words")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", action="store_true", help="write the table into the documentation")
    parser.add_argument("--strict", action="store_true", help="every decoder must be installed")
    options = parser.parse_args()
    absent = [name for name in peers.PEERS if name not in peers.installed()]
    if browser.program() is None or (options.strict and absent):
        wanted = ["chromium"] * (browser.program() is None) + [peers.PEERS[name][1] for name in absent]
        Console(stderr=True).print(f"not installed: {' '.join(wanted)} (Debian's names)")
        sys.exit(2)
    if options.folder:
        sys.exit(_suites(options))
    rows = compare([case for case in cases.every() if options.only in case.name])
    console = Console(highlight=False)
    broken = [row for row in rows if not row["ok"]]
    for row in broken:
        console.print(f"{row['case']}: {row['text']}", style="red")
    console.print(f"{len(rows)} pictures, {len(broken)} beyond their bounds; worst within: {worst(rows)}")
    console.print(f"absent: {', '.join(absent) or 'none'}")
    if options.json:
        options.json.write_text(json.dumps({"version": browser.version(), "absent": absent, "rows": rows}, indent=1))
    if options.write:
        page.write(rows, browser.version(), absent)
    sys.exit(1 if broken else 0)


def _suites(options):
    """Print the tables of a folder's files; return 1 if a decoder died, or a file is refused or differs."""
    rows = suites.compare(options.folder)
    console = Console(highlight=False, width=160)
    for table in suites.tables(rows):
        console.print(table)
    if options.json:
        options.json.write_text(json.dumps(suites.as_json(rows), indent=1))
    return int(any(row.outcome in ("died", "differs", "refused") for row in rows))


def compare(chosen):
    """Return a row for every case: errors as means of 255."""
    shown = browser.decode([case.like or case.data for case in chosen])
    rows = []
    with Sandbox() as sandbox:
        for case, reference in zip(chosen, shown, strict=True):
            ours, refusal, format_ = _ours(sandbox, case.data)
            error, bound = _error(ours, reference), HDR_BOUND if case.hdr else BOUND
            row = {"case": case.name, "hdr": case.hdr, "bound": bound, "error": error, "peers": {}}
            if reference is None:
                row["ok"], row["text"] = True, "Chromium shows nothing"
            elif ours is None:
                row["ok"], row["text"] = False, f"refused: {refusal}"
            elif error is None:
                row["ok"], row["text"] = False, f"{ours.shape[1::-1]} pixels, Chromium {reference.shape[1::-1]}"
            else:
                row["ok"], row["text"] = error <= bound, f"{error:.2f}, at most {bound:g}"
            if reference is not None and format_:
                for name in peers.installed():
                    if format_ in peers.PEERS[name][2]:
                        size = reference.shape[1::-1]
                        row["peers"][name] = _error(peers.decode(name, case.data, format_, size), reference)
            rows.append(row)
    return rows


def worst(rows):
    """Return the largest error within the bounds, of SDR and of HDR."""
    errors = {
        hdr: [r["error"] for r in rows if r["ok"] and r["error"] is not None and r["hdr"] is hdr]
        for hdr in (False, True)
    }
    return ", ".join(f"{name} {max(errors[hdr], default=0):.2f}" for hdr, name in ((False, "SDR"), (True, "HDR")))


def _ours(sandbox, data):
    caps = UploadCaps(formats=available_formats())
    try:
        header = probe(data, caps)
        return np.asarray(sandbox.frame(data, header, edge=EDGE)), "", header.format.upper()
    except (ImageRefused, DecoderDied) as error:
        return None, str(error), None


def _error(pixels, reference):
    if pixels is None or reference is None or pixels.shape != reference.shape:
        return None
    return round(float(np.abs(pixels.astype(np.int16) - reference).mean()), 3)


if __name__ == "__main__":
    main()
