"""A deactivated account over a real catalogue and store: kept whole, shown to nobody, and back without an upload."""

import pytest
from sqlalchemy import select

from nightlight.catalogue import images, profiles
from nightlight.catalogue.profiles import Declaration
from nightlight.catalogue.schema import blocks, events, proof_revocations
from nightlight.delivery.object_names import ObjectNames
from nightlight.delivery.purge import EdgePurge
from nightlight.flows.decisions.blocks import BlockViewers
from nightlight.flows.decisions.change_feed import ChangeFeedPoller
from nightlight.flows.pictures.deactivate import DeactivateProfile
from nightlight.flows.pictures.revoke import RevokeUrls, RotateNames
from nightlight.flows.retention.legal_holds import PlaceHolds
from nightlight.jobs.runner import JobRunner
from nightlight_core.decisions.profile_views import ProfileView, ProfileViewCache
from nightlight_core.errors import IdempotencyMismatch, NotFound, ProfileDeactivated, ProfileNotDeclared
from tests.support import pictures

pytestmark = pytest.mark.integration


@pytest.fixture
def account(services, profile_id):
    """A profile with a ready image, and what is done to it."""
    catalogue, clock = services.catalogue, services.clock
    runner = JobRunner(catalogue, services.limits, clock)
    edge = EdgePurge(None, token=None, timeout_s=1)
    services.rename = RotateNames(runner, services.renditions, ObjectNames(bytes(32)), edge)
    services.deactivation = DeactivateProfile(catalogue, clock)
    services.revoke, services.block = RevokeUrls(catalogue, clock), BlockViewers(catalogue, clock)
    services.holds = PlaceHolds(catalogue, clock)
    views = ProfileViewCache(most=100, stale_s=1)
    services.change_feed = ChangeFeedPoller(catalogue, views, picture_bytes=10**6, assertion_days=30, poll_s=1)
    services.change_feed.poll()
    image_id = services.upload(profile_id).image_id
    assert deliver(services) == ["ready"]
    return profile_id, image_id


def deliver(services):
    services.relay.run_once()
    sent, services.sent[:] = list(services.sent), []
    run = {
        "nightlight.render": services.render.run, "nightlight.erase": services.erase.run,
        "nightlight.rotate_names": services.rename.run,
    }  # fmt: skip
    return [run[task](job_id, redelivered=False) for task, job_id in sent if task in run]


def view(services, profile_id):
    (read,) = services.change_feed.read([profile_id], keep=False)
    return read


def names(services, image_id):
    with services.catalogue.reading() as tx:
        return {row.name for row in tx.images.renditions(image_id)}


def profile(services, profile_id):
    with services.catalogue.reading() as tx:
        return tx.profiles.get(profile_id)


def rows(services, table, profile_id):
    with services.catalogue.reading() as tx:
        return tx.connection.execute(select(table).where(table.c.profile_id == profile_id)).all()


def last_audited(services):
    with services.catalogue.reading() as tx:
        return tx.connection.exec_driver_sql("SELECT event, actor FROM audit ORDER BY entry_id DESC LIMIT 1").one()


def test_it_is_as_unknown_as_a_profile_that_nobody_declared_and_all_of_it_is_kept(services, account):
    profile_id, image_id = account
    (shown,) = services.change_feed.read([profile_id])
    assert shown.known
    given, original = names(services, image_id), services.originals.store.keys()
    objects = set(original)
    services.deactivation.deactivate(profile_id, actor="platform")
    assert view(services, profile_id) == ProfileView(profile_id)
    # What was given out is refused, and what is in memory is forgotten, from the next look at the feed on.
    services.change_feed.poll()
    assert all(name in services.change_feed.revoked for name in given)
    assert services.change_feed.views.find([profile_id]) in ([None], [ProfileView(profile_id)])
    assert deliver(services) == ["rotated"]
    assert names(services, image_id).isdisjoint(given)
    assert len(services.shown()) == len(given)
    assert set(services.originals.store.keys()) == objects
    assert services.state(image_id) == images.READY
    assert view(services, profile_id) == ProfileView(profile_id)
    assert last_audited(services) == ("profile.deactivated", "platform")
    assert rows(services, events, profile_id)


