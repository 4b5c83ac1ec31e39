"""A worker that is killed, or a picture that kills its worker: nothing is lost, nothing happens twice.

What is killed waits for it: the decoder stops at the picture (tests.support.paused), however slow the machine is.
"""

import time

import pytest

from tests.support import paused, pictures
from tests.support.waiting import eventually, job_of

pytestmark = [pytest.mark.failure, pytest.mark.integration]

# What a worker of the tests' stacks has.
# Two for uploads, as the stacks ask, and one more for each other lane.
CHILDREN = 6


def events(stack, image_id):
    with stack.catalogue.reading() as tx:
        return [entry.event for entry in tx.audit.of_image(image_id)]


def worker_dies(stack):
    worker = stack.children["worker"]
    worker.kill()
    worker.wait()


def test_a_worker_killed_in_the_middle_of_a_render_makes_the_image_ready_exactly_once(any_stack, record_property):
    with any_stack.client() as client:
        client.declare("killed", band="age_13_15", assurance="verified", region="eu")
        image = paused.pause(any_stack, client, "killed")
        worker_dies(any_stack)
        assert client.image(image.image_id).state == "pending"
        killed_at = time.monotonic()
        any_stack.start_worker()  # it takes the job over long before the lease ends
        with paused.releasing(any_stack):  # a message that was published twice has it rendered twice
            assert client.wait(image.image_id).state == "ready"
        record_property("ready_s_after_kill", round(time.monotonic() - killed_at, 1))
        job = job_of(any_stack, image.image_id)
        assert (job.state, job.crashes >= 1, job.attempt >= 2) == ("done", True, True)
        # Whatever else was sent on its account has been dealt with before a later picture is ready.
        client.declare("after-the-kill", band="adult", assurance="verified", region="eu")
        assert client.wait(client.upload("after-the-kill", pictures.jpeg(seed=3)).image_id).state == "ready"
        assert events(any_stack, image.image_id).count("image.ready") == 1
        (decision,) = client.decide("peer", "profile", [("killed", "stranger")])
        assert max(pictures.opened(client.fetch(decision.url).content).size) == 96


def test_a_child_killed_in_the_middle_of_a_render_is_replaced_and_its_picture_becomes_ready(any_stack):
    with any_stack.client() as client:
        client.declare("child", band="age_13_15", assurance="verified", region="eu")
        image = paused.pause(any_stack, client, "child")
        (child,) = paused.holders(any_stack)
        paused.kill([child])
        eventually(lambda: any(holder != child for holder in paused.holders(any_stack)))  # its successor holds it now
        assert client.image(image.image_id).state == "pending"
        with paused.releasing(any_stack):
            assert client.wait(image.image_id).state == "ready"
        assert events(any_stack, image.image_id).count("image.ready") == 1


def killed_until_final(client, image_id, victims):
    """Kill whatever ``victims`` names, again and again, until the picture is no longer pending; say how often."""
    killed = set()

    def is_final():
        now = set(victims())
        paused.kill(now)
        killed.update(now)
        return client.image(image_id).state != "pending"

    eventually(is_final)
    return len(killed)


def test_a_picture_that_keeps_killing_its_worker_is_quarantined_and_others_go_on(any_stack):
    with any_stack.client() as client:
        client.declare("poison", band="adult", assurance="verified", region="eu")
        image = client.upload("poison", paused.picture())
        assert killed_until_final(client, image.image_id, lambda: paused.holders(any_stack)) == 3
        done = client.image(image.image_id)
        assert (done.state, done.reason) == ("failed", "worker_crashed")
        assert "image.failed" in events(any_stack, image.image_id)
        client.declare("after", band="adult", assurance="verified", region="eu")
        assert client.wait(client.upload("after", pictures.jpeg()).image_id).state == "ready"


def test_a_decoder_that_is_killed_costs_a_try_and_one_that_always_is_quarantines_its_picture(any_stack):
    """The sandbox's children are killed when they have met the picture; the worker itself lives on."""
    with any_stack.client() as client:
        client.declare("caged", band="adult", assurance="verified", region="eu")
        ordinary = client.upload("caged", pictures.jpeg())
        assert client.wait(ordinary.image_id).state == "ready"
        # What an earlier test has killed is made good before this one looks.
        workers = eventually(lambda: len(children := paused.children(any_stack)) == CHILDREN and children)
        image = client.upload("caged", paused.picture())
        assert killed_until_final(client, image.image_id, lambda: paused.decoders(any_stack)) == 3
        image = client.image(image.image_id)
        assert (image.state, image.reason) == ("failed", "decoder_sigkill")
        assert paused.children(any_stack) == workers
        assert client.wait(client.upload("caged", pictures.jpeg(seed=9)).image_id).state == "ready"
