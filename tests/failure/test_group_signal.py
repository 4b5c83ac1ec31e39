"""A signal to a worker's whole group, as a terminal or a service manager sends it, while much waits: it ends in time.

Each child dies of it at once, perhaps with a lock of the pool in its hand, and the parent must not wait for that lock.
"""

import os
import signal
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.support import pictures
from tests.support.stacks import STACKS
from tests.support.waiting import HANG_S, eventually

pytestmark = [pytest.mark.failure, pytest.mark.integration]
BACKLOG = 6
ROUNDS = int(os.environ.get("NIGHTLIGHT_TEST_SIGNALS", "3"))
# A second for what runs (tests.support.stacks), then what workers.shutdown gives the pool, and a machine's slowness.
MOST_S = 1 + 15 + 20


@pytest.fixture(scope="module", params=sorted(STACKS))
def stack(request, tmp_path_factory):
    with STACKS[request.param](tmp_path_factory.mktemp("signals")) as started:
        yield started


def test_a_worker_ends_in_time_with_a_backlog_and_its_pictures_are_made_by_the_next(stack, record_property):
    with stack.client() as client:
        picture = pictures.jpeg(1400, 1050)
        client.declare("busy", band="adult", assurance="verified", region="eu", choice="everyone")
        images = []
        for number in range(ROUNDS):
            images += [client.upload("busy", picture).image_id for _ in range(BACKLOG)]
            before = finished(client, images)
            assert eventually(partial(grown, client, tuple(images), before))  # its children are at work
            worker = stack.children["worker"]
            begin = time.monotonic()
            for pid in (worker.pid, *descendants(worker.pid)):
                with suppress(ProcessLookupError):  # it has died of its parent's signal
                    os.kill(pid, signal.SIGTERM)
            try:
                worker.wait(MOST_S)
            except subprocess.TimeoutExpired:
                pytest.fail(f"round {number}: alive after {MOST_S} s\n{stack.logs('worker')[-3000:]}")
            record_property(f"ended_s_{number}", round(time.monotonic() - begin, 1))
            stack.start_worker()
        assert client.wait(images[-1], timeout_s=HANG_S).state == "ready"
        eventually(lambda: finished(client, images) == len(images))


def grown(client, images, before):
    return finished(client, images) > before


def finished(client, images):
    """Return how many of the images are past their rendering: of one profile only the newest stays ready."""
    return sum(client.image(image_id).state in {"ready", "replaced", "superseded", "deleted"} for image_id in images)


def descendants(pid):
    """Return the processes that a process has started, and theirs."""
    # Of proc(5): the parent is the fourth field, behind the name in brackets.
    children = [
        int(stat.parent.name)
        for stat in Path("/proc").glob("[0-9]*/stat")
        if _text(stat).rpartition(")")[2].split()[1:2] == [str(pid)]
    ]
    return [*children, *(grandchild for child in children for grandchild in descendants(child))]


def _text(path):
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""
