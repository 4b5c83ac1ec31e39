"""What ``python -m workers`` runs: a Celery worker, the schedule, or the consumer of S3 notifications."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from celery.signals import worker_ready

from nightlight import logs, telemetry
from nightlight.catalogue.sql_roles import SqlRole
from nightlight.settings import Settings
from nightlight.wiring.operator_tools import hash_lists
from nightlight.wiring.retention import open_sqs_consumer
from nightlight.wiring.startup import START_ERRORS, refuse_to_start
from nightlight.wiring.worker_container import build_worker
from nightlight_core.errors import NightlightError
from workers import health, schedule, tasks
from workers.app import check_broker, declare_queues, make_app, sender
from workers.shutdown_deadline import bound_shutdown

if TYPE_CHECKING:
    from celery import Celery

    from nightlight.flows.pictures.hash_lists import Screening
    from nightlight.flows.pictures.rerender_runs import RerenderFeeder
    from nightlight.flows.traces.search import TraceSearch
    from nightlight.wiring.worker_container import WorkerContainer

_PAUSE_AFTER_FAILURE_S = 1.0
_LISTS_S = 10.0
_RERENDERS_S = 2.0


def main(arguments: list[str]) -> int:
    """Run what ``arguments`` name; 2 if the settings or the policy are refused."""
    try:
        settings = Settings()
        logs.configure(settings.general, settings.log)
        telemetry.configure(settings.tracing, arguments[0])
        if arguments == ["imports"]:
            return _consume(settings)
        services = build_worker(settings)
        app = make_app(settings)
    except START_ERRORS as error:
        return refuse_to_start("worker", error)
    try:
        if arguments == ["work"]:
            return _work(settings, services, app)
        return _schedule(settings, services, app)
    except START_ERRORS as error:
        return refuse_to_start("worker", error)
    finally:
        services.close()
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


def _readiness(services: WorkerContainer, app: Celery, role: SqlRole) -> health.Readiness:
    return lambda: services.readiness(role, lambda: check_broker(app))


def _work(settings: Settings, services: WorkerContainer, app: Celery) -> int:
    warning = services.rendering.check(services.policy.current().recipes)
    if warning:
        logs.get("worker").warning("worker.not_shut_in", detail=warning)
    if services.screening is not None:
        kept = hash_lists(settings).build()  # here, where no time limit cuts it short
        logs.get("worker").info("lists.ready", count=sum(hash_list.hashes for hash_list in kept))
        threading.Thread(target=_look_at_lists, args=(services.screening,), name="lists", daemon=True).start()
    threading.Thread(target=_look_at_rerenders, args=(services.rerenders,), name="rerenders", daemon=True).start()
    every_s = settings.retention.sweep_s
    threading.Thread(target=_look_at_index, args=(services.search, every_s), name="index", daemon=True).start()
    services.follow_names()
    _follow(services)
    health.serve(
        settings.worker.health_host,
        settings.worker.health_port,
        _readiness(services, app, SqlRole.WORKER),
        services.keys.loaded,
    )
    worker_ready.connect(lambda **_: _ready(app, settings), weak=False)
    bound_shutdown(settings.worker.shutdown_s)
    logs.get("worker").info("worker.starting", policy_digest=services.policy.current().digest)
    app.worker_main(
        ["--quiet", "worker", "--pool=prefork", "--without-gossip", "--without-mingle", "--loglevel=WARNING"]
    )
    return 0


def _ready(app: Celery, settings: Settings) -> None:
    os.environ[tasks.REPLACES] = "1"  # children that start from now on inherit it
    declare_queues(app, settings)


def _follow(services: WorkerContainer) -> None:
    """Read keys again when they change, and look whether the catalogue was restored, for as long as this process lives.

    Children do it before each task.
    """
    for name, run in (("keys", services.keys.run), ("position", services.position.run)):
        threading.Thread(target=run, args=(threading.Event(),), name=name, daemon=True).start()


def _look_at_lists(screening: Screening) -> None:
    """Notice lists that change while nobody uploads anything, for as long as this process lives."""
    while True:
        try:
            screening.look()
        except Exception as error:  # noqa: BLE001 - whatever fails is tried again, for as long as the process lives
            logs.failed("worker", "lists.failed", error)
        time.sleep(_LISTS_S)


def _look_at_index(search: TraceSearch, every_s: float) -> None:
    """Take what was erased from this machine's index, for as long as this process lives."""
    while True:
        time.sleep(every_s)
        try:
            gone = search.forget_erased()
        except Exception as error:  # noqa: BLE001 - whatever fails is tried again, for as long as the process lives
            logs.failed("worker", "index.not_cleared", error)
            continue
        if gone:
            logs.get("worker").info("index.cleared", count=gone)


def _look_at_rerenders(feeder: RerenderFeeder) -> None:
    """Have pictures follow the policy, for as long as this process lives."""
    while True:
        try:
            feeder.look()
        except Exception as error:  # noqa: BLE001 - whatever fails is tried again, for as long as the process lives
            logs.failed("rerender", "rerenders.failed", error)
        time.sleep(_RERENDERS_S)


def _schedule(settings: Settings, services: WorkerContainer, app: Celery) -> int:
    notify = services.notify()
    health.serve(
        settings.worker.health_host,
        settings.worker.schedule_health_port,
        _readiness(services, app, SqlRole.SCHEDULE),
        services.keys.loaded,
    )
    stop = _stop()
    _follow(services)
    threading.Thread(target=services.write_position.run, args=(stop,), name="write-position", daemon=True).start()
    logs.get("schedule").info("schedule.starting")
    begin = partial(services.sweep.begin_due, settings.retention.sweep_s)
    schedule.run(
        services.relay(sender(app, settings)),
        services.reconciler,
        settings.worker,
        stop,
        notify=notify,
        edges=services.edges,
        beside=(services.expiry.run_once, begin),
    )
    return 0


def _consume(settings: Settings) -> int:
    """Read notifications until told to stop. An outage is logged and outlasted."""
    stop = _stop()
    with open_sqs_consumer(settings) as consumer:
        logs.get("imports").info("imports.starting")
        while not stop.is_set():
            try:
                consumer.run_once()
            except NightlightError as error:
                logs.get("imports").error("imports.failed", code=error.code, detail=str(error))
                stop.wait(_PAUSE_AFTER_FAILURE_S)
    return 0


def _stop() -> threading.Event:
    """Return what is set once the process is told to stop."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(name, lambda *_: stop.set())
    return stop