def test_it_comes_back_without_an_upload_under_names_that_nobody_was_given(services, account):
    profile_id, image_id = account
    before, given = view(services, profile_id), names(services, image_id)
    services.deactivation.deactivate(profile_id, actor="t")
    assert deliver(services) == ["rotated"]
    services.clock.forward(days=20)
    notices = len(rows(services, events, profile_id))
    number = services.deactivation.reactivate(profile_id, actor="platform")
    assert last_audited(services) == ("profile.reactivated", "platform")
    with services.catalogue.reading() as tx:
        assert tx.audit.has(number)
    assert len(rows(services, events, profile_id)) == notices + 1
    after = view(services, profile_id)
    assert (after.known, after.image_id, after.available.keys()) == (True, image_id, before.available.keys())
    paths = {rendition.path for tier in after.available.values() for rendition in tier}
    assert not any(name in path for path in paths for name in given)
    assert profile(services, profile_id).deactivated_at is None


def test_it_comes_back_as_a_placeholder_until_its_names_are_new(services, account):
    profile_id, _ = account
    services.deactivation.deactivate(profile_id, actor="t")
    services.deactivation.reactivate(profile_id, actor="t")
    assert not view(services, profile_id).available
    assert deliver(services) == ["rotated"]
    assert view(services, profile_id).available


def test_what_is_said_twice_changes_nothing_and_the_days_count_from_the_first_time(services, account):
    profile_id, _ = account
    services.deactivation.reactivate(profile_id, actor="t")
    assert deliver(services) == []
    services.deactivation.deactivate(profile_id, actor="t")
    since = profile(services, profile_id)
    deliver(services)
    services.clock.forward(days=3)
    services.deactivation.deactivate(profile_id, actor="t")
    assert deliver(services) == []
    assert profile(services, profile_id) == since
    services.deactivation.reactivate(profile_id, actor="t")
    services.deactivation.deactivate(profile_id, actor="t")
    assert profile(services, profile_id).deactivated_at == services.clock()


def test_what_is_not_there_is_neither_deactivated_nor_reactivated(services, account):
    profile_id, _ = account
    services.delete.profile(profile_id, actor="t")
    for unknown in ("nobody-at-all", profile_id):
        with pytest.raises(NotFound):
            services.deactivation.deactivate(unknown, actor="t")
        with pytest.raises(NotFound):
            services.deactivation.reactivate(unknown, actor="t")


def test_an_upload_is_refused_with_the_reason_and_a_repeated_one_is_answered(services, account):
    profile_id, _ = account
    data = pictures.jpeg(200, 200, seed=3)
    accepted = services.upload(profile_id, data, key="k")
    services.deactivation.deactivate(profile_id, actor="t")
    objects = set(services.objects())
    with pytest.raises(ProfileDeactivated, match="deactivated"):
        services.upload(profile_id)
    assert set(services.objects()) == objects
    assert services.upload(profile_id, data, key="k").image_id == accepted.image_id
    with pytest.raises(IdempotencyMismatch):
        services.upload(profile_id, key="k")
    services.delete.profile(profile_id, actor="t")
    with pytest.raises(ProfileNotDeclared):
        services.upload(profile_id)


def test_a_picture_that_was_on_its_way_is_rendered_and_shown_to_nobody_before_it_is_back(services, account):
    profile_id, old = account
    new = services.upload(profile_id, pictures.jpeg(200, 200, seed=4)).image_id
    services.deactivation.deactivate(profile_id, actor="t")
    assert sorted(deliver(services)) == ["ready", "rotated"]
    assert [services.state(image) for image in (old, new)] == [images.SUPERSEDED, images.READY]
    assert view(services, profile_id) == ProfileView(profile_id)
    services.deactivation.reactivate(profile_id, actor="t")
    assert view(services, profile_id).image_id == new


