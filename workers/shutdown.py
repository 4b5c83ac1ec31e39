"""A worker that was told to stop ends in time, whatever becomes of its pool.

A signal to the whole process group reaches the pool's children too. A child that dies of it may hold a lock that all of
them share: an idle child holds the lock of the pool's queue while it waits there. The parent then waits for that lock
for ever (billiard 4.2, ``Pool._help_stuff_finish``). What such a worker had taken is not lost: it was not acknowledged,
so the queue gives it to another.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from billiard import active_children  # type: ignore[import-untyped]
from celery.signals import worker_ready

from nightlight import logs

# What the pool is given to end after the running tasks' own time: a second or two, on a busy machine more.
POOL_S = 15.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def bound(shutdown_s: float, clean: Callable[[], object]) -> None:
    """Have this process end at the latest ``shutdown_s`` + POOL_S seconds after it is first told to stop.

    ``clean`` is called before it ends by force.
    """
    worker_ready.connect(partial(_install, shutdown_s + POOL_S, clean), weak=False)


def _install(most_s: float, clean: Callable[[], object], **_: object) -> None:
    """Put a clock before what Celery does with each signal."""
    begun = threading.Event()

    def handle(previous: Any, number: int, frame: Any) -> None:
        if not begun.is_set():
            begun.set()
            timer = threading.Timer(most_s, _end, (clean,))
            timer.daemon = True
            timer.start()
        if callable(previous):
            previous(number, frame)

    for number in _SIGNALS:
        signal.signal(number, partial(handle, signal.getsignal(number)))


def _end(clean: Callable[[], object]) -> None:
    """End now: the children first, for nobody else would."""
    logs.get("worker").error("worker.ended_by_force")
    for child in active_children():
        if child.pid is not None:
            os.kill(child.pid, signal.SIGKILL)
    clean()
    os._exit(1)
