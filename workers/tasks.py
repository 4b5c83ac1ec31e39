"""The tasks, one for each kind of job.

Each takes a job's id and runs one attempt; how it ended is in the catalogue, not in a result.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from celery import Task, shared_task
from celery.signals import worker_process_init, worker_process_shutdown

from nightlight.imaging.seccomp import exit_with_parent
from nightlight.jobs.kinds import KINDS

if TYPE_CHECKING:
    from nightlight.jobs.kinds import JobKind
    from nightlight.wiring.worker_container import WorkerContainer


# In the environment of a worker that is up: a child that it starts now takes the place of one that was killed.
REPLACES = "WORKER_CHILD_REPLACES"


class _Services:
    """This process's parts, loaded and built when the first task needs them: most children of a quiet worker wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._container: WorkerContainer | None = None

    def get(self) -> WorkerContainer:
        with self._lock:
            if self._container is None:
                from nightlight import logs
                from nightlight.settings import Settings
                from nightlight.wiring.worker_container import build_worker

                settings = Settings()
                logs.configure(settings.general, settings.log)
                self._container = build_worker(settings)
            return self._container


services = _Services()


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _die_with_the_parent(**_kwargs: object) -> None:
    """End with the parent: if the worker is killed, the broker gives this child's message to somebody else."""
    exit_with_parent()
    if os.environ.get("NIGHTLIGHT_TRACING_ENDPOINT"):  # tasks are watched from the first one on
        from nightlight import telemetry
        from nightlight.settings.process import TracingSettings

        telemetry.configure(TracingSettings(), "work")
        telemetry.watch_tasks()


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def _send_spans(**_kwargs: object) -> None:
    from nightlight import telemetry

    telemetry.shutdown()


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _load_before_the_first_task(**_kwargs: object) -> None:
    """Load what tasks need, in a child that takes another's place: here no time limit of a task counts.

    Where loading takes longer than the limit, each child would be killed over its first task, and so would the next.
    """
    if REPLACES in os.environ:
        services.get()


def _task(kind: JobKind) -> Task[Any, Any]:
    def run(self: Task[Any, Any], job_id: str) -> None:
        parts = services.get()
        parts.keys.look()
        parts.position.look()
        handler = parts.handlers[kind]
        if handler is None:  # a worker without lists, say: one that can do it does, once the job is due again
            return
        redelivered = bool((self.request.delivery_info or {}).get("redelivered"))
        ending = handler(job_id, redelivered=redelivered)
        from nightlight import logs

        logs.get("tasks").info("task.ended", task=self.name, job_id=job_id, state=ending)

    task: Task[Any, Any] = shared_task(run, name=kind.task, bind=True)
    return task


TASKS = {kind.task: _task(kind) for kind in KINDS.values()}
