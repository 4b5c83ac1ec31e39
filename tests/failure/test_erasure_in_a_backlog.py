"""An erasure whose worker dies or hangs, with many renders queued: it is done by the end of the job's lease.

What the broker is told of (a worker that was killed) is delivered again at once, or after Celery has waited ten seconds
for a child. What it is not told of (a child that hangs, a message that is lost) waits for the lease, and no longer.
"""

import os
import signal
import time

import pytest
from sqlalchemy import func, select

from nightlight.catalogue.schema import jobs
from nightlight.cli.embedded import free_port
from nightlight.jobs import kinds
from tests.support import paused, pictures
from tests.support.objects import all_keys
from tests.support.stacks import STACKS
from tests.support.waiting import HANG_S, eventually

pytestmark = [pytest.mark.failure, pytest.mark.integration]
# `NIGHTLIGHT_TEST_BACKLOG=500 make test-slow ...` shows it behind more.
BACKLOG = int(os.environ.get("NIGHTLIGHT_TEST_BACKLOG", "100"))
LEASE_S, REQUEUE_S = 40, 3 * HANG_S
SETTINGS = {
    "NIGHTLIGHT_WORKER_LEASE_S": str(LEASE_S),
    "NIGHTLIGHT_WORKER_TIME_LIMIT_S": str(LEASE_S - 1),
    "NIGHTLIGHT_WORKER_DECODE_S": "30",
    "NIGHTLIGHT_WORKER_RECONCILE_INTERVAL_S": "0.3",
    "NIGHTLIGHT_WORKER_REQUEUE_AFTER_S": str(REQUEUE_S),  # what is published once more is not what helps here
}


class Backlog:
    """A stack with two workers and many uploads behind which an erasure would have to wait."""

    def __init__(self, stack, gate):
        self.stack, self.gate = stack, gate
        with stack.client() as client:
            client.declare("erased", band="adult", assurance="verified", region="eu")
            self.images = [client.upload("erased", pictures.jpeg(seed=seed)).image_id for seed in range(3)]
            assert client.wait(self.images[2]).state == "ready"
        first = stack.children["worker"]
        stack.start_worker(NIGHTLIGHT_WORKER_HEALTH_PORT=str(free_port()))
        self.workers = {first.pid: first, stack.children["worker"].pid: stack.children["worker"]}
        self.uploads = 0

    def fill(self):
        """Upload until so many renders wait; the workers stand still meanwhile, so that they do not keep up."""
        while not self.stood_still():
            self.signal(signal.SIGCONT)
        with self.stack.client() as client:
            while self.waiting() < BACKLOG:
                client.declare(f"busy-{self.uploads}", band="adult", assurance="verified", region="eu")
                client.upload(f"busy-{self.uploads}", pictures.jpeg(900, 700))
                self.uploads += 1
        self.signal(signal.SIGCONT)

    def stood_still(self):
        """Stop the workers; say whether none of them holds SQLite's only lock meanwhile."""
        self.signal(signal.SIGSTOP)
        return paused.can_write(self.stack)

    def signal(self, number):
        for worker in self.workers:
            os.killpg(worker, number)

    def waiting(self):
        query = select(func.count()).where(jobs.c.kind == kinds.RENDER.name, jobs.c.state == "queued")
        with self.stack.catalogue.reading() as tx:
            return tx.connection.execute(query).scalar_one()

    def erase(self, image_id):
        """Ask for an erasure; return the child that has begun it and waits, and the keys that are to go."""
        with self.stack.catalogue.reading() as tx:
            keys = {tx.images.get(image_id).original_key, *tx.jobs.planned_keys(image_id)}
        self.gate.touch()
        with self.stack.client() as client:
            client.delete_image(image_id)
        waiting = self.gate.with_suffix(".waiting")
        (child,) = eventually(lambda: waiting.is_dir() and [int(path.name) for path in waiting.iterdir()])
        return child, keys

    def job(self, image_id):
        query = select(jobs).where(jobs.c.image_id == image_id, jobs.c.kind == kinds.ERASE.name)
        with self.stack.catalogue.reading() as tx:
            return tx.connection.execute(query).one()


@pytest.fixture(scope="module", params=sorted(STACKS))
def backlog(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    gate = tmp_path_factory.mktemp("gate") / "erasure"
    with STACKS[request.param](folder, paused=True, PAUSED_ERASURE=str(gate), **SETTINGS) as stack:
        queued = Backlog(stack, gate)
        try:
            yield queued
        finally:
            for worker in queued.workers.values():
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()


# What happens to whoever has the erasure. The child that hangs is first: the worker that is killed is not replaced.
@pytest.mark.parametrize("what", ["its child hangs", "its child is killed", "its worker is killed"])
def test_an_erasure_whose_worker_is_lost_is_done_by_the_end_of_its_lease(backlog, what, record_property):
    image_id = backlog.images.pop()
    backlog.fill()
    child, keys = backlog.erase(image_id)
    leased = backlog.job(image_id)
    begun = time.monotonic()
    if what == "its child hangs":
        os.kill(child, signal.SIGSTOP)
    elif what == "its child is killed":
        os.kill(child, signal.SIGKILL)
    else:
        worker = paused.living()[child]
        os.killpg(worker, signal.SIGKILL)
        backlog.workers.pop(worker).wait()
    backlog.gate.unlink()
    eventually(lambda: backlog.job(image_id).state == "done", seconds=HANG_S)  # by its lease: long before REQUEUE_S
    record_property("seconds", round(time.monotonic() - begun, 1))
    late = (backlog.job(image_id).finished_at - leased.lease_until).total_seconds()
    record_property("seconds_after_the_lease", round(late, 1))
    assert keys & set(all_keys(backlog.stack)) == set()
    record_property("renders_left", backlog.waiting())
    for path in backlog.gate.with_suffix(".waiting").iterdir():
        path.unlink()
