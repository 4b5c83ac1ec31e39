"""Whoever reviews a notice's matches sees both pictures softened, for hours, and nothing that is locked away or gone."""

import io
from datetime import timedelta

import numpy as np
import pytest
from PIL import Image, ImageOps

from nightlight.catalogue import images, takedown_reviews
from nightlight.catalogue.schema import images as images_table
from nightlight.flows.retention.expiry import Expiry
from nightlight.imaging import notice_views
from nightlight.imaging.review_picture import CANVAS, MOST_PX
from nightlight_core.errors import Conflict, NotFound
from nightlight_core.ids import REVIEWED, SOFTENED
from tests.support import pictures
from tests.support.flow_container import HASHER
from tests.support.lists import LISTED
from tests.support.takedown_world import NOTICE, TakedownWorld, begin_afresh, jpeg

pytestmark = pytest.mark.integration


@pytest.fixture
def world(services, tmp_path, pipeline, monkeypatch):
    begin_afresh(services)
    services.recipes = services.recipes[:1]
    monkeypatch.setattr(notice_views, "STEP", 0.1)
    return TakedownWorld(services, tmp_path, pipeline, monkeypatch)


@pytest.fixture
def picture():
    return pictures.opened(pictures.photograph(LISTED)).convert("RGB")


@pytest.fixture
def named(world, picture, profile_id):
    return world.upload(f"{profile_id}-a", jpeg(picture))


@pytest.fixture
def notice(world, picture, named):
    """A notice with a picture of its own, whose only match is the named image."""
    takedown_id = world.notice_on_picture(jpeg(ImageOps.mirror(picture), 60))
    world.work()
    return takedown_id


def reviewed(world, takedown_id):
    """Ask for the pictures and have them made; return the review."""
    world.look.ask(takedown_id, actor="r")
    world.work()
    return world.look.status(takedown_id)


def looked(world, takedown_id, row):
    return world.look.give(takedown_id, row.review_id, actor="r")


def stored(world):
    return {*world.services.originals.store.keys(SOFTENED), *world.reviews.store.keys(REVIEWED)}


def expire(world):
    Expiry(world.catalogue, 24, 30, world.clock, HASHER).run_once()
    world.work()


def test_both_pictures_are_softened_and_tell_the_same_picture(world, picture, named, notice):
    review = reviewed(world, notice)
    (entry,) = review.matches
    assert (entry.match.image_id, review.waiting) == (named, [entry])
    seen = [
        np.asarray(Image.open(io.BytesIO(looked(world, notice, row))), float) for row in (review.picture, entry.picture)
    ]
    for pixels in seen:
        assert pixels.shape == (CANVAS, CANVAS, 3)
        small = Image.fromarray(pixels.astype(np.uint8)).resize((MOST_PX, MOST_PX), Image.Resampling.LANCZOS)
        again = np.asarray(small.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC), float)
        assert np.sqrt(((pixels - again) ** 2).mean()) < 4  # nothing in it is finer than the grid
    notice_seen, match_seen = seen  # the notice's picture is mirrored
    assert np.abs(notice_seen[:, ::-1] - match_seen).mean() < 8 < np.abs(notice_seen - match_seen).mean()


def test_whoever_asks_as_soon_as_a_notice_stands_finds_its_picture(world, picture, named):
    takedown_id = world.notice_on_picture(jpeg(ImageOps.mirror(picture), 60))
    world.services.relay.run_once()
    ((_, job_id),) = [sent for sent in world.services.sent if sent[0] == "nightlight.takedown"]
    world.services.sent.clear()
    assert world.run.run(job_id, redelivered=False) == "in_force"  # and no job of what follows from it
    assert world.review.status(takedown_id).takedown.copy_key.startswith(SOFTENED)
    assert reviewed(world, takedown_id).picture.state == takedown_reviews.READY


def test_who_asked_and_who_looked_is_in_the_audit_log(world, named, notice):
    review = reviewed(world, notice)
    looked(world, notice, review.matches[0].picture)
    with world.catalogue.reading() as tx:
        events = [(entry.event, entry.actor) for entry in tx.audit.of_image(named)]
    assert ("takedown.picture_read", "r") in events


