"""The embedded deployment's queue: messages a second, latency, and what becomes of messages whose receiver is killed.

    python bench/redelivery.py [--kills 30]

It runs real workers of Celery with tasks of its own. NIGHTLIGHT_QUEUE_BROKER_URL measures another broker.
"""

import argparse
import contextlib
import itertools
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

from celery import shared_task
from celery.signals import worker_process_init

import workers.tasks  # noqa: F401 - its children die with their parent

FOLDER = Path(os.environ.get("NIGHTLIGHT_DATA_DIR", "var"))


@shared_task(name="bench.work", bind=True)
def work(self, job_id):
    """Say that it begins, do what the name says, and say that it ended."""
    kind, _, _ = job_id.partition("-")
    note("begin", job_id, int(bool(self.request.delivery_info.get("redelivered"))), os.getpid())
    if kind == "hold" and not self.request.delivery_info.get("redelivered"):
        time.sleep(600)
    if kind == "slow":
        time.sleep(0.02)
    note("end", job_id, 0, os.getpid())


@worker_process_init.connect
def child_ready(**_):
    note("child", "-", 0, os.getpid())


def received(request, **_):
    note("received", request.kwargs["job_id"], int(bool(request.delivery_info.get("redelivered"))), os.getpid())


def note(*words):
    line = " ".join(map(str, (time.monotonic(), *words))) + "\n"
    descriptor = os.open(FOLDER / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)


class Notes:
    """What the workers noted so far, each line read once."""

    def __init__(self):
        self.all = []
        self._read = 0

    def __call__(self):
        with contextlib.suppress(FileNotFoundError), (FOLDER / "notes").open() as file:
            file.seek(self._read)
            for line in file:
                at, what, job, redelivered, pid = line.split()
                self.all.append((float(at), what, job, redelivered == "1", int(pid)))
                self._read += len(line)
        return self.all


notes = Notes()


def until(condition, seconds=180.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.005)
    raise TimeoutError


def first(what, job, *, redelivered=None):
    def first_line():
        return next((n for n in reversed(notes()) if n[1:3] == (what, job) and redelivered in (None, n[3])), None)

    return until(first_line)


def done(prefix):
    return {n[2] for n in notes() if n[1] == "end" and n[2].startswith(prefix)}


class Worker:
    count = itertools.count()

    def __init__(self):
        self.name = f"ready-{next(self.count)}"
        with (FOLDER / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, __file__, "--worker", self.name], stdout=log, stderr=log, start_new_session=True
            )
        until((FOLDER / self.name).exists)
        until(lambda: {n[4] for n in notes() if n[1] == "child"} >= set(self.children()))

    def children(self):
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        return [
            pid
            for pid in map(int, Path(path).read_text().split())
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    def cpu_s(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait()


def run_worker(name):
    from celery.signals import task_received, worker_ready

    from nightlight.settings import Settings
    from workers.app import make_app

    app = make_app(Settings())
    task_received.connect(received, weak=False)
    worker_ready.connect(lambda **_: (FOLDER / name).touch(), weak=False)
    app.worker_main(
        ["--quiet", "worker", "--pool=prefork", "--without-gossip", "--without-mingle", "--loglevel=WARNING"]
    )


def measure(kills):
    from nightlight.settings import Settings
    from workers.app import make_app, sender

    settings = Settings()
    send = sender(make_app(settings), settings)
    worker = Worker()  # on some brokers a lane must be declared before anything is published
    worker.stop()
    begun = time.monotonic()
    for number in range(2000):
        send("bench.work", f"fast-{number}", "upload")
    print(f"published: {2000 / (time.monotonic() - begun):,.0f} messages/s")
    worker = Worker()
    until(lambda: len(done("fast")) == 2000)
    ends = sorted(n[0] for n in notes() if n[1] == "end")
    print(f"received, done and acknowledged: {1999 / (ends[-1] - ends[0]):,.0f} messages/s")
    time.sleep(2)

    def latency(number):
        sent = time.monotonic()
        send("bench.work", f"single-{number}", "upload")
        return (first("received", f"single-{number}")[0] - sent) * 1000

    latencies = sorted(latency(number) for number in range(100) if not time.sleep(random.uniform(0.05, 0.15)))
    print(
        f"latency to an idle worker: median {statistics.median(latencies):.0f} ms, 95 % {latencies[94]:.0f} ms, most {latencies[-1]:.0f} ms"
    )
    before = worker.cpu_s()
    time.sleep(20)
    print(f"an idle worker's main process: {(worker.cpu_s() - before) / 20:.1%} of a core")
    worker = redelivery(send, worker)
    kill_often(send, worker, kills)


def redelivery(send, worker):
    times = []
    for number in range(5):
        send("bench.work", f"hold-child-{number}", "upload")
        pid = first("begin", f"hold-child-{number}")[4]
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        times.append(first("received", f"hold-child-{number}", redelivered=True)[0] - killed)
        first("end", f"hold-child-{number}")
    print("redelivered after a child was killed:", ", ".join(f"{each:.2f}" for each in times), "s")
    times = []
    other = Worker()
    for number in range(5):
        send("bench.work", f"hold-worker-{number}", "upload")
        receiver = first("received", f"hold-worker-{number}")[4]
        first("begin", f"hold-worker-{number}")
        if other.process.pid == receiver:
            worker, other = other, worker
        killed = time.monotonic()
        worker.kill()
        times.append(first("received", f"hold-worker-{number}", redelivered=True)[0] - killed)
        first("end", f"hold-worker-{number}")
        worker = Worker()
    other.stop()
    print("redelivered after a worker was killed, to another one:", ", ".join(f"{each:.2f}" for each in times), "s")
    return worker


def kill_often(send, worker, kills):
    for number in range(kills * 50):
        send("bench.work", f"slow-{number}", "upload")
    children = mains = 0
    for number in range(kills):
        time.sleep(random.uniform(0.02, 0.4))
        if number % 3 == 2:
            worker.kill()
            worker = Worker()
            mains += 1
        else:
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(random.choice(worker.children()), signal.SIGKILL)
                children += 1
    with contextlib.suppress(TimeoutError):
        until(lambda: len(done("slow")) == kills * 50)
    ended = [n[2] for n in notes() if n[1] == "end" and n[2].startswith("slow")]
    print(
        f"{children} children and {mains} workers killed over {kills * 50:,} messages: {kills * 50 - len(set(ended))} lost, {len(ended) - len(set(ended))} done twice"
    )
    worker.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--worker")
    asked = parser.parse_args()
    if asked.worker:
        run_worker(asked.worker)
    else:
        with tempfile.TemporaryDirectory() as folder:
            FOLDER = Path(folder)
            os.environ["NIGHTLIGHT_DATA_DIR"] = folder
            measure(asked.kills)
