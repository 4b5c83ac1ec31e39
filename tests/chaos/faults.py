"""Every kind of fault that a run makes, each a context: it is there inside, and healed behind it.

What is stopped or silent is so for less than the timeouts of a platform's backend (10 s): a request that was given up
and is done later all the same would overtake the one after it, and no server can tell.
"""

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import redis
from kombu import Connection
from sqlalchemy import create_engine, select, text
from sqlalchemy.engine import make_url

from nightlight.catalogue.schema import jobs
from nightlight.jobs.kinds import KINDS
from nightlight.jobs.lanes import LANE_OF_RANK, LANES
from tests.chaos.deployment import DEPENDENCIES, PROCESSES, SPARES
from tests.chaos.services import NAMES, PID_FILES, descendants, send
from tests.chaos.stepped import step
from tests.support.paused import decoders
from tests.support.services import BROKER, REDIS, needed

# Seconds that a fault lasts.
HOLD_S = (2.0, 7.0)
CLOCK_STEP_S = 1200.0
_MESSAGES = 40


@dataclass(frozen=True)
class Kind:
    """``group`` is the line of the timeline; ``make(run, random)`` returns the context."""

    name: str
    group: str
    make: object


def hold(run, random):
    """Let a fault be there for a while."""
    run.stopping.wait(random.uniform(*HOLD_S))


@contextlib.contextmanager
def killed_process(run, _random, *, name):
    os.killpg(run.deployment.children[name].pid, signal.SIGKILL)
    yield


@contextlib.contextmanager
def killed_part(run, random, *, part):
    """One of the worker's own processes: a child that does tasks, a sandbox, or a decoder with a picture before it."""
    end = time.monotonic() + 4
    while time.monotonic() < end:
        pids = _PARTS[part](run.deployment)
        if pids:
            send([random.choice(pids)], signal.SIGKILL)
            break
        time.sleep(0.02)
    yield


def _tasks(deployment):
    parents = {pid: descendants(pid) for pid in [deployment.children["worker"].pid]}
    return [pid for pids in parents.values() for pid in pids if _command(pid, "spawn_main")]


def _sandboxes(deployment):
    return [pid for pid in descendants(deployment.children["worker"].pid) if _command(pid, "decoder_process")]


def _command(pid, word):
    with contextlib.suppress(OSError):
        return word in Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    return False


_PARTS = {"child": _tasks, "sandbox": _sandboxes, "decoder": decoders}


@contextlib.contextmanager
def stopped_process(run, random, *, name):
    pid = run.deployment.children[name].pid
    pids = [pid, *descendants(pid)]
    send(pids, signal.SIGSTOP)
    try:
        yield hold(run, random)
    finally:
        send(pids, signal.SIGCONT)


@contextlib.contextmanager
def killed_service(run, random, *, name):
    run.services.kill(name)
    try:
        yield hold(run, random)
    finally:
        run.services.start(name)


@contextlib.contextmanager
def killed_backend(run, _random):
    """One of the database's processes: it ends every connection, and recovers."""
    backends = [pid for pid in run.services.pids("postgres")[1:] if _command(pid, "nightlight_test")]
    send(backends[:1], signal.SIGKILL)
    yield


@contextlib.contextmanager
def stopped_service(run, random, *, name):
    pids = run.services.pids(name)
    send(pids, signal.SIGSTOP)
    try:
        yield hold(run, random)
    finally:
        send(pids, signal.SIGCONT)


@contextlib.contextmanager
def bad_links(run, random, *, dependency, mode, process=None):
    """Links to a service cut, silent, slow or broken in the middle: of every process, or of one (a partition)."""
    links = [link for (name, to), link in run.deployment.links.items() if to == dependency and process in {None, name}]
    for link in links:
        link.cut() if mode == "cut" else link.turn(mode)
    try:
        yield hold(run, random)
    finally:
        for link in links:
            link.mend()


@contextlib.contextmanager
def stepped_clock(run, random, *, name, seconds):
    step(run.deployment.clock_file(name), seconds)
    try:
        yield hold(run, random)
    finally:
        step(run.deployment.clock_file(name), 0.0)


@contextlib.contextmanager
def second_process(run, random, *, name):
    run.deployment.start_spare(name)
    try:
        end = time.monotonic() + 60
        while not run.deployment.readiness(name)[0] and time.monotonic() < end and not run.stopping.is_set():
            time.sleep(0.3)
        yield hold(run, random)
    finally:
        run.deployment.stop_spare(name)


@contextlib.contextmanager
def full_disk(run, random, *, name):
    """Fill the folder for temporary files of one process, to the last byte."""
    if name not in run.deployment.disks:
        run.note(f"no disk of {name}'s own: it takes root to make one")
        yield
        return
    ballast = run.deployment.disk(name) / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65_536))
        yield hold(run, random)
    finally:
        ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def full_broker(run, random):
    """The broker is over its memory: it takes no message until it is not."""
    run.services.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        yield hold(run, random)
    finally:
        run.services.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "512MB")


@contextlib.contextmanager
def full_redis(run, random):
    with redis.Redis.from_url(needed(REDIS)) as client:
        client.config_set("maxmemory", 1)
        try:
            yield hold(run, random)
        finally:
            client.config_set("maxmemory", 0)


@contextlib.contextmanager
def _administrator(run):
    url = make_url(run.deployment.environment["NIGHTLIGHT_CATALOGUE_URL"])
    engine = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection, url.database
    finally:
        engine.dispose()


def _end_sessions(connection, database):
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
    connection.execute(text(query), {"name": database})


