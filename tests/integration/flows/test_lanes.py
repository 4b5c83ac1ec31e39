"""Which lane each thing is asked for in, that the relay goes by it, and that a decoder out of time is asked once."""

import pytest

from nightlight.catalogue import images
from nightlight.catalogue.profiles import Declaration
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue_many, lane_before
from nightlight.jobs.lanes import BACKGROUND, ERASURE, RANKS, UPLOAD
from nightlight.jobs.relay import Relay
from nightlight_core.errors import DecoderDied, DecoderTooSlow, ImageTooComplex
from tests.support import hostile, pictures

pytestmark = pytest.mark.integration


def published(services):
    """What the relay sends, in its order: [(task, lane)]."""
    sent = []
    while Relay(services.catalogue, lambda task, _, lane: sent.append((task, lane)), services.clock).run_once():
        pass
    return sent


def backlog(services, image, count=130):
    """More renders than go into one batch, in the catalogue and in the outbox."""
    now = services.clock()
    with services.catalogue.transaction() as tx:
        enqueue_many(tx, kinds.RENDER, [image.image_id] * count, now)


def test_an_erasure_is_published_before_all_uploads_that_were_asked_for_before_it(services, profile_id):
    first = services.upload(profile_id)
    backlog(services, first)
    services.delete.image(first.image_id, actor="t")
    sent = published(services)
    assert sent[0] == ("nightlight.erase", ERASURE)
    assert sent[1:] == [("nightlight.render", UPLOAD)] * 131


def test_what_was_lost_is_found_again_in_the_same_order(services, profile_id):
    first = services.upload(profile_id)
    backlog(services, first)
    services.delete.image(first.image_id, actor="t")
    published(services)
    services.clock.forward(hours=2)
    services.reconciler.run_once()
    assert published(services)[0] == ("nightlight.erase", ERASURE)


def test_a_picture_that_is_slow_by_its_header_is_in_the_background_and_stays_there(services, profile_id):
    slow = services.upload(profile_id, hostile.jpeg_scans(20))
    quick = services.upload(profile_id)
    assert sorted(published(services)) == [("nightlight.render", BACKGROUND), ("nightlight.render", UPLOAD)]
    with services.catalogue.reading() as tx:
        assert lane_before(tx, kinds.RENDER, slow.image_id) == BACKGROUND
        assert lane_before(tx, kinds.RENDER, quick.image_id) == UPLOAD
    services.clock.forward(hours=2)
    services.reconciler.run_once()
    assert ("nightlight.render", BACKGROUND) in published(services)


def test_a_heap_of_one_profiles_pictures_does_not_hold_up_anothers(services, profile_id):
    for seed in range(6):
        services.upload(profile_id, pictures.jpeg(8, 8, seed=seed))
    other = f"{profile_id}-other"
    services.declare.declare(other, Declaration("adult", "verified", "eu", "connections"), follow_band=False, actor="t")
    image = services.upload(other)
    with services.catalogue.reading() as tx:
        assert lane_before(tx, kinds.RENDER, image.image_id) == UPLOAD
        assert [tx.jobs.open_on(profile, kinds.RENDER.name) for profile in (profile_id, other)] == [6, 1]
    assert [lane for _, lane in published(services)] == [UPLOAD] * 4 + [BACKGROUND] * 3


def test_a_picture_beyond_the_bounds_is_refused_before_anything_of_it_is_stored(services, profile_id):
    before = services.objects()
    with pytest.raises(ImageTooComplex):
        services.upload(profile_id, hostile.jpeg_scans(1_000))
    assert services.objects() == before
    assert published(services) == []


def test_a_decoder_that_ran_out_of_time_is_asked_once_and_says_why(services, profile_id):
    tries = []

    def out_of_time(*_):
        tries.append(1)
        raise DecoderTooSlow("killed", how="SIGXCPU")

    image, services.draw = services.upload(profile_id), out_of_time
    assert services.deliver() == ["failed"]
    services.clock.forward(hours=2)
    services.reconciler.run_once()
    assert services.deliver() == []
    with services.catalogue.reading() as tx:
        row = tx.images.get(image.image_id)
    assert (len(tries), row.state, row.reason) == (1, images.FAILED, "decoder_too_slow")


def test_a_decoder_that_was_killed_otherwise_is_asked_three_times(services, profile_id):
    tries = []

    def killed(*_):
        tries.append(1)
        raise DecoderDied("killed", how="SIGKILL")

    image, services.draw = services.upload(profile_id), killed
    for _ in range(5):
        services.deliver()
        services.clock.forward(hours=2)
        services.reconciler.run_once()
    with services.catalogue.reading() as tx:
        row = tx.images.get(image.image_id)
    assert (len(tries), row.state, row.reason) == (3, images.FAILED, "decoder_sigkill")


def test_how_many_wait_and_how_long_is_known_for_each_lane(services, profile_id):
    services.upload(profile_id)
    services.clock.forward(seconds=90)
    second = services.upload(profile_id, pictures.jpeg(8, 8))
    services.delete.image(second.image_id, actor="t")
    services.clock.forward(seconds=10)
    with services.catalogue.reading() as tx:
        waiting = tx.jobs.waiting(services.clock(), but=())
    assert waiting == {RANKS[ERASURE]: (1, 10.0), RANKS[UPLOAD]: (2, 100.0)}
