"""``python -m tests.support.paused_worker work``: the worker as it is, but its decoders are those of ``paused_decoder``.

A child that is about to erase something waits while there is the file that ``PAUSED_ERASURE`` names, and writes its
number into the folder beside it.
"""

import os
import sys
import time
from pathlib import Path


def with_paused_decoders():
    from nightlight.imaging.sandbox import Sandbox

    Sandbox.__init__.__kwdefaults__.update(module="tests.support.paused_decoder", folder=Path(__file__).parents[2])


def with_paused_erasures(gate):
    from nightlight.flows.retention.erase import EraseObjects

    note = EraseObjects._note

    def wait_and_note(*arguments):
        while gate.exists():
            waiting = gate.with_suffix(".waiting")
            waiting.mkdir(exist_ok=True)
            (waiting / str(os.getpid())).touch()
            time.sleep(0.05)
        return note(*arguments)

    EraseObjects._note = wait_and_note


if __name__ == "__main__":
    from workers.__main__ import main  # first: it sets what other modules read when they are imported

    with_paused_decoders()
    sys.exit(main(sys.argv[1:]))
elif __name__ == "__mp_main__":  # a child of the worker, which makes a sandbox of its own
    with_paused_decoders()
    if "PAUSED_ERASURE" in os.environ:
        with_paused_erasures(Path(os.environ["PAUSED_ERASURE"]))
