"""``python -m tests.chaos.stepped service`` or ``workers work``: the process as it is, by a clock that can be stepped.

The file that ``CHAOS_CLOCK`` names holds the seconds that the product's clock (nightlight_core.clock) is ahead, as a
double. It is mapped once, so that nothing is opened where a sandbox forbids it.
"""

import mmap
import os
import struct
import sys
from datetime import timedelta
from pathlib import Path


def step(path, seconds):
    """Put a clock ahead, or back."""
    with Path(path).open("r+b") as file:
        file.write(struct.pack("d", seconds))


def with_stepped_clock(path):
    from nightlight_core import clock

    with Path(path).open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    real = clock.system_clock
    clock.system_clock = lambda: real() + timedelta(seconds=struct.unpack_from("d", mapped)[0])


if __name__ == "__main__":
    with_stepped_clock(os.environ["CHAOS_CLOCK"])
    if sys.argv[1] == "service":
        from service.__main__ import main as serve

        sys.exit(serve())
    from workers.__main__ import main as work

    sys.exit(work(sys.argv[2:]))
elif __name__ == "__mp_main__":  # a child of the worker
    with_stepped_clock(os.environ["CHAOS_CLOCK"])
