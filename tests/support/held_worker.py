"""``python -m tests.support.held_worker work``: the worker as it is, but its decoders are those of ``held_decoder``."""

import sys
from pathlib import Path


def with_held_decoders():
    from nightlight.imaging.sandbox import Sandbox

    Sandbox.__init__.__kwdefaults__.update(module="tests.support.held_decoder", folder=Path(__file__).parents[2])


if __name__ == "__main__":
    from workers.__main__ import main  # first: it sets what other modules read when they are imported

    with_held_decoders()
    sys.exit(main(sys.argv[1:]))
elif __name__ == "__mp_main__":  # a child of the worker, which makes a sandbox of its own
    with_held_decoders()
