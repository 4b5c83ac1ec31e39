"""A worker that is killed, or a picture that kills its worker: nothing is lost, nothing happens twice."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.support import pictures
from tests.support.waiting import in_the_middle_of_a_render, job_of

pytestmark = [pytest.mark.failure, pytest.mark.integration]


PROC = Path("/proc")


def events(stack, image_id):
    with stack.catalogue.reading() as tx:
        return [entry.event for entry in tx.audit.of_image(image_id)]


def test_a_worker_killed_in_the_middle_of_a_render_makes_the_image_ready_exactly_once(any_stack, record_property):
    with any_stack.client() as client:
        client.declare("killed", band="age_13_15", assurance="verified", region="eu")

        def kill(_image):
            worker = any_stack.children["worker"]
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait()

        def kill_and_begin_anew(image):
            kill(image)
            if client.image(image.image_id).state != "pending":
                any_stack.start_worker()  # too late: another try needs a worker

        picture = pictures.slow_webp()
        image = in_the_middle_of_a_render(any_stack, client, "killed", picture, kill_and_begin_anew)
        killed_at = time.monotonic()
        any_stack.start_worker()
        assert client.wait(image.image_id, timeout_s=60).state == "ready"
        record_property("ready_s_after_kill", round(time.monotonic() - killed_at, 1))
        time.sleep(2)
        assert events(any_stack, image.image_id).count("image.ready") == 1
        job = job_of(any_stack, image.image_id)
        assert (job.state, job.crashes >= 1, job.attempt >= 2) == ("done", True, True)
        (decision,) = client.decide("peer", "profile", [("killed", "stranger")])
        assert pictures.opened(client.fetch(decision.url).content).size == (96, 96)


def test_a_child_killed_in_the_middle_of_a_render_is_replaced_and_its_picture_becomes_ready(any_stack):
    with any_stack.client() as client:
        client.declare("child", band="age_13_15", assurance="verified", region="eu")

        def kill(_image):
            for child in busy_children(any_stack.children["worker"].pid):
                os.kill(child, signal.SIGKILL)

        image = in_the_middle_of_a_render(any_stack, client, "child", pictures.slow_webp(), kill)
        assert client.wait(image.image_id, timeout_s=60).state == "ready"
        assert events(any_stack, image.image_id).count("image.ready") == 1


def test_a_picture_that_keeps_killing_its_worker_is_quarantined_and_others_go_on(any_stack):
    with any_stack.client() as client:
        client.declare("poison", band="adult", assurance="verified", region="eu")
        image = client.upload("poison", pictures.slow_webp())
        end = time.monotonic() + 90
        killed = 0
        while client.image(image.image_id).state == "pending":
            assert time.monotonic() < end
            job = job_of(any_stack, image.image_id)
            if job.state == "leased" and job.attempt > killed:
                victims = busy_children(any_stack.children["worker"].pid)
                for child in victims:
                    os.kill(child, signal.SIGKILL)
                killed = job.attempt if victims else killed
            time.sleep(0.02)
        done = client.image(image.image_id)
        assert (done.state, done.reason) == ("failed", "quarantined")
        assert "image.quarantined" in events(any_stack, image.image_id)
        client.declare("after", band="adult", assurance="verified", region="eu")
        assert client.wait(client.upload("after", pictures.jpeg()).image_id).state == "ready"


def processes():
    """Every process that lives: its parent, and the ticks of processor time (10 ms) that it has used."""
    found = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if fields[0] == "Z":  # it was killed, and its parent has not looked yet
                    continue
                found[int(entry.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    return found


def worker_children(stack):
    return [pid for pid, (parent, _) in processes().items() if parent == stack.children["worker"].pid]


def settled_children(stack):
    """The worker's children once they stay the same for a while: an earlier test's killings may still be made good."""
    looks = []
    for _ in range(60):
        looks.append(set(worker_children(stack)))
        if len(looks) >= 8 and all(one == looks[-1] for one in looks[-8:]):
            return looks[-1]
        time.sleep(0.5)
    pytest.fail("the worker's children do not settle")


def busy_children(worker):
    """The worker's children that are using the processor right now, themselves or by their decoders."""
    before = processes()
    time.sleep(0.05)
    after = processes()
    busy = set()
    for pid, (_, used) in after.items():
        if used > before.get(pid, (0, used))[1]:
            chain = [pid]
            while chain[-1] in after and after[chain[-1]][0] > 1:
                chain.append(after[chain[-1]][0])
            if worker in chain:
                busy.update(chain[chain.index(worker) - 1 : chain.index(worker)])
    return sorted(busy - {worker})


def kill_decoders(stack, stop):
    """Kill every decoder that has been at one picture for a tenth of a second, until told to stop."""
    while not stop.is_set():
        now = processes()
        for helper in [pid for pid, (parent, _) in now.items() if parent in worker_children(stack)]:
            for pid, (parent, used) in now.items():
                if parent == helper and used >= 10:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def test_a_decoder_that_is_killed_costs_a_try_and_one_that_always_is_quarantines_its_picture(any_stack):
    """The cage's children are killed as soon as they meet the picture; the worker itself lives on."""
    with any_stack.client() as client:
        client.declare("caged", band="adult", assurance="verified", region="eu")
        ordinary = client.upload("caged", pictures.jpeg())
        assert client.wait(ordinary.image_id).state == "ready"
        workers = settled_children(any_stack)
        stop = threading.Event()
        killer = threading.Thread(target=kill_decoders, args=(any_stack, stop))
        killer.start()
        try:
            image = client.wait(client.upload("caged", pictures.slow_webp()).image_id, timeout_s=90)
        finally:
            stop.set()
            killer.join()
        assert (image.state, image.reason) == ("failed", "decoder_sigkill")
        assert set(worker_children(any_stack)) == workers
        assert client.wait(client.upload("caged", pictures.jpeg(seed=9)).image_id).state == "ready"
