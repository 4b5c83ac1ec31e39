"""A worker that is told to stop is gone within a bound, whatever its children do.

Celery's pool tells each child once that it is to end, and joins it without a limit. A child that starts does not hear
it: Celery has it ignore the signal until the tasks are imported (``celery.concurrency.prefork.process_initializer``).
And a job that a child was handed, but has not taken yet, is in no list of those that are ended (``active_requests``):
the child does it to its end. So children are told again, until they are gone. One that is stopped, hangs in a driver,
or swallows the exception that the signal raises is killed. Both are safe: a message is acknowledged after its job, so
the broker gives it to another worker.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
import time

import billiard
from billiard.common import TERM_SIGNAL

from nightlight import logs

_STOP = frozenset({signal.SIGTERM, signal.SIGQUIT, signal.SIGINT})
# What the pool has, after the time for jobs under way is over, to end by itself; and the process, once it has no child.
GRACE_S = 10.0
_AGAIN_S = 2.0
_FAILURE = 1


def bound_shutdown(seconds: float) -> None:
    """Tell children again that are alive ``seconds`` after a signal to stop; kill those that are alive GRACE_S later.

    This process ends GRACE_S after that. Call it in the main thread. The interpreter tells of signals through a pipe,
    whoever handles them (``signal.set_wakeup_fd``), so this begins even where a handler of Celery's never returns.
    """
    # A child that is told a second time while it ends dies of SIGQUIT: no memory with pictures or keys is written out.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, seconds), name="shutdown", daemon=True).start()


def _watch(reader: int, seconds: float) -> None:
    while not _STOP & set(os.read(reader, 64)):
        pass
    time.sleep(seconds)
    for _ in range(int(GRACE_S / _AGAIN_S)):
        time.sleep(_AGAIN_S)
        _tell(TERM_SIGNAL)
    count = _tell(signal.SIGKILL)
    # In a thread of its own: a handler that never returns may hold the lock of what the log is written to.
    threading.Thread(target=_report, args=(count,), name="shutdown-log", daemon=True).start()
    time.sleep(GRACE_S)
    os._exit(_FAILURE)


def _report(count: int) -> None:
    logs.get("worker").error("worker.shutdown_overdue", count=count)


def _tell(number: int) -> int:
    """Send a signal to every child that is alive; return how many there are."""
    children = billiard.active_children()
    for child in children:
        if child.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, number)
    return len(children)
