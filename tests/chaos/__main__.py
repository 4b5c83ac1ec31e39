"""``python -m tests.chaos``: faults under load, against the scale deployment on services of its own.

Exits with 1 if an invariant was violated, 0 if none was.
"""

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import argparse
import json
import logging
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos import report
from tests.chaos.faults import KINDS_OF_FAULTS
from tests.chaos.run import Run
from tests.chaos.services import Services


def main():
    options = _options()
    if options.list:
        print("\n".join(kind.name for kind in KINDS_OF_FAULTS))
        return 0
    kinds = [kind for kind in KINDS_OF_FAULTS if not options.only or any(word in kind.name for word in options.only)]
    logging.getLogger("nightlight_client").setLevel(logging.CRITICAL)  # outages are what this is about
    folder = Path(tempfile.mkdtemp(prefix="nightlight-chaos-"))
    with Services() as services:
        run = Run(
            services, folder, seed=options.seed, seconds=60 * options.minutes, kinds=kinds, patience=options.patience,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )  # fmt: skip
        for number in (signal.SIGTERM, signal.SIGINT):  # ends what was begun, and writes what was seen
            signal.signal(number, lambda *_: run.stopping.set())
        record = run()
    if options.report:
        options.report.write_text(report.page(record), "utf-8")
    if options.json:
        print(json.dumps(record.as_dict(), default=str))
    summary = f"{len(record.faults)} faults, seed {record.seed}: {len(record.violations)} violations"
    print(summary + (f"; logs are in {folder}" if record.violations else ""), file=sys.stderr)
    if not record.violations and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if record.violations else 0


def _options():
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long faults are made (default 10)")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="of the order of faults and of the load"
    )
    parser.add_argument("--only", action="append", metavar="WORD", help="only faults with this in their names; --list")
    parser.add_argument("--patience", type=float, default=1.0, help="times the bounds, for a machine that is slow")
    parser.add_argument("--list", action="store_true", help="name every kind of fault, and end")
    parser.add_argument("--json", action="store_true", help="print the whole record")
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write a page with a timeline")
    parser.add_argument("--keep", action="store_true", help="keep the logs of a run without violations too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
