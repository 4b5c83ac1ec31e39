"""A worker that is told to stop is gone within a bound, whatever its children do.

Celery's pool joins its children without a limit. A child that outlives the signal that ends it keeps the worker alive
for ever: one that is stopped, hangs in a driver, or swallows the exception that the signal raises (a limitation that
billiard names). Killing is safe: a message is acknowledged after its job, so the broker gives it to another worker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import billiard

from nightlight import logs

_STOP = frozenset({signal.SIGTERM, signal.SIGQUIT, signal.SIGINT})
# What the pool has, after the time for jobs under way is over, to end by itself; and the process, once it has no child.
GRACE_S = 10.0
_FAILURE = 1


def bound_shutdown(seconds: float) -> None:
    """Kill children that are alive ``seconds`` and GRACE_S after a signal to stop, and this process GRACE_S later.

    Call it in the main thread. The interpreter tells of signals through a pipe, whoever handles them
    (``signal.set_wakeup_fd``), so this begins even where a handler of Celery's never returns.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, seconds + GRACE_S), name="shutdown", daemon=True).start()


def _watch(reader: int, seconds: float) -> None:
    while not _STOP & set(os.read(reader, 64)):
        pass
    time.sleep(seconds)
    children = billiard.active_children()
    logs.get("worker").error("worker.shutdown_overdue", count=len(children))
    for child in children:
        if child.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
    time.sleep(GRACE_S)
    os._exit(_FAILURE)
