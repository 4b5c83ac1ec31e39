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
def shown(services, profile_id):
    """A profile with a ready image, and what revokes."""
    services.edge = Edge()
    work = JobRunner(services.catalogue, services.limits, services.clock)
    services.rename = RotateNames(work, services.renditions, ObjectNames(bytes(32)), services.edge)
    services.revoke = RevokeUrls(services.catalogue, services.clock)
    services.block = BlockViewers(services.catalogue, services.clock)
    services.change_feed = watching(services.catalogue)
    services.revoked = services.change_feed.revoked
    image = services.upload(profile_id)
    assert deliver(services) == ["ready"]
    return profile_id, image.image_id


def watching(catalogue, poll_s=1):
    views = ProfileViewCache(most=100, stale_s=1)
    return ChangeFeedPoller(catalogue, views, picture_bytes=10**6, assertion_days=30, poll_s=poll_s)


def look(services):
    services.change_feed._all_names_at = float(
        "-inf"
    )  # as it is once a minute: those whose objects are gone are forgotten
    services.change_feed.poll()


def deliver(services):
    services.relay.run_once()
    sent, services.sent[:] = list(services.sent), []
    run = {
        "nightlight.render": services.render.run, "nightlight.erase": services.erase.run, "nightlight.rotate_names": services.rename.run,
    }  # fmt: skip
    return [run[task](job_id, redelivered=False) for task, job_id in sent]


def names(services, image_id):
    with services.catalogue.reading() as tx:
        return {row.name for row in tx.images.renditions(image_id)}


def count(services, table):
    with services.catalogue.reading() as tx:
        return len(tx.connection.execute(select(table)).all())


def keys(names):
    return sorted(f"a/{name}.webp" for name in names)


def visible(services, profile_id):
    (view,) = services.change_feed.read([profile_id])
    return [rendition.path.split("/")[-1].split(".")[0] for tier in view.available.values() for rendition in tier]


def test_a_revoked_picture_is_refused_at_once_and_shown_under_other_names(services, shown):
    profile_id, image_id = shown
    old = names(services, image_id)
    with services.catalogue.reading() as tx:
        hashes = {row.hash for row in tx.connection.execute(select(rendition_hashes))}
    services.revoke.profile(profile_id, actor="t")
    look(services)
    assert all(name in services.revoked for name in old)
    assert visible(services, profile_id) == []
    assert deliver(services) == ["rotated"]
    new = names(services, image_id)
    assert new.isdisjoint(old)
    assert len(new) == len(old)
    assert set(visible(services, profile_id)) == new
    assert services.shown() == keys(new)
    assert sorted(services.edge.forgotten) == keys(old)
    look(services)
    assert not any(name in services.revoked for name in old | new)
    with services.catalogue.reading() as tx:
        assert {row.hash for row in tx.connection.execute(select(rendition_hashes))} == hashes


def test_what_is_said_again_revokes_nothing_and_what_is_said_differently_does(services, shown):
    profile_id, image_id = shown
    declaration = Declaration("age_13_15", "verified", "eu", "connections")
    services.declare.declare(profile_id, declaration, follow_band=False, actor="t")
    assert deliver(services) == []
    for change, lost in (
        ({"choice": "hidden"}, {"tiny", "low", "medium"}),  # from outsiders and connections
        ({"region": "us_vt"}, {"tiny"}),  # from adults who are no connections
        ({"region": "uk"}, {"tiny"}),  # from lists of people who are no connections
        ({"region": "us"}, set()),
        ({"assurance": "none"}, {"low", "medium"}),  # an unknown age counts as under 13
        ({"region": "au"}, {"tiny", "low", "medium"}),
        ({"band": "under_13"}, {"low", "medium"}),  # from connections; the outsiders' own stays
    ):
        before = by_tier(services, image_id)
        services.declare.declare(
            profile_id, Declaration(**{**asdict_of(declaration), **change}), follow_band=False, actor="t"
        )
        assert deliver(services) == ["rotated"] * bool(lost)
        after = by_tier(services, image_id)
        assert {tier for tier in before if before[tier] != after[tier]} == lost, change
        services.declare.declare(
            profile_id, declaration, follow_band=False, actor="t"
        )  # it opens again: nothing is taken
        assert deliver(services) == []
        assert by_tier(services, image_id) == after


def by_tier(services, image_id):
    with services.catalogue.reading() as tx:
        return {row.tier: row.name for row in tx.images.renditions(image_id)}


def asdict_of(declaration):
    return {name: getattr(declaration, name) for name in ("band", "assurance", "region", "choice")}


def test_reports_and_blocks_revoke_and_taking_them_back_does_not(services, shown):
    profile_id, _ = shown
    for change, wanted in (
        (lambda: services.declare.set_report_flag(profile_id, "reported", actor="t"), ["rotated"]),
        (lambda: services.declare.set_report_flag(profile_id, "clear", actor="t"), []),
        (lambda: services.block.block(profile_id, "mallory", actor="t"), ["rotated"]),
        (lambda: services.block.block(profile_id, "mallory", actor="t"), []),
        (lambda: services.block.unblock(profile_id, "mallory", actor="t"), []),
    ):
        change()
        assert deliver(services) == wanted