@contextlib.contextmanager
def read_only_database(run, random):
    """What a full disk, or a fail-over to a replica, looks like: everything can be read and nothing written."""
    with _administrator(run) as (connection, database):
        connection.execute(text(f"ALTER DATABASE {database} SET default_transaction_read_only = on"))
        _end_sessions(connection, database)
        try:
            yield hold(run, random)
        finally:
            connection.execute(text(f"ALTER DATABASE {database} RESET default_transaction_read_only"))
            _end_sessions(connection, database)


@contextlib.contextmanager
def locked_table(run, random):
    """A migration, or a long report, holds a table."""
    table = random.choice(("jobs", "images", "profiles", "outbox", "audit"))
    engine = create_engine(run.deployment.environment["NIGHTLIGHT_CATALOGUE_URL"])
    try:
        with engine.connect() as connection, connection.begin() as transaction:
            connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            hold(run, random)
            transaction.rollback()
        yield
    finally:
        engine.dispose()


@contextlib.contextmanager
def duplicated_messages(run, random):
    """Jobs that are done, and jobs that are not, are published again, some twice."""
    with run.deployment.catalogue.reading() as tx:
        query = select(jobs.c.job_id, jobs.c.kind, jobs.c.lane).order_by(jobs.c.created_at.desc()).limit(_MESSAGES)
        rows = list(tx.connection.execute(query))
    with Connection(needed(BROKER)) as connection:
        producer = connection.Producer()
        for row in random.choices(rows, k=len(rows)) if rows else ():
            name = f"chaos-{row.job_id}"
            producer.publish(
                [[], {"job_id": row.job_id}, {}],
                exchange=run.deployment.queue,
                routing_key=LANE_OF_RANK[row.lane],
                headers={"task": KINDS[row.kind].task, "id": name, "root_id": name, "parent_id": None, "lang": "py"},
                serializer="json",
            )
    yield


@contextlib.contextmanager
def reordered_messages(run, random):
    """What waits in the queues is taken out, and put back shuffled."""
    with _taken(run) as (connection, messages):
        hold(run, random)
        random.shuffle(messages)
        producer = connection.Producer()
        for lane, message in messages:
            headers = {k: v for k, v in message.headers.items() if not k.startswith("x-")}
            producer.publish(
                message.payload, exchange=run.deployment.queue, routing_key=lane, headers=headers, serializer="json"
            )
    yield


@contextlib.contextmanager
def lost_messages(run, random):
    """Whatever comes into the queues for a while is taken out and thrown away."""
    end = time.monotonic() + random.uniform(*HOLD_S)
    while time.monotonic() < end and not run.stopping.is_set():
        with _taken(run):
            time.sleep(0.1)
    yield


@contextlib.contextmanager
def _taken(run):
    """Take every message that waits in the queues."""
    messages = []
    with Connection(needed(BROKER)) as connection:
        channel = connection.default_channel
        for lane in LANES:
            while (message := channel.basic_get(f"{run.deployment.queue}.{lane}", no_ack=True)) is not None:
                messages.append((lane, message))
        yield connection, messages


def _maker(function, **named):
    return lambda run, random: function(run, random, **named)


_NEEDS = {
    "service": ("database", "s3", "redis"),
    "worker": ("database", "broker", "s3"),
    "schedule": ("database", "broker"),
}
# What can happen: the fault's name, its line of the timeline, how it is made, and of what.
KINDS_OF_FAULTS = (
    *(Kind(f"kill -9 {name}", "process", _maker(killed_process, name=name)) for name in PROCESSES),
    *(Kind(f"stop {name}", "process", _maker(stopped_process, name=name)) for name in PROCESSES),
    *(Kind(f"kill -9 the worker's {part}", "process", _maker(killed_part, part=part)) for part in _PARTS),
    *(Kind(f"start {name}", "process", _maker(second_process, name=name)) for name in SPARES),
    *(Kind(f"kill -9 {name}", "service", _maker(killed_service, name=name)) for name in NAMES),
    Kind("kill -9 a database backend", "service", killed_backend),
    *(Kind(f"stop {name}", "service", _maker(stopped_service, name=name)) for name in PID_FILES),
    *(
        Kind(f"{mode} {dependency}", "network", _maker(bad_links, dependency=dependency, mode=mode))
        for dependency in DEPENDENCIES
        for mode in ("cut", "silent", "slow")
    ),
    Kind("half-written objects", "network", _maker(bad_links, dependency="s3", mode="half")),
    *(
        Kind(f"partition {name} from {to}", "network", _maker(bad_links, dependency=to, mode="silent", process=name))
        for name, needs in _NEEDS.items()
        for to in needs
    ),
    *(
        Kind(f"clock of {name} {seconds / 60:+.0f} min", "clock", _maker(stepped_clock, name=name, seconds=seconds))
        for name in ("service", "worker", "schedule")
        for seconds in (CLOCK_STEP_S, -CLOCK_STEP_S)
    ),
    *(Kind(f"disk of {name} full", "full", _maker(full_disk, name=name)) for name in ("service", "worker", "schedule")),
    Kind("broker full", "full", full_broker),
    Kind("redis full", "full", full_redis),
    Kind("database read-only", "full", read_only_database),
    Kind("a table locked", "full", locked_table),
    Kind("messages duplicated", "messages", duplicated_messages),
    Kind("messages reordered", "messages", reordered_messages),
    Kind("messages lost", "messages", lost_messages),
)
GROUPS = ("process", "service", "network", "clock", "full", "messages")


def order(random, kinds=KINDS_OF_FAULTS):
    """Yield kinds for ever: each once in every round, each round shuffled."""
    while True:
        yield from random.sample(kinds, len(kinds))
