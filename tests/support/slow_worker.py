"""``python -m tests.support.slow_worker work``: the worker as it is, on a machine where a child takes long to load."""

import os
import sys
import time


def with_slow_loading(seconds):
    from workers import tasks

    get = tasks._Services.get

    def load_slowly(services):
        if services._container is None:
            time.sleep(seconds)
        return get(services)

    tasks._Services.get = load_slowly


if __name__ == "__main__":
    from workers.__main__ import main  # first: it sets what other modules read when they are imported

    sys.exit(main(sys.argv[1:]))
elif __name__ == "__mp_main__":  # a child of the worker
    with_slow_loading(float(os.environ["SLOW_LOADING_S"]))
