"""Waiting for what happens elsewhere, without guessing how long it takes."""

import time

from sqlalchemy import select

from nightlight.catalogue.schema import jobs

# After so long a test gives up on something that hangs. It decides nothing: no machine is as slow as this.
HANG_S = 300.0


def eventually(check, seconds=HANG_S):
    """Return the first true answer of ``check``; fail if there is none before it must be said to hang."""
    begun = time.monotonic()
    while not (result := check()):
        waited = time.monotonic() - begun
        assert waited < seconds, "it did not happen in time"
        # Who looks all the time takes the processor from what it waits for.
        time.sleep(min(max(0.005, waited / 8), 0.5))
    return result


def job_of(stack, image_id):
    """The first job of an image, as the catalogue has it."""
    with stack.catalogue.reading() as tx:
        query = select(jobs.c.state, jobs.c.attempt, jobs.c.crashes, jobs.c.reason).where(jobs.c.image_id == image_id)
        return tx.connection.execute(query.order_by(jobs.c.created_at)).first()
