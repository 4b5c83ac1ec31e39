"""The schedule: the outbox relay, many times a second, and the reconciler, every few seconds.

It may run in as many processes as one likes: rows are claimed with SKIP LOCKED.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from nightlight import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nightlight.flows.decisions.edge_revocations import RevocationPublisher
    from nightlight.flows.webhooks.dispatch import DeliverWebhooks
    from nightlight.jobs.relay import Reconciler, Relay
    from nightlight.settings.process import WorkerSettings

# While the broker or the database is down there is no use in asking it ten times a second.
_PAUSE_AFTER_FAILURE_S = 1.0
# What is revoked reaches the edges about so long after it was written.
_TELL_EDGES_S = 0.5


def run(
    relay: Relay,
    reconciler: Reconciler,
    limits: WorkerSettings,
    stop: threading.Event,
    *,
    notify: DeliverWebhooks | None = None,
    edges: RevocationPublisher | None = None,
    beside: Sequence[Callable[[], object]] = (),
) -> None:
    """Work until ``stop`` is set; what is ``beside`` the reconciler is done as often.

    An outage is logged and outlasted; it never ends the loop.

    Events are delivered beside it, and edges told what is revoked: whoever is slow to take them holds up nobody's job.
    """
    if notify is not None:
        threading.Thread(target=_deliver, args=(notify, stop), name="notify", daemon=True).start()
    if edges is not None:
        threading.Thread(target=_tell, args=(edges, stop), name="edges", daemon=True).start()
    next_reconcile = time.monotonic()
    while not stop.is_set():
        pause = limits.relay_interval_s
        try:
            if time.monotonic() >= next_reconcile:
                next_reconcile = time.monotonic() + limits.reconcile_interval_s
                reconciler.run_once()
                for do in beside:
                    _done(do)
            if relay.run_once():
                continue
        except Exception as error:  # noqa: BLE001 - a schedule that ends publishes nothing: whatever fails is tried again
            logs.failed("schedule", "schedule.failed", error)
            pause = max(pause, _PAUSE_AFTER_FAILURE_S)
        stop.wait(pause)


def _done(do: Callable[[], object]) -> None:
    """Do it; what fails is tried again the next time, and keeps nothing else from its turn."""
    try:
        do()
    except Exception as error:  # noqa: BLE001 - as above
        logs.failed("schedule", "schedule.failed", error)


def _tell(edges: RevocationPublisher, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            edges.run_once()
        except Exception as error:  # noqa: BLE001 - an edge that nobody tells goes dark: whatever fails is tried again
            logs.failed("schedule", "edges.failed", error)
        stop.wait(_TELL_EDGES_S)


def _deliver(notify: DeliverWebhooks, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            if notify.run_once():
                continue
        except Exception as error:  # noqa: BLE001 - as above
            logs.failed("schedule", "notify.failed", error)
        stop.wait(_PAUSE_AFTER_FAILURE_S)
