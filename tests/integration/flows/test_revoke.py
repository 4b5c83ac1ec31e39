"""Revocation over a real catalogue and store: what was given out dies, whatever happens in between."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from nightlight.catalogue import images
from nightlight.catalogue.profiles import Declaration
from nightlight.catalogue.schema import events, rendition_hashes, revocations
from nightlight.delivery.object_names import ObjectNames
from nightlight.flows.decisions.blocks import BlockViewers
from nightlight.flows.decisions.change_feed import ChangeFeedPoller
from nightlight.flows.pictures.revoke import RevokeUrls, RotateNames
from nightlight.jobs.runner import JobRunner
from nightlight_core.decisions.profile_views import ProfileViewCache
from nightlight_core.errors import NotFound, StoreUnavailable, Unavailable

pytestmark = pytest.mark.integration


class Edge:
    """An edge that remembers what it was told to forget, or does not answer."""

    def __init__(self):
        self.forgotten, self.away = [], False

    def forget(self, keys):
        if self.away:
            raise Unavailable
        self.forgotten += keys


@pytest.fixture
def shown(house, profile_id):
    """A profile with a ready image, and what revokes."""
    house.edge = Edge()
    work = JobRunner(house.catalogue, house.limits, house.clock)
    house.rename = RotateNames(work, house.renditions, ObjectNames(bytes(32)), house.edge)
    house.revoke = RevokeUrls(house.catalogue, house.clock)
    house.block = BlockViewers(house.catalogue, house.clock)
    house.change_feed = watching(house.catalogue)
    house.revoked = house.change_feed.revoked
    image = house.upload(profile_id)
    assert deliver(house) == ["ready"]
    return profile_id, image.image_id


def watching(catalogue, poll_s=1):
    views = ProfileViewCache(most=100, stale_s=1)
    return ChangeFeedPoller(catalogue, views, picture_bytes=10**6, assertion_days=30, poll_s=poll_s)


def look(house):
    house.change_feed._all_names_at = float(
        "-inf"
    )  # as it is once a minute: those whose objects are gone are forgotten
    house.change_feed.poll()


def deliver(house):
    house.relay.run_once()
    sent, house.sent[:] = list(house.sent), []
    run = {
        "nightlight.render": house.render.run, "nightlight.erase": house.erase.run, "nightlight.rotate_names": house.rename.run,
    }  # fmt: skip
    return [run[task](job_id, redelivered=False) for task, job_id in sent]


def names(house, image_id):
    with house.catalogue.reading() as tx:
        return {row.name for row in tx.images.renditions(image_id)}


def count(house, table):
    with house.catalogue.reading() as tx:
        return len(tx.connection.execute(select(table)).all())


def keys(found):
    return sorted(f"a/{name}.webp" for name in found)


def visible(house, profile_id):
    (view,) = house.change_feed.read([profile_id])
    return [one.path.split("/")[-1].split(".")[0] for tier in view.available.values() for one in tier]


def test_a_revoked_picture_is_refused_at_once_and_shown_under_other_names(house, shown):
    profile_id, image_id = shown
    old = names(house, image_id)
    with house.catalogue.reading() as tx:
        hashes = {row.hash for row in tx.connection.execute(select(rendition_hashes))}
    house.revoke.profile(profile_id, actor="t")
    look(house)
    assert all(name in house.revoked for name in old)
    assert visible(house, profile_id) == []
    assert deliver(house) == ["rotated"]
    new = names(house, image_id)
    assert new.isdisjoint(old)
    assert len(new) == len(old)
    assert set(visible(house, profile_id)) == new
    assert house.shown() == keys(new)
    assert sorted(house.edge.forgotten) == keys(old)
    look(house)
    assert not any(name in house.revoked for name in old | new)
    with house.catalogue.reading() as tx:
        assert {row.hash for row in tx.connection.execute(select(rendition_hashes))} == hashes


def test_what_is_said_again_revokes_nothing_and_what_is_said_anew_does(house, shown):
    profile_id, image_id = shown
    said = Declaration("age_13_15", "verified", "eu", "connections")
    house.declare.declare(profile_id, said, follow_band=False, actor="t")
    assert deliver(house) == []
    for change, lost in (
        ({"choice": "hidden"}, {"tiny", "low", "medium"}),  # from outsiders and connections
        ({"region": "us_vt"}, {"tiny"}),  # from adults who are no connections
        ({"region": "uk"}, set()),
        ({"assurance": "none"}, set()),
        ({"region": "au"}, {"tiny", "low", "medium"}),
        ({"band": "under_13"}, {"low", "medium"}),  # from connections; the outsiders' own stays
    ):
        before = by_tier(house, image_id)
        house.declare.declare(profile_id, Declaration(**{**asdict_of(said), **change}), follow_band=False, actor="t")
        assert deliver(house) == ["rotated"] * bool(lost)
        after = by_tier(house, image_id)
        assert {tier for tier in before if before[tier] != after[tier]} == lost, change
        house.declare.declare(profile_id, said, follow_band=False, actor="t")  # it opens again: nothing is taken
        assert deliver(house) == []
        assert by_tier(house, image_id) == after


def by_tier(house, image_id):
    with house.catalogue.reading() as tx:
        return {row.tier: row.name for row in tx.images.renditions(image_id)}


def asdict_of(said):
    return {name: getattr(said, name) for name in ("band", "assurance", "region", "choice")}


def test_reports_and_blocks_revoke_and_taking_them_back_does_not(house, shown):
    profile_id, _ = shown
    for change, wanted in (
        (lambda: house.declare.set_report_flag(profile_id, "reported", actor="t"), ["rotated"]),
        (lambda: house.declare.set_report_flag(profile_id, "clear", actor="t"), []),
        (lambda: house.block.block(profile_id, "mallory", actor="t"), ["rotated"]),
        (lambda: house.block.block(profile_id, "mallory", actor="t"), []),
        (lambda: house.block.unblock(profile_id, "mallory", actor="t"), []),
    ):
        change()
        assert deliver(house) == wanted


def test_several_revocations_at_once_end_with_one_set_of_names_that_works(house, shown):
    profile_id, image_id = shown
    for _ in range(3):
        house.revoke.profile(profile_id, actor="t")
    while deliver(house):
        pass
    new = names(house, image_id)
    assert set(visible(house, profile_id)) == new
    assert house.shown() == keys(new)
    assert count(house, revocations.select().where(revocations.c.image_id == image_id).subquery()) == 0


def test_one_that_comes_while_the_last_is_carried_out_is_carried_out_too(house, shown):
    profile_id, image_id = shown
    getting, once = house.renditions.store.get, []

    def revoked_meanwhile(*arguments, **named):
        if not once:
            once.append(1)
            house.revoke.profile(profile_id, actor="t")
        return getting(*arguments, **named)

    house.renditions.store.get = revoked_meanwhile
    house.revoke.profile(profile_id, actor="t")
    while deliver(house):
        pass
    new = names(house, image_id)
    assert set(visible(house, profile_id)) == new
    look(house)
    assert not any(name in house.revoked for name in new)
    assert house.shown() == keys(new)


def test_while_the_store_or_the_edge_is_away_it_waits_and_nothing_is_shown_that_should_not_be(house, shown):
    profile_id, image_id = shown
    old = names(house, image_id)
    house.renditions.off = {"get"}
    house.revoke.profile(profile_id, actor="t")
    assert deliver(house) == ["later"]
    assert visible(house, profile_id) == []
    house.renditions.off, house.edge.away = set(), True
    house.clock.forward(minutes=5)
    house.reconciler.run_once()
    assert deliver(house) == ["later"]
    look(house)
    assert all(name in house.revoked for name in old)
    house.edge.away = False
    house.clock.forward(minutes=5)
    house.reconciler.run_once()
    assert deliver(house) == ["rotated"]
    assert sorted(house.edge.forgotten) == keys(old)
    assert set(visible(house, profile_id)) == names(house, image_id)


def test_a_picture_that_is_revoked_while_it_is_made_is_named_anew(house, shown):
    profile_id, _ = shown
    drawing = house.draw

    def revoked_meanwhile(*asked):
        house.revoke.profile(profile_id, actor="t")
        return drawing(*asked)

    house.draw = revoked_meanwhile
    image = house.upload(profile_id)
    house.draw = revoked_meanwhile
    assert deliver(house) == ["ready"]
    house.draw = drawing
    while deliver(house):
        pass
    assert set(visible(house, profile_id)) == names(house, image.image_id)
    assert len(visible(house, profile_id)) > 0


def test_a_deleted_picture_is_refused_at_once_and_then_gone_from_the_edge(house, shown):
    _, image_id = shown
    old = names(house, image_id)
    house.delete.image(image_id, actor="t")
    look(house)
    assert all(name in house.revoked for name in old)
    assert deliver(house) == ["erased"]
    look(house)
    assert not any(name in house.revoked for name in old)
    assert house.state(image_id) == images.DELETED


def test_a_replaced_picture_dies_with_the_rest(house, shown):
    profile_id, first = shown
    old = names(house, first)
    second = house.upload(profile_id)
    assert deliver(house) == ["ready"]
    house.revoke.profile(profile_id, actor="t")
    assert sorted(deliver(house)) == ["deleted", "rotated"]
    assert house.shown() == keys(names(house, second.image_id))
    assert set(keys(old)) <= set(house.edge.forgotten)


def test_nobody_can_be_revoked_who_is_not_there(house, shown):
    with pytest.raises(NotFound):
        house.revoke.profile("nobody", actor="t")


def test_each_change_is_told_of_once(house, shown):
    profile_id, image_id = shown
    mine = events.select().where(events.c.profile_id == profile_id).subquery()
    assert count(house, mine) == 0
    house.revoke.profile(profile_id, actor="t")
    assert count(house, mine) == 1
    house.delete.image(image_id, actor="t")
    assert count(house, mine) == 2
    with house.catalogue.transaction() as tx:
        claimed = tx.events.claim(house.clock() + timedelta(seconds=1), limit=1000, claim_s=60)
        assert tx.events.claim(house.clock() + timedelta(seconds=2), limit=1000, claim_s=60) == []
    assert {event.profile_id for event in claimed} >= {profile_id}


def test_names_that_cannot_be_looked_up_stay_as_they_were(house, shown):
    profile_id, image_id = shown
    house.revoke.profile(profile_id, actor="t")
    look(house)

    class Away:
        def reading(self):
            raise StoreUnavailable

    stop = threading.Event()
    poller = watching(Away(), poll_s=0.01)
    poller.revoked.add(house.revoked._names, every=True)
    threading.Timer(0.05, stop.set).start()
    poller.run(stop)
    assert all(name in poller.revoked for name in names(house, image_id))
    assert not poller.views.fresh
