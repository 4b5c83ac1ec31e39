"""What happens while a picture is rendered: it is asked for, replaced, deleted."""

import pytest
from sqlalchemy import func, select

from nightlight.catalogue.schema import jobs
from tests.support import paused, pictures
from tests.support.objects import stored_keys
from tests.support.waiting import eventually, job_of

pytestmark = [pytest.mark.failure, pytest.mark.integration]


@pytest.fixture
def client(any_stack):
    with any_stack.client() as connected:
        yield connected


def declared(client, profile_id):
    client.declare(profile_id, band="adult", assurance="verified", region="eu")
    return profile_id


def path(client, profile_id):
    """What a picture of a profile is called today, for its owner."""
    (decision,) = client.decide("peer", "profile", [(profile_id, "self")])
    return decision.url.split("?")[0]


def test_before_an_image_is_ready_everybody_gets_the_placeholder(any_stack, client):
    profile_id = declared(client, "not-ready")
    image = paused.pause(any_stack, client, profile_id)
    assert path(client, profile_id) == path(client, "nobody-at-all")
    with paused.releasing(any_stack):
        assert client.wait(image.image_id).state == "ready"
    eventually(lambda: path(client, profile_id) != path(client, "nobody-at-all"))


def test_a_second_upload_during_the_first_ones_rendering_wins(any_stack, client):
    profile_id = declared(client, "second")
    slow = paused.pause(any_stack, client, profile_id)
    quick = client.upload(profile_id, pictures.jpeg(300, 300, seed=5))
    assert client.wait(quick.image_id).state == "ready"
    shown = eventually(lambda: (now := path(client, profile_id)) != path(client, "nobody-at-all") and now)
    with paused.releasing(any_stack):
        eventually(lambda: job_of(any_stack, slow.image_id).state == "done")
    assert client.image(slow.image_id).state == "superseded"
    assert client.image(quick.image_id).state == "ready"
    assert path(client, profile_id) == shown
    (decision,) = client.decide("peer", "profile", [(profile_id, "self")])
    assert pictures.opened(client.fetch(decision.url).content).size == (300, 300)


def test_an_image_deleted_while_it_is_rendered_leaves_nothing_behind(any_stack, client):
    profile_id = declared(client, "delete-2")
    image = paused.pause(any_stack, client, profile_id)
    client.delete_image(image.image_id)
    with paused.releasing(any_stack):
        eventually(lambda: len([event for event in events(any_stack, image.image_id) if event == "image.erased"]) == 1)
        eventually(lambda: jobs_open(any_stack, image.image_id) == 0)
    assert client.image(image.image_id).state == "deleted"
    assert "image.ready" not in events(any_stack, image.image_id)
    assert path(client, profile_id) == path(client, "nobody-at-all")
    assert stored_keys(any_stack, image.image_id) == []


def events(stack, image_id):
    with stack.catalogue.reading() as tx:
        return [entry.event for entry in tx.audit.of_image(image_id)]


def jobs_open(stack, image_id):
    with stack.catalogue.reading() as tx:
        # It is looked again in an hour whether anything is left: that job waits.
        conditions = (
            jobs.c.image_id == image_id,
            jobs.c.kind != "verify_erasure",
            jobs.c.state.in_(("queued", "leased")),
        )
        return tx.connection.execute(select(func.count()).where(*conditions)).scalar_one()
