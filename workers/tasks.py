"""The tasks. Each takes a job's id and runs one attempt; how it ended is in the catalogue, not in a result."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from celery import Task, shared_task
from celery.signals import worker_process_init

from nightlight import logs
from nightlight.settings import Settings
from nightlight.wiring import WorkerContainer, build_worker

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


class _House:
    """This process's parts, built when the first task needs them: after the child has started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: WorkerContainer | None = None

    def get(self) -> WorkerContainer:
        with self._lock:
            if self._made is None:
                settings = Settings()
                logs.configure(settings.general, settings.log)
                self._made = build_worker(settings)
            return self._made


house = _House()


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _die_with_the_parent(**_kwargs: object) -> None:
    """End with the parent: if the worker is killed, the broker gives this child's message to somebody else."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@shared_task(name="nightlight.render", bind=True)  # type: ignore[untyped-decorator]
def render(self: Task[Any, Any], job_id: str) -> None:
    """Render the image of one job."""
    _run(self, job_id, house.get().render.run)


@shared_task(name="nightlight.erase", bind=True)  # type: ignore[untyped-decorator]
def erase(self: Task[Any, Any], job_id: str) -> None:
    """Erase the objects of one deleted image."""
    _run(self, job_id, house.get().erase.run)


@shared_task(name="nightlight.prove", bind=True)  # type: ignore[untyped-decorator]
def prove(self: Task[Any, Any], job_id: str) -> None:
    """Look again whether anything is left of one erased image."""
    _run(self, job_id, house.get().erase.verify)


@shared_task(name="nightlight.rename", bind=True)  # type: ignore[untyped-decorator]
def rename(self: Task[Any, Any], job_id: str) -> None:
    """Name the renditions of one image anew."""
    _run(self, job_id, house.get().rename.run)


@shared_task(name="nightlight.restate", bind=True)  # type: ignore[untyped-decorator]
def restate(self: Task[Any, Any], job_id: str) -> None:
    """Tag the objects of one image by what has become of it."""
    _run(self, job_id, house.get().restate.run)


@shared_task(name="nightlight.rescreen", bind=True)  # type: ignore[untyped-decorator]
def rescreen(self: Task[Any, Any], job_id: str) -> None:
    """Hold the next images against the hash lists again."""
    flow = house.get().rescreen
    if flow is not None:  # a worker without lists: one that has them does it once the job is due again
        _run(self, job_id, flow.run)


@shared_task(name="nightlight.sweep", bind=True)  # type: ignore[untyped-decorator]
def sweep(self: Task[Any, Any], job_id: str) -> None:
    """Do the next batch of a sweep."""
    _run(self, job_id, house.get().sweep.run)


@shared_task(name="nightlight.vault", bind=True)  # type: ignore[untyped-decorator]
def vault(self: Task[Any, Any], job_id: str) -> None:
    """Copy what a hold covers of one image into the vault."""
    _run(self, job_id, house.get().vault.run)


@shared_task(name="nightlight.take", bind=True)  # type: ignore[untyped-decorator]
def take(self: Task[Any, Any], job_id: str) -> None:
    """Take a picture in from another bucket."""
    _run(self, job_id, house.get().take.run)


@shared_task(name="nightlight.trace", bind=True)  # type: ignore[untyped-decorator]
def trace(self: Task[Any, Any], job_id: str) -> None:
    """Find where the copy of one job comes from."""
    _run(self, job_id, house.get().traces.run)


@shared_task(name="nightlight.forget", bind=True)  # type: ignore[untyped-decorator]
def forget(self: Task[Any, Any], job_id: str) -> None:
    """Delete the copy of one trace."""
    _run(self, job_id, house.get().traces.forget)


def _run(task: Task[Any, Any], job_id: str, flow: Callable[..., str]) -> None:
    redelivered = bool((task.request.delivery_info or {}).get("redelivered"))
    ending = flow(job_id, redelivered=redelivered)
    logs.get("tasks").info("task.ended", task=task.name, job_id=job_id, state=ending)