def test_pictures_are_made_once_and_only_for_matches_that_wait(world, picture, named, notice, profile_id):
    first = reviewed(world, notice)
    assert reviewed(world, notice).picture == first.picture
    world.review.clear(notice, named, actor="r")
    copy = world.upload(f"{profile_id}-b", jpeg(picture, 50))
    world.clock.forward(hours=5)
    expire(world)
    by_image = {entry.match.image_id: entry.picture for entry in reviewed(world, notice).matches}
    assert (by_image[copy].state, by_image[named]) == (takedown_reviews.READY, None)


def test_after_its_hours_a_picture_is_given_to_nobody_and_its_object_is_deleted(world, notice):
    review = reviewed(world, notice)
    assert len(stored(world)) == 3
    world.clock.forward(hours=world.limits.review_hours, seconds=1)
    with pytest.raises(NotFound):
        looked(world, notice, review.picture)
    expire(world)
    assert [key.startswith(SOFTENED) for key in stored(world)] == [True]
    with world.catalogue.reading() as tx:
        assert tx.takedown_reviews.get(review.picture.review_id) is None
    assert looked(world, notice, reviewed(world, notice).picture)  # and it may be asked for again


def test_with_the_image_its_softened_picture_goes_at_once(world, named, notice):
    (entry,) = reviewed(world, notice).matches
    world.services.delete.image(named, actor="t")
    with pytest.raises(NotFound):
        looked(world, notice, entry.picture)
    world.work()
    assert entry.picture.object_key not in stored(world)


def test_with_the_notice_everything_goes(world, notice):
    review = reviewed(world, notice)
    world.review.undo(notice, why="another picture", actor="r")
    world.work()
    assert not stored(world)
    with pytest.raises(NotFound):
        looked(world, notice, review.picture)
    with pytest.raises(Conflict):
        world.look.ask(notice, actor="r")


def test_what_was_removed_while_it_was_made_is_left_nowhere(world, named, notice, monkeypatch):
    soften = world.softened.soften

    def meanwhile(data):
        world.services.delete.image(named, actor="t")
        return soften(data)

    object.__setattr__(world.softened, "soften", meanwhile)
    world.look.ask(notice, actor="r")
    world.work()
    assert {key for key in stored(world) if key.startswith(REVIEWED)} == {world.look.status(notice).picture.object_key}


def test_an_image_under_a_hold_is_shown_to_no_reviewer(world, named, notice):
    world.look.ask(notice, actor="r")
    with world.catalogue.transaction() as tx:
        tx.connection.execute(images_table.update().where(images_table.c.image_id == named).values(state=images.HELD))
    world.work()
    (entry,) = world.look.status(notice).matches
    assert (entry.picture.state, entry.picture.reason) == (takedown_reviews.FAILED, "object_missing")
    with pytest.raises(NotFound):
        looked(world, notice, entry.picture)


def test_a_picture_of_another_notice_is_not_given(world, named, notice):
    row = reviewed(world, notice).picture
    other = world.place.of_image(named, NOTICE, actor="safety").takedown_id
    world.work()
    with pytest.raises(NotFound):
        looked(world, other, row)


def test_an_image_that_a_person_confirmed_stands_for_a_picture_that_is_not_kept_any_more(world, named, notice):
    world.review.confirm(notice, named, actor="r")
    world.work()
    world.clock.forward(days=31)
    expire(world)
    assert not stored(world)
    assert reviewed(world, notice).picture.image_id == named


def test_without_a_picture_that_stands_for_the_notice_there_is_none(world, notice):
    world.clock.forward(days=31)
    expire(world)
    review = reviewed(world, notice)
    assert (review.picture, review.matches[0].picture.state) == (None, takedown_reviews.READY)


def test_workers_make_so_many_in_an_hour_and_the_others_wait(world, notice):
    object.__setattr__(world.softened, "limits", world.limits.model_copy(update={"reviews_per_hour": 1}))
    world.look.ask(notice, actor="r")
    endings = world.work()
    assert sorted(ending for ending in endings if ending in {"ready", "later"}) == ["later", "ready"]


def test_a_picture_that_was_asked_for_and_not_made_in_time_is_given_up(world, notice):
    world.look.ask(notice, actor="r")
    world.services.sent.clear()
    world.services.relay.run_once()
    world.services.sent.clear()
    world.clock.now += timedelta(hours=2)
    expire(world)
    assert world.look.status(notice).picture is None