def test_several_revocations_at_once_end_with_one_set_of_names_that_works(services, shown):
    profile_id, image_id = shown
    for _ in range(3):
        services.revoke.profile(profile_id, actor="t")
    while deliver(services):
        pass
    new = names(services, image_id)
    assert set(visible(services, profile_id)) == new
    assert services.shown() == keys(new)
    assert count(services, revocations.select().where(revocations.c.image_id == image_id).subquery()) == 0


def test_one_that_comes_while_the_last_is_carried_out_is_carried_out_too(services, shown):
    profile_id, image_id = shown
    getting, once = services.renditions.store.get, []

    def revoked_meanwhile(*arguments, **named):
        if not once:
            once.append(1)
            services.revoke.profile(profile_id, actor="t")
        return getting(*arguments, **named)

    services.renditions.store.get = revoked_meanwhile
    services.revoke.profile(profile_id, actor="t")
    while deliver(services):
        pass
    new = names(services, image_id)
    assert set(visible(services, profile_id)) == new
    look(services)
    assert not any(name in services.revoked for name in new)
    assert services.shown() == keys(new)


def test_while_the_store_or_the_edge_is_away_it_waits_and_nothing_is_shown_that_should_not_be(services, shown):
    profile_id, image_id = shown
    old = names(services, image_id)
    services.renditions.off = {"get"}
    services.revoke.profile(profile_id, actor="t")
    assert deliver(services) == ["later"]
    assert visible(services, profile_id) == []
    services.renditions.off, services.edge.away = set(), True
    services.clock.forward(minutes=5)
    services.reconciler.run_once()
    assert deliver(services) == ["later"]
    look(services)
    assert all(name in services.revoked for name in old)
    services.edge.away = False
    services.clock.forward(minutes=5)
    services.reconciler.run_once()
    assert deliver(services) == ["rotated"]
    assert sorted(services.edge.forgotten) == keys(old)
    assert set(visible(services, profile_id)) == names(services, image_id)


def test_a_picture_that_is_revoked_while_it_is_made_is_renamed(services, shown):
    profile_id, _ = shown
    drawing = services.draw

    def revoked_meanwhile(*asked):
        services.revoke.profile(profile_id, actor="t")
        return drawing(*asked)

    services.draw = revoked_meanwhile
    image = services.upload(profile_id)
    services.draw = revoked_meanwhile
    assert deliver(services) == ["ready"]
    services.draw = drawing
    while deliver(services):
        pass
    assert set(visible(services, profile_id)) == names(services, image.image_id)
    assert len(visible(services, profile_id)) > 0


def test_a_deleted_picture_is_refused_at_once_and_then_gone_from_the_edge(services, shown):
    _, image_id = shown
    old = names(services, image_id)
    services.delete.image(image_id, actor="t")
    look(services)
    assert all(name in services.revoked for name in old)
    assert deliver(services) == ["erased"]
    look(services)
    assert not any(name in services.revoked for name in old)
    assert services.state(image_id) == images.DELETED


def test_a_replaced_picture_dies_with_the_rest(services, shown):
    profile_id, first = shown
    old = names(services, first)
    second = services.upload(profile_id)
    assert deliver(services) == ["ready"]
    services.revoke.profile(profile_id, actor="t")
    assert sorted(deliver(services)) == ["deleted", "rotated"]
    assert services.shown() == keys(names(services, second.image_id))
    assert set(keys(old)) <= set(services.edge.forgotten)


def test_nobody_can_be_revoked_who_is_not_there(services, shown):
    with pytest.raises(NotFound):
        services.revoke.profile("nobody", actor="t")


def test_each_change_is_told_of_once(services, shown):
    profile_id, image_id = shown
    own_events = events.select().where(events.c.profile_id == profile_id).subquery()
    assert count(services, own_events) == 0
    services.revoke.profile(profile_id, actor="t")
    assert count(services, own_events) == 1
    services.delete.image(image_id, actor="t")
    assert count(services, own_events) == 2
    with services.catalogue.transaction() as tx:
        claimed = tx.events.claim(services.clock() + timedelta(seconds=1), limit=1000, claim_s=60)
        assert tx.events.claim(services.clock() + timedelta(seconds=2), limit=1000, claim_s=60) == []
    assert {event.profile_id for event in claimed} >= {profile_id}


def test_names_that_cannot_be_looked_up_stay_as_they_were(services, shown):
    profile_id, image_id = shown
    services.revoke.profile(profile_id, actor="t")
    look(services)

    class Away:
        def reading(self):
            raise StoreUnavailable

    stop = threading.Event()
    poller = watching(Away(), poll_s=0.01)
    poller.revoked.add(services.revoked._names, every=True)
    threading.Timer(0.05, stop.set).start()
    poller.run(stop)
    assert all(name in poller.revoked for name in names(services, image_id))
    assert not poller.views.fresh
