"""A replaced picture's objects are tagged, and its days begin; nothing else is touched, nothing erased comes back."""

import pytest
from sqlalchemy import select

from nightlight.catalogue import images
from nightlight.catalogue.schema import jobs as table
from nightlight.flows.pictures.delete import DeletePictures
from nightlight.jobs import kinds
from tests.support import pictures

pytestmark = pytest.mark.integration


class Tagging:
    """A folder that notes what it was told; S3 is met in tests/integration/store."""

    def __init__(self, services):
        self.calls = []
        for store in (services.originals, services.renditions):
            real = store.store.retag
            store.store.retag = lambda key, state, real=real: (self.calls.append((key, state)), real(key, state))


def of_kind(services, image_id, kind):
    with services.catalogue.reading() as tx:
        query = select(table.c.job_id).where(
            table.c.image_id == image_id, table.c.kind == kind.name, table.c.state != "done"
        )
        return [row.job_id for row in tx.connection.execute(query)]


def replaced(services, profile_id):
    image_ids = []
    for seed in (1, 2):
        image_ids.append(services.upload(profile_id, pictures.jpeg(200, 200, seed=seed)).image_id)
        assert "ready" in services.deliver()
    return image_ids


def test_the_replaced_picture_is_tagged_a_minute_later(services, profile_id):
    noted = Tagging(services)
    old, new = replaced(services, profile_id)
    assert of_kind(services, new, kinds.RETENTION_TAGS) == []
    assert noted.calls == []
    services.clock.forward(seconds=61)
    assert services.reconciler.run_once() >= 1
    assert "tagged" in services.deliver()
    with services.catalogue.reading() as tx:
        image = tx.images.get(old)
        keys = {f"a/{name}.webp" for name, _ in tx.images.rendition_names(old)}
    assert {key for key, _ in noted.calls} == {image.original_key, *keys}
    assert {state for _, state in noted.calls} == {"replaced"}


def test_an_upload_that_is_late_is_replaced_at_once_and_tagged_too(services, profile_id):
    first = services.upload(profile_id, pictures.jpeg(200, 200, seed=1)).image_id
    second = services.upload(profile_id, pictures.jpeg(200, 200, seed=2)).image_id
    services.relay.run_once()
    services.sent.reverse()
    sent, services.sent[:] = list(services.sent), []
    for _, job_id in sent:
        services.render.run(job_id, redelivered=False)
    assert (services.state(first), services.state(second)) == (images.SUPERSEDED, images.READY)
    assert len(of_kind(services, first, kinds.RETENTION_TAGS)) == 1
    with services.catalogue.reading() as tx:
        assert tx.images.get(first).superseded_at == services.clock.now


def test_what_was_erased_meanwhile_is_looked_for_again(services, profile_id):
    noted = Tagging(services)
    old, _ = replaced(services, profile_id)
    (job_id,) = of_kind(services, old, kinds.RETENTION_TAGS)
    DeletePictures(services.catalogue, services.clock).image(old, actor="t")
    assert "erased" in services.deliver()
    before = len(of_kind(services, old, kinds.VERIFY_ERASURE))
    assert services.retention_tags.run(job_id, redelivered=False) == "tagged"
    assert noted.calls == []
    assert len(of_kind(services, old, kinds.VERIFY_ERASURE)) == before + 1
    services.clock.forward(hours=2)
    services.reconciler.run_once()
    endings = services.deliver()  # the first proof removes the rows, and the second finds none
    assert (endings.count("verified"), endings.count("nothing")) == (1, 1)