def test_an_upload_that_was_being_stored_meanwhile_is_kept_too(services, account):
    profile_id, _ = account
    put = services.originals.store.put

    def deactivated_meanwhile(*args, **kwargs):
        services.deactivation.deactivate(profile_id, actor="t")
        return put(*args, **kwargs)

    services.originals.store.put = deactivated_meanwhile
    image = services.upload(profile_id, pictures.jpeg(200, 200, seed=5))
    assert services.state(image.image_id) == images.PENDING
    assert view(services, profile_id) == ProfileView(profile_id)


def test_a_declaration_does_not_bring_it_back_and_counts_when_it_is(services, account):
    profile_id, _ = account
    services.deactivation.deactivate(profile_id, actor="t")
    deliver(services)
    declaration = Declaration("under_13", "verified", "eu", "hidden")
    updated, new, _ = services.declare.declare(profile_id, declaration, follow_band=False, actor="t")
    assert (updated.state, new, updated.band) == (profiles.DEACTIVATED, False, "under_13")
    assert view(services, profile_id) == ProfileView(profile_id)
    deliver(services)
    services.deactivation.reactivate(profile_id, actor="t")
    back = view(services, profile_id)
    assert (back.band, back.choice, back.effective_ceiling) == ("under_13", "hidden", "under_13")


def test_blocks_reports_and_revocations_take_effect_meanwhile(services, account):
    profile_id, image_id = account
    services.block.block(profile_id, "mallory", actor="t")
    services.deactivation.deactivate(profile_id, actor="t")
    deliver(services)
    given = names(services, image_id)
    services.block.block(profile_id, "trudy", actor="t")
    services.declare.set_report_flag(profile_id, "reported", actor="t")
    services.revoke.profile(profile_id, actor="t")
    deliver(services)
    assert names(services, image_id).isdisjoint(given)
    assert view(services, profile_id) == ProfileView(profile_id)
    services.deactivation.reactivate(profile_id, actor="t")
    back = view(services, profile_id)
    assert (back.blocked, back.report_flag) == ({"mallory", "trudy"}, "reported")
    assert back.revoked


def test_a_band_that_lapsed_meanwhile_is_read_as_unknown(services, account):
    profile_id, _ = account
    expires_at = view(services, profile_id).band_expires_at
    services.deactivation.deactivate(profile_id, actor="t")
    services.clock.forward(days=40)
    services.deactivation.reactivate(profile_id, actor="t")
    assert view(services, profile_id).band_expires_at == expires_at < services.clock().timestamp()


def test_a_hold_covers_it_and_outlasts_its_return(services, account):
    profile_id, image_id = account
    services.deactivation.deactivate(profile_id, actor="t")
    services.holds.place(profile_id=profile_id, kind="legal", reference="case 1", until=None, actor="t")
    assert services.state(image_id) == images.HELD
    services.deactivation.reactivate(profile_id, actor="t")
    assert not view(services, profile_id).available


def test_an_erasure_wins_and_nothing_of_it_or_its_relations_is_left(services, account):
    profile_id, image_id = account
    services.block.block(profile_id, "mallory", actor="t")
    services.revoke.profile(profile_id, actor="t")
    deliver(services)
    services.deactivation.deactivate(profile_id, actor="t")
    services.delete.profile(profile_id, actor="t")
    assert services.state(image_id) == images.DELETED
    assert "erased" in deliver(services)
    assert services.objects() == []
    assert rows(services, blocks, profile_id) == rows(services, proof_revocations, profile_id) == []
    gone = profile(services, profile_id)
    assert (gone.state, gone.deactivated_at) == (profiles.DELETED, None)
    declaration = Declaration("adult", "verified", "eu", "connections")
    again, new, _ = services.declare.declare(profile_id, declaration, follow_band=False, actor="t")
    assert (again.state, new, again.deactivated_at) == (profiles.LIVE, True, None)
