"""Which lane each thing is asked for in, that the relay goes by it, and that a decoder out of time is asked once."""

import pytest

from nightlight.catalogue import images
from nightlight.catalogue.profiles import Declaration
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue_many, lane_before
from nightlight.jobs.lanes import BACKGROUND, RANKS, UPLOAD, URGENT
from nightlight.jobs.relay import Relay
from nightlight_core.errors import DecoderDied, DecoderTooSlow, ImageTooComplex
from tests.support import hostile, pictures

pytestmark = pytest.mark.integration


def published(house):
    """What the relay sends, in its order: [(task, lane)]."""
    sent = []
    while Relay(house.catalogue, lambda task, _, lane: sent.append((task, lane)), house.clock).run_once():
        pass
    return sent


def backlog(house, image, count=130):
    """More renders than go into one batch, in the catalogue and in the outbox."""
    now = house.clock()
    with house.catalogue.transaction() as tx:
        enqueue_many(tx, kinds.RENDER, [image.image_id] * count, now)


def test_an_erasure_is_published_before_all_uploads_that_were_asked_for_before_it(house, profile_id):
    first = house.upload(profile_id)
    backlog(house, first)
    house.delete.image(first.image_id, actor="t")
    sent = published(house)
    assert sent[0] == ("nightlight.erase", URGENT)
    assert sent[1:] == [("nightlight.render", UPLOAD)] * 131


def test_what_was_lost_is_found_again_in_the_same_order(house, profile_id):
    first = house.upload(profile_id)
    backlog(house, first)
    house.delete.image(first.image_id, actor="t")
    published(house)
    house.clock.forward(hours=2)
    house.reconciler.run_once()
    assert published(house)[0] == ("nightlight.erase", URGENT)


def test_a_picture_that_is_slow_by_its_header_is_in_the_background_and_stays_there(house, profile_id):
    slow = house.upload(profile_id, hostile.jpeg_scans(20))
    quick = house.upload(profile_id)
    assert sorted(published(house)) == [("nightlight.render", BACKGROUND), ("nightlight.render", UPLOAD)]
    with house.catalogue.reading() as tx:
        assert lane_before(tx, kinds.RENDER, slow.image_id) == BACKGROUND
        assert lane_before(tx, kinds.RENDER, quick.image_id) == UPLOAD
    house.clock.forward(hours=2)
    house.reconciler.run_once()
    assert ("nightlight.render", BACKGROUND) in published(house)


def test_a_heap_of_one_profiles_pictures_does_not_hold_up_anothers(house, profile_id):
    for seed in range(6):
        house.upload(profile_id, pictures.jpeg(8, 8, seed=seed))
    other = f"{profile_id}-other"
    house.declare.declare(other, Declaration("adult", "verified", "eu", "connections"), follow_band=False, actor="t")
    image = house.upload(other)
    with house.catalogue.reading() as tx:
        assert lane_before(tx, kinds.RENDER, image.image_id) == UPLOAD
        assert [tx.jobs.open_on(one, kinds.RENDER.name) for one in (profile_id, other)] == [6, 1]
    assert [lane for _, lane in published(house)] == [UPLOAD] * 4 + [BACKGROUND] * 3


def test_a_picture_beyond_the_bounds_is_refused_before_anything_of_it_is_stored(house, profile_id):
    before = house.objects()
    with pytest.raises(ImageTooComplex):
        house.upload(profile_id, hostile.jpeg_scans(1_000))
    assert house.objects() == before
    assert published(house) == []


def test_a_decoder_that_ran_out_of_time_is_asked_once_and_says_why(house, profile_id):
    tries = []

    def out_of_time(*_):
        tries.append(1)
        raise DecoderTooSlow("killed", how="SIGXCPU")

    image, house.draw = house.upload(profile_id), out_of_time
    assert house.deliver() == ["failed"]
    house.clock.forward(hours=2)
    house.reconciler.run_once()
    assert house.deliver() == []
    with house.catalogue.reading() as tx:
        found = tx.images.get(image.image_id)
    assert (len(tries), found.state, found.reason) == (1, images.FAILED, "decoder_too_slow")


def test_a_decoder_that_was_killed_otherwise_is_asked_three_times(house, profile_id):
    tries = []

    def killed(*_):
        tries.append(1)
        raise DecoderDied("killed", how="SIGKILL")

    image, house.draw = house.upload(profile_id), killed
    for _ in range(5):
        house.deliver()
        house.clock.forward(hours=2)
        house.reconciler.run_once()
    with house.catalogue.reading() as tx:
        found = tx.images.get(image.image_id)
    assert (len(tries), found.state, found.reason) == (3, images.FAILED, "decoder_sigkill")


def test_how_many_wait_and_how_long_is_known_for_each_lane(house, profile_id):
    house.upload(profile_id)
    house.clock.forward(seconds=90)
    second = house.upload(profile_id, pictures.jpeg(8, 8))
    house.delete.image(second.image_id, actor="t")
    house.clock.forward(seconds=10)
    with house.catalogue.reading() as tx:
        waiting = tx.jobs.waiting(house.clock(), but=())
    assert waiting == {RANKS[URGENT]: (1, 10.0), RANKS[UPLOAD]: (2, 100.0)}
