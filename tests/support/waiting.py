"""Waiting for what happens elsewhere, without guessing how long it takes."""

import time

from sqlalchemy import select

from nightlight.catalogue.tables import jobs


def eventually(check, seconds=20):
    """Return the first true answer of ``check``; fail if there is none in time."""
    end = time.monotonic() + seconds
    while not (result := check()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return result


def job_of(stack, image_id):
    """The first job of an image, as the catalogue has it."""
    with stack.catalogue.reading() as tx:
        query = select(jobs.c.state, jobs.c.attempt, jobs.c.crashes).where(jobs.c.image_id == image_id)
        return tx.connection.execute(query.order_by(jobs.c.created_at)).first()


def in_the_middle_of_a_render(stack, client, profile_id, picture, act, *, tries=5):
    """Upload, wait until a worker has the job, and ``act``; again if the picture was ready before that.

    Returns the image; its render had begun and had not ended when ``act`` returned.
    """
    for _ in range(tries):
        image = client.upload(profile_id, picture)
        eventually(lambda image=image: job_of(stack, image.image_id).state != "queued")
        act(image)
        with stack.catalogue.reading() as tx:
            events = [entry.event for entry in tx.audit.of_image(image.image_id)]
        if "image.ready" not in events:
            return image
    raise AssertionError("every picture was ready before anything could be done to it")
