"""The flows over a real database and store, where HTTP cannot show what happens in between."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import select

from nightlight.catalogue import images, jobs
from nightlight.catalogue.schema import images as images_table
from nightlight.catalogue.schema import jobs as jobs_table
from nightlight.flows.pictures.hash_list_matches import ReviewMatches
from nightlight.flows.pictures.render import Render
from nightlight.jobs import kinds
from nightlight.jobs.relay import Relay
from nightlight_core.errors import (
    ListsUnavailable,
    NotFound,
    PolicyRefused,
    ProfileNotDeclared,
    QueueUnavailable,
    SettingsRefused,
    StoreDenied,
    StoreUnavailable,
)
from tests.support import pictures
from tests.support.flow_container import START

pytestmark = pytest.mark.integration


def test_upload_publish_render_leaves_one_original_and_a_rendition_for_each_tier(services, profile_id):
    image = services.upload(profile_id)
    assert services.state(image.image_id) == images.PENDING
    assert services.deliver() == ["ready"]
    assert len(services.shown()) == len(services.recipes)
    assert len(services.objects()) == 1 + 2 * len(services.recipes)  # each has its manifest
    assert services.deliver() == []


def test_an_upload_whose_bytes_cannot_be_stored_is_not_acknowledged_and_is_erased_later(services, profile_id):
    services.originals.off = {"put"}
    with pytest.raises(StoreUnavailable):
        services.upload(profile_id, key="k")
    with services.catalogue.reading() as tx:
        query = select(images_table.c.image_id, images_table.c.state).where(images_table.c.profile_id == profile_id)
        ((image_id, state),) = tx.connection.execute(query).all()
    assert state == images.RECEIVING
    services.originals.off = set()
    assert services.upload(profile_id, key="k").image_id != image_id
    services.deliver()
    services.clock.forward(minutes=59)
    services.expiry.run_once()
    assert services.state(image_id) == images.RECEIVING
    services.clock.forward(minutes=2)
    services.expiry.run_once()
    assert "erased" in services.deliver()
    assert services.state(image_id) == images.DELETED


def test_a_profile_deleted_while_an_upload_is_being_stored_keeps_nothing_of_it(services, profile_id):
    put = services.originals.store.put

    def deleted_meanwhile(*arguments, **more):
        created = put(*arguments, **more)
        services.delete.profile(profile_id, actor="t")
        return created

    services.originals.store.put = deleted_meanwhile
    with pytest.raises(ProfileNotDeclared):
        services.upload(profile_id)
    assert services.deliver() == ["erased"]
    assert services.objects() == []


def test_a_store_that_is_away_puts_the_job_back_with_growing_pauses_and_no_limit(services, profile_id):
    image = services.upload(profile_id)
    services.renditions.off = {"put"}
    assert services.deliver() == ["later"]
    pauses = []
    for _ in range(9):
        with services.catalogue.reading() as tx:
            query = select(jobs_table.c.next_run_at).where(jobs_table.c.image_id == image.image_id)
            due = tx.connection.execute(query).scalar_one()
        pauses.append((due - services.clock.now).total_seconds())
        assert services.reconciler.run_once() == 0
        services.clock.now = due
        assert services.reconciler.run_once() == 1
        assert services.deliver() == ["later"]
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300]
    services.renditions.off = set()
    services.clock.forward(seconds=300)
    services.reconciler.run_once()
    assert services.deliver() == ["ready"]


def test_a_retry_finds_what_its_predecessor_wrote_and_keeps_it(services, profile_id):
    image = services.upload(profile_id)
    services.renditions.off = {"head"}  # the first object is written, then the store goes away
    assert services.deliver() == ["later"]
    (written,) = services.shown()
    before = services.renditions.store.get(written, max_bytes=10**7).data
    services.renditions.off = set()
    services.clock.forward(seconds=10)
    services.reconciler.run_once()
    assert services.deliver() == ["ready"]
    assert services.renditions.store.get(written, max_bytes=10**7).data == before
    assert services.state(image.image_id) == images.READY


@pytest.mark.parametrize("error", [SettingsRefused, PolicyRefused, StoreDenied])
def test_a_mistake_of_the_operator_is_waited_for_and_no_picture_pays_for_it(services, profile_id, error):
    image, real = services.upload(profile_id), services.draw

    def refused(*_):
        raise error("a key is not set")

    services.draw = refused
    for _ in range(services.limits.max_attempts + 2):
        assert services.deliver() == ["later"]
        services.clock.forward(hours=1)
        services.reconciler.run_once()
    assert services.state(image.image_id) == images.PENDING
    services.draw = real
    assert services.deliver() == ["ready"]


def test_a_lost_message_is_published_again_once_it_is_overdue(services, profile_id):
    image = services.upload(profile_id)
    services.relay.run_once()
    services.sent.clear()  # the broker loses it
    services.clock.forward(seconds=59)
    assert services.reconciler.run_once() == 0
    services.clock.forward(seconds=2)
    assert services.reconciler.run_once() == 1
    assert services.deliver() == ["ready"]
    assert services.state(image.image_id) == images.READY


def test_a_message_that_comes_twice_renders_once(services, profile_id):
    services.upload(profile_id)
    services.relay.run_once()
    (message,) = services.sent
    assert services.render.run(message[1], redelivered=False) == "ready"
    assert services.render.run(message[1], redelivered=False) == "nothing"
    assert services.render.run(message[1], redelivered=True) == "nothing"


def test_a_message_for_a_job_of_another_kind_or_of_none_does_nothing(services, profile_id):
    services.upload(profile_id)
    services.relay.run_once()
    (message,) = services.sent
    assert services.erase.run("0" * 32, redelivered=False) == "nothing"
    assert services.erase.run(message[1], redelivered=False) == "nothing"


def test_a_relay_whose_broker_is_away_keeps_every_message_in_order(services, profile_id):
    for seed in range(3):
        services.upload(profile_id, pictures.jpeg(seed=seed))
    tried = []

    def away(task, job_id, lane):
        tried.append(job_id)
        if len(tried) > 1:
            raise QueueUnavailable("away")

    with pytest.raises(QueueUnavailable):
        Relay(services.catalogue, away, services.clock).run_once()
    assert len(tried) == 2
    assert services.relay.run_once() == 2
    assert services.sent[0][1] == tried[1]


def test_an_attempt_that_crashed_between_writing_and_publishing_leaves_nothing_after_an_erasure(services, profile_id):
    image = services.upload(profile_id)
    services.relay.run_once()
    (message,) = services.sent
    services.sent.clear()

    class Killed(BaseException):
        pass

    def dies(*_args, **_named):
        raise Killed

    publish = Render._publish
    try:
        Render._publish = dies
        with pytest.raises(Killed):
            services.render.run(message[1], redelivered=False)
    finally:
        Render._publish = publish
    assert len(services.shown()) == len(services.recipes)
    services.delete.image(image.image_id, actor="t")
    assert services.deliver() == ["erased"]
    assert services.objects() == []
    # The dead attempt's job is found later, sees that the image is gone, and ends.
    services.clock.forward(seconds=200)
    assert services.reconciler.run_once() == 1
    assert services.deliver() == ["deleted"]
    assert services.objects() == []


def test_three_attempts_that_vanish_fail_the_picture(services, profile_id):
    image = services.upload(profile_id)
    services.relay.run_once()
    ((_, job_id),) = services.sent
    for _ in range(3):
        with services.catalogue.transaction() as tx:
            assert tx.jobs.lease(job_id, kinds.RENDER.name, "image_id", services.clock.now, 60, take_over=True)
    services.clock.forward(seconds=10)
    assert services.render.run(job_id, redelivered=True) == "failed"
    with services.catalogue.reading() as tx:
        done = tx.images.get(image.image_id)
    assert (done.state, done.reason) == (images.FAILED, "worker_crashed")


def test_an_original_that_is_gone_fails_its_image_with_a_reason(services, profile_id):
    image = services.upload(profile_id)
    for key in list(services.originals.store.keys()):
        services.originals.store.delete(key)
    assert services.deliver() == ["failed"]
    with services.catalogue.reading() as tx:
        assert tx.images.get(image.image_id).reason == "original_missing"


def test_a_band_lapses_to_unknown_when_it_is_not_asserted_again(services, profile_id):
    from nightlight.flows.pictures.profiles import age_now

    with services.catalogue.reading() as tx:
        profile = tx.profiles.get(profile_id)
    assert age_now(profile, START + timedelta(days=30), assertion_days=30).band == "age_13_15"
    assert age_now(profile, START + timedelta(days=30, seconds=1), assertion_days=30).band == "unknown"


def test_an_idempotency_key_is_forgotten_after_its_hours_and_with_its_image(services, profile_id):
    data = pictures.jpeg(seed=3)
    first = services.upload(profile_id, data, key="k")
    assert services.upload(profile_id, data, key="k").image_id == first.image_id
    services.clock.forward(hours=25)
    services.expiry.run_once()
    second = services.upload(profile_id, data, key="k")
    assert second.image_id != first.image_id
    services.delete.image(second.image_id, actor="t")
    assert services.upload(profile_id, data, key="k").image_id not in {first.image_id, second.image_id}


def test_the_audit_tells_the_life_of_an_image_without_naming_anybody(services, profile_id):
    image = services.upload(profile_id)
    services.deliver()
    services.delete.image(image.image_id, actor="t")
    services.deliver()
    with services.catalogue.reading() as tx:
        entries = tx.audit.of_image(image.image_id)
    events = [entry.event for entry in entries]
    assert events == ["image.receiving", "image.accepted", "image.ready", "image.deleted", "image.erased"]
    assert profile_id not in str(entries)


def test_jobs_are_all_done_at_the_end(services, profile_id):
    services.upload(profile_id)
    services.deliver()
    with services.catalogue.reading() as tx:
        open_jobs = select(jobs_table.c.job_id).where(jobs_table.c.state.in_((jobs.QUEUED, jobs.LEASED)))
        assert tx.connection.execute(open_jobs).all() == []


@dataclass(frozen=True)
class Entry:
    list: str = "members"
    reference: str = "17"
    distance: int = 3


def test_what_is_on_a_list_is_quarantined_with_nothing_written_until_it_is_cleared(services, profile_id):
    verdicts = ReviewMatches(services.catalogue, services.clock)
    services.views, services.listed = ("a view",), lambda _: [Entry(), Entry(distance=9), Entry("others", "x", 31)]
    image = services.upload(profile_id)
    assert services.deliver() == ["quarantined"]
    assert services.state(image.image_id) == images.QUARANTINED
    assert list(services.renditions.store.keys()) == []
    rows = [row for row in verdicts.report(verdict="open") if row.image_id == image.image_id]
    assert [(row.list, row.reference, row.distance) for row in rows] == [("members", "17", 3), ("others", "x", 31)]
    verdicts.clear(image.image_id, actor="somebody")
    assert services.deliver() == ["ready"]
    assert {row.verdict for row in verdicts.report() if row.image_id == image.image_id} == {"cleared"}
    with pytest.raises(NotFound):
        verdicts.confirm(image.image_id, actor="somebody")
    with services.catalogue.reading() as tx:
        events = [entry.event for entry in tx.audit.of_image(image.image_id)]
    assert events[2:] == [
        "image.quarantined", "image.listed", "image.listed", "image.cleared", "image.ready",
    ]  # fmt: skip


def test_what_was_cleared_of_one_list_is_quarantined_again_by_another(services, profile_id):
    verdicts = ReviewMatches(services.catalogue, services.clock)
    services.views, services.listed = ("a view",), lambda _: [Entry()]
    image = services.upload(profile_id)
    assert services.deliver() == ["quarantined"]
    verdicts.clear(image.image_id, actor="somebody")
    services.listed = lambda _: [Entry(), Entry("others")]
    assert services.deliver() == ["quarantined"]
    assert [row.list for row in verdicts.report(verdict="open") if row.image_id == image.image_id] == ["others"]
    verdicts.confirm(image.image_id, actor="somebody")
    services.delete.image(image.image_id, actor="t")
    assert services.deliver() == ["erased"]


def test_while_lists_cannot_be_read_a_picture_waits(services, profile_id):
    def unreadable(_views):
        raise ListsUnavailable

    services.views, services.listed = ("a view",), unreadable
    image = services.upload(profile_id)
    assert services.deliver() == ["later"]
    assert (services.state(image.image_id), list(services.renditions.store.keys())) == (images.PENDING, [])
