"""SIGTERM to a worker's whole group, with a backlog: it is gone within its bound, and nothing that waited is lost.

Service managers signal the group: the worker and its children are told at once, in whatever they are.
"""

import os
import signal
import subprocess
import time

import pytest

from tests.support import paused, pictures
from tests.support.waiting import HANG_S, eventually
from workers.shutdown_deadline import GRACE_S

pytestmark = [pytest.mark.failure, pytest.mark.integration]
# Uploads that wait when the worker is told to stop.
BACKLOG = 6
# What the tests' stacks give jobs under way, and both graces; as much again for a machine that is busy.
BOUND_S = 2 * (1 + 2 * GRACE_S)


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
        assert seconds < BOUND_S
        assert "worker.shutdown_overdue" in any_stack.logs("worker")
        any_stack.start_worker()
        with paused.releasing(any_stack):
            eventually(lambda: all_done(client, [image.image_id, *waiting]), 600)


@pytest.mark.parametrize("after_s", [0, 3])
def test_a_worker_that_is_busy_or_starting_is_gone_in_time_and_its_jobs_are_done_once(any_stack, after_s):
    with any_stack.client() as client:
        waiting = backlog(client, f"busy-{after_s}")
        time.sleep(after_s)
        worker = any_stack.children["worker"]
        seconds = told_to_stop(worker)
        assert seconds < BOUND_S
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
