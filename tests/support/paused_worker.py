"""``python -m tests.support.paused_worker work``: the worker as it is, but its decoders are those of ``paused_decoder``."""

import sys
from pathlib import Path


def with_paused_decoders():
    from nightlight.imaging.sandbox import Sandbox

    Sandbox.__init__.__kwdefaults__.update(module="tests.support.paused_decoder", folder=Path(__file__).parents[2])


if __name__ == "__main__":
    from workers.__main__ import main  # first: it sets what other modules read when they are imported

    with_paused_decoders()
    sys.exit(main(sys.argv[1:]))
elif __name__ == "__mp_main__":  # a child of the worker, which makes a sandbox of its own
    with_paused_decoders()
