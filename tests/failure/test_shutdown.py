"""SIGTERM to a worker's whole group, with a backlog: it is gone within its bound, and nothing that waited is lost.

Service managers signal the group: the worker and its children are told at once, in whatever they are.
"""

import os
import signal
import subprocess
import sys
import time

import pytest
from sqlalchemy import func, select

from nightlight.catalogue.schema import outbox
from tests.conftest import ROOT
from tests.support import paused, pictures
from tests.support.waiting import HANG_S, eventually

pytestmark = [pytest.mark.failure, pytest.mark.integration]
# Uploads that wait when the worker is told to stop.
BACKLOG = 6
# In so long the broker delivers a message, and the worker hands it to a child.
HANDED_S = 3.0


def told_to_stop(worker):
    """Signal the worker's group; return the seconds until it is gone."""
    begun = time.monotonic()
    os.killpg(worker.pid, signal.SIGTERM)
    try:
        worker.wait(HANG_S)
    except subprocess.TimeoutExpired:
        os.killpg(worker.pid, signal.SIGKILL)
        raise
    seconds = time.monotonic() - begun
    eventually(lambda: left_of(worker.pid) == [])
    return seconds


def backlog(client, name):
    client.declare(name, band="adult", assurance="verified", region="eu")
    return [client.upload(name, pictures.jpeg(600, 450, seed=seed)).image_id for seed in range(BACKLOG)]


def all_done(client, image_ids):
    return all(client.image(image_id).state in {"ready", "superseded"} for image_id in image_ids)


def test_a_worker_with_a_child_that_does_not_answer_is_gone_in_time(any_stack, record_property):
    """A stopped child handles no signal. The pool joins it without a limit: the worker was alive for ever."""
    with any_stack.client() as client:
        client.declare("stuck", band="adult", assurance="verified", region="eu")
        image = paused.pause(any_stack, client, "stuck")
        waiting = backlog(client, "behind-the-stuck")
        (child,) = paused.holders(any_stack)
        os.kill(child, signal.SIGSTOP)
        worker = any_stack.children["worker"]
        seconds = told_to_stop(worker)
        record_property("seconds", round(seconds, 1))
        assert "worker.shutdown_overdue" in any_stack.logs("worker")
        any_stack.start_worker()
        with paused.releasing(any_stack):
            eventually(lambda: all_done(client, [image.image_id, *waiting]), 600)


def test_a_job_that_was_handed_over_and_not_taken_yet_ends_with_the_worker(any_stack, record_property):
    """Celery neither waits for it nor ends it: the child did it to its end, here for ever, and the pool joined it."""
    with any_stack.client() as client:
        client.declare("handed", band="adult", assurance="verified", region="eu")
        assert client.wait(client.upload("handed", pictures.jpeg()).image_id).state == "ready"
        children = paused.children(any_stack)
        paused.stop(any_stack, children)
        image = client.upload("handed", paused.picture())
        eventually(lambda: nothing_to_publish(any_stack))
        time.sleep(HANDED_S)
        overdue = any_stack.logs("worker").count("worker.shutdown_overdue")
        worker = any_stack.children["worker"]
        os.killpg(worker.pid, signal.SIGTERM)
        time.sleep(1)  # before it is told again, it takes the job
        for child in children & paused.children(any_stack):
            os.kill(child, signal.SIGCONT)
        begun = time.monotonic()
        worker.wait(HANG_S)
        record_property("seconds", round(time.monotonic() - begun, 1))
        assert any_stack.logs("worker").count("worker.shutdown_overdue") == overdue
        any_stack.start_worker()
        with paused.releasing(any_stack):
            eventually(lambda: all_done(client, [image.image_id]), 600)


# A worker of Celery's kind whose child starts slowly, and so ignores the one signal that its pool sends it.
SLOW_START = """
import os, signal, sys, time
os.environ["REMAP_SIGTERM"] = "SIGQUIT"
import billiard
from workers.shutdown_deadline import bound_shutdown

def start():
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    print("starting", flush=True)
    time.sleep(3)
    signal.signal(signal.SIGQUIT, lambda *_: sys.exit(0))
    time.sleep(600)

def end(*_):
    child.terminate()
    child.join()
    os._exit(int(child.exitcode != 0))

if __name__ == "__main__":
    billiard.set_start_method("spawn")
    bound_shutdown(0.5)
    child = billiard.Process(target=start)
    signal.signal(signal.SIGTERM, end)
    child.start()
    time.sleep(600)
"""


def test_a_child_that_starts_while_its_worker_ends_is_told_again(tmp_path):
    script = tmp_path / "slow_start.py"
    script.write_text(SLOW_START)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as worker:
        assert worker.stdout.readline() == "starting\n"
        worker.terminate()
        assert worker.wait(HANG_S) == 0  # 1 if the child had to be killed


def nothing_to_publish(stack):
    with stack.catalogue.reading() as tx:
        return tx.connection.execute(select(func.count()).select_from(outbox)).scalar_one() == 0


@pytest.mark.parametrize("after_s", [0, 3])
def test_a_worker_that_is_busy_or_starting_is_gone_in_time_and_its_jobs_are_done_once(any_stack, after_s):
    with any_stack.client() as client:
        waiting = backlog(client, f"busy-{after_s}")
        time.sleep(after_s)
        worker = any_stack.children["worker"]
        told_to_stop(worker)
        any_stack.start_worker()
        eventually(lambda: all_done(client, waiting), 600)
        with any_stack.catalogue.reading() as tx:
            readied = [
                [entry.event for entry in tx.audit.of_image(image_id)].count("image.ready") for image_id in waiting
            ]
        # What another upload had replaced by the time that it was rendered was never the current one.
        assert set(readied) <= {0, 1}
        assert readied[-1] == 1


def left_of(group):
    """Processes of a group that are alive yet."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,stat=", "-g", str(group)], capture_output=True, text=True, check=False
    ).stdout
    return [line for line in listed.splitlines() if "Z" not in line]
