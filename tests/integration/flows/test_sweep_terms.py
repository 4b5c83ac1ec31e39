"""Deactivated accounts go on their day, and what is in quarantine by the region of its profile: nothing sooner."""

import pytest

from nightlight.catalogue import image_states, images, profiles
from nightlight.catalogue.deletions_due import DeletionsDue
from nightlight.catalogue.hash_list_matches import CONFIRMED
from nightlight.catalogue.profiles import Declaration
from nightlight.catalogue.schema import blocks, jobs
from nightlight.flows.decisions.blocks import BlockViewers
from nightlight.flows.pictures.deactivate import DeactivateProfile
from nightlight.flows.pictures.delete import StillDue
from nightlight.flows.pictures.hash_list_matches import ReviewMatches
from nightlight.flows.retention.legal_holds import PlaceHolds
from nightlight.flows.retention.tags import count_objects
from nightlight.jobs import kinds
from nightlight_core.errors import NotFound
from tests.support import pictures

pytestmark = pytest.mark.integration
DAYS = 180  # of a deactivated account, in the default pack


@pytest.fixture
def deactivation(services):
    return DeactivateProfile(services.catalogue, services.clock)


@pytest.fixture
def account(services, profile_id):
    image_id = services.upload(profile_id).image_id
    assert "ready" in services.deliver()
    return profile_id, image_id


def declared(services, profile_id, band="age_13_15", region="eu"):
    declaration = Declaration(band, "verified", region, "connections")
    services.declare.declare(profile_id, declaration, follow_band=False, actor="t")


def profile(services, profile_id):
    with services.catalogue.reading() as tx:
        return tx.profiles.get(profile_id)


def quarantined(services, profile_id, seed=1):
    """An image in quarantine, found on a list at this moment."""
    image_id = services.upload(profile_id, pictures.jpeg(200, 200, seed=seed)).image_id
    with services.catalogue.transaction() as tx:
        tx.hash_list_matches.add(image_id, [("a", f"r-{seed}", 3)], services.clock())
        image_states.change(
            tx, image_states.QUARANTINE, image_id, services.clock(), image_states.StateChange("t", reason="listed")
        )
    return image_id


def swept(services, sweep, profile_id):
    """Whether a sweep has deleted the account; other tests' accounts may be due as well."""
    sweep.batch()
    left = profile(services, profile_id)  # without pictures its row goes at once
    return left is None or left.state == profiles.DELETED


def erased(services):
    services.relay.run_once()
    sent, services.sent[:] = list(services.sent), []
    return [services.erase.run(job, redelivered=False) for task, job in sent if task == "nightlight.erase"]


@pytest.mark.parametrize("band", ["adult", "age_16_17", "under_13", "unknown"])
def test_an_account_is_kept_for_its_days_and_then_deleted_with_all_that_is_its_own(
    services, sweep, deactivation, account, band
):
    profile_id, image_id = account
    declared(services, profile_id, band)
    BlockViewers(services.catalogue, services.clock).block(profile_id, "mallory", actor="t")
    deactivation.deactivate(profile_id, actor="t")
    services.clock.forward(days=DAYS, seconds=-1)
    assert not swept(services, sweep, profile_id)
    assert services.state(image_id) == images.READY
    services.clock.forward(seconds=1)
    assert sweep.batch()["accounts"] >= 1
    assert (services.state(image_id), profile(services, profile_id).state) == (images.DELETED, profiles.DELETED)
    with services.catalogue.reading() as tx:
        original = tx.images.get(image_id).original_key
        assert [entry.actor for entry in tx.audit.of_image(image_id) if entry.event == "image.deleted"] == ["retention"]
        entry = tx.connection.exec_driver_sql("SELECT event, actor FROM audit ORDER BY entry_id DESC LIMIT 1").one()
        assert entry == ("profile.deleted", "retention")
        assert tx.connection.execute(blocks.select().where(blocks.c.profile_id == profile_id)).all() == []
    assert original in services.objects()
    assert "erased" in erased(services)
    assert original not in services.objects()
    assert sweep.batch()["accounts"] == 0


def test_an_account_without_a_picture_goes_too(services, sweep, deactivation, profile_id):
    deactivation.deactivate(profile_id, actor="t")
    services.clock.forward(days=DAYS)
    assert swept(services, sweep, profile_id)


def test_the_days_begin_anew_after_it_was_back(services, sweep, deactivation, account):
    profile_id, image_id = account
    deactivation.deactivate(profile_id, actor="t")
    services.clock.forward(days=DAYS - 1)
    deactivation.reactivate(profile_id, actor="t")
    services.clock.forward(days=2)
    assert not swept(services, sweep, profile_id)
    deactivation.deactivate(profile_id, actor="t")
    services.clock.forward(days=DAYS - 1)
    assert not swept(services, sweep, profile_id)
    assert services.state(image_id) == images.READY


def test_who_comes_back_while_the_sweep_is_at_it_keeps_everything(services, sweep, deactivation, account):
    profile_id, image_id = account
    deactivation.deactivate(profile_id, actor="t")
    before = services.clock()
    services.clock.forward(days=DAYS)
    deactivation.reactivate(profile_id, actor="t")
    for again in range(2):  # and once more when it was deactivated again
        with pytest.raises(NotFound):
            sweep.delete.image(image_id, actor="retention", due=StillDue((images.READY,), before))
        with pytest.raises(NotFound):
            sweep.delete.profile(profile_id, actor="retention", due=StillDue((images.READY,), before))
        if not again:
            deactivation.deactivate(profile_id, actor="t")
    assert services.state(image_id) == images.READY


@pytest.fixture
def meanwhile(monkeypatch):
    """Lets the sweep find only what one query finds, and something happen before it deletes that."""

    def arrange(name, act):
        original = getattr(DeletionsDue, name)

        def find(*args, **kwargs):
            due = original(*args, **kwargs)
            if due:
                act()
            return due

        for query in ("images", "deactivated_images", "accounts"):
            monkeypatch.setattr(DeletionsDue, query, find if query == name else lambda *_args, **_kwargs: [])

    return arrange


def matched(services, image_id):
    """A hash list has this image from now on."""
    with services.catalogue.transaction() as tx:
        tx.hash_list_matches.add(image_id, [("a", "r-9", 3)], services.clock())
        image_states.change(
            tx, image_states.QUARANTINE, image_id, services.clock(), image_states.StateChange("t", reason="listed")
        )


@pytest.mark.parametrize("query", ["accounts", "deactivated_images"])
def test_a_report_that_comes_while_the_sweep_is_at_it_keeps_everything(
    services, sweep, deactivation, account, meanwhile, query
):
    profile_id, image_id = account
    deactivation.deactivate(profile_id, actor="t")
    services.clock.forward(days=DAYS)
    meanwhile(query, lambda: services.declare.set_report_flag(profile_id, "reported", actor="t"))
    assert not swept(services, sweep, profile_id)
    assert services.state(image_id) == images.READY


@pytest.mark.parametrize("query", ["accounts", "deactivated_images"])
def test_a_match_that_comes_while_the_sweep_is_at_it_is_evidence(
    services, sweep, deactivation, account, meanwhile, query
):
    profile_id, image_id = account
    deactivation.deactivate(profile_id, actor="t")
    services.clock.forward(days=DAYS)
    meanwhile(query, lambda: matched(services, image_id))
    assert not swept(services, sweep, profile_id)
    assert services.state(image_id) == images.QUARANTINED


def test_a_match_of_what_was_replaced_is_evidence_too(services, sweep, account, meanwhile):
    profile_id, old = account
    services.upload(profile_id, pictures.jpeg(200, 200, seed=2))
    services.deliver()
    assert services.state(old) == images.SUPERSEDED
    services.clock.forward(days=8)
    meanwhile("images", lambda: services.state(old) == images.SUPERSEDED and matched(services, old))
    sweep.batch()
    assert services.state(old) == images.QUARANTINED


def test_what_was_replaced_keeps_its_own_days(services, sweep, deactivation, account):
    profile_id, old = account
    new = services.upload(profile_id, pictures.jpeg(200, 200, seed=2)).image_id
    services.deliver()
    deactivation.deactivate(profile_id, actor="t")
    services.clock.forward(days=8)
    sweep.batch()
    assert [services.state(image_id) for image_id in (old, new)] == [images.DELETED, images.READY]


def test_a_report_that_is_open_keeps_the_account(services, sweep, deactivation, account):
    profile_id, image_id = account
    deactivation.deactivate(profile_id, actor="t")
    services.declare.set_report_flag(profile_id, "reported", actor="t")
    services.clock.forward(days=2 * DAYS)
    assert not swept(services, sweep, profile_id)
    assert services.state(image_id) == images.READY
    services.declare.set_report_flag(profile_id, "clear", actor="t")
    assert swept(services, sweep, profile_id)


def test_what_is_under_a_hold_keeps_the_account_and_nothing_else_of_it(services, sweep, deactivation, account):
    profile_id, held = account
    PlaceHolds(services.catalogue, services.clock).place(
        image_id=held, kind="legal", reference="case 1", until=None, actor="t"
    )
    shown = services.upload(profile_id, pictures.jpeg(200, 200, seed=2)).image_id
    services.relay.run_once()
    services.sent[:] = [message for message in services.sent if message[0] == "nightlight.render"]
    services.deliver()
    deactivation.deactivate(profile_id, actor="t")
    services.clock.forward(days=DAYS)
    assert not swept(services, sweep, profile_id)
    assert [services.state(image_id) for image_id in (held, shown)] == [images.HELD, images.DELETED]
    assert profile(services, profile_id).state == profiles.DEACTIVATED


def test_what_is_in_quarantine_keeps_the_account_for_its_own_year(services, sweep, deactivation, account):
    profile_id, shown = account
    declared(services, profile_id, region="us_ca")
    evidence = quarantined(services, profile_id)
    deactivation.deactivate(profile_id, actor="t")
    services.clock.forward(days=DAYS)
    sweep.batch()
    assert [services.state(image_id) for image_id in (shown, evidence)] == [images.DELETED, images.QUARANTINED]
    services.clock.forward(days=364 - DAYS)
    assert not swept(services, sweep, profile_id)
    assert services.state(evidence) == images.QUARANTINED
    services.clock.forward(days=1)
    assert swept(services, sweep, profile_id)
    assert services.state(evidence) == images.DELETED


def test_a_pack_of_before_without_the_word_keeps_it(services, retention, sweep, deactivation, account):
    from dataclasses import replace

    from nightlight.policy.combinations import CombinationSpace
    from nightlight.policy.retention import RetentionTable

    words = tuple(word for word in retention.space.attributes["state"] if word != "deactivated")
    where = [retention.space.attributes["state"].index(word) for word in words]
    older = RetentionTable(
        CombinationSpace({**retention.space.attributes, "state": words}, retention.space.groups),
        retention.days.take(where, axis=list(retention.space.attributes).index("state")),
    )
    profile_id, image_id = account
    deactivation.deactivate(profile_id, actor="t")
    services.clock.forward(days=3000)
    assert replace(sweep, retention=lambda: older).batch()["accounts"] == 0
    assert services.state(image_id) == images.READY


@pytest.mark.parametrize(
    ("region", "days"),
    [
        ("us", 365),
        ("us_ca", 365),
        ("us_vt", 365),
        ("us_ne", 365),
        ("unknown", 365),
        ("eu", 90),
        ("uk", 90),
        ("other", 90),
    ],
)
def test_quarantine_lasts_a_year_where_it_must_and_where_nobody_knows(services, sweep, profile_id, region, days):
    declared(services, profile_id, region=region)
    image_id = quarantined(services, profile_id)
    services.clock.forward(days=days, seconds=-1)
    sweep.batch()
    assert services.state(image_id) == images.QUARANTINED
    services.clock.forward(seconds=1)
    sweep.batch()
    assert services.state(image_id) == images.DELETED


def test_a_region_that_the_policy_has_no_word_for_counts_as_unknown(services, sweep, profile_id):
    image_id = quarantined(services, profile_id)
    with services.catalogue.transaction() as tx:
        row = profiles.profiles.c.profile_id == profile_id
        tx.connection.execute(profiles.profiles.update().where(row).values(region="atlantis"))
    services.clock.forward(days=364)
    sweep.batch()
    assert services.state(image_id) == images.QUARANTINED
    services.clock.forward(days=1)
    sweep.batch()
    assert services.state(image_id) == images.DELETED


def test_the_days_of_quarantine_count_from_the_match_and_again_from_its_confirmation(services, sweep, account):
    profile_id, image_id = account
    services.clock.forward(days=400)  # it was shown for long before a list had it
    with services.catalogue.transaction() as tx:
        tx.hash_list_matches.add(image_id, [("a", "r", 3)], services.clock())
        tx.profiles.set_current(profile_id, None)
        image_states.change(
            tx, image_states.QUARANTINE, image_id, services.clock(), image_states.StateChange("t", reason="listed")
        )
    services.clock.forward(days=89)
    sweep.batch()
    assert services.state(image_id) == images.QUARANTINED
    ReviewMatches(services.catalogue, services.clock).confirm(image_id, actor="t")
    with services.catalogue.reading() as tx:
        assert {match.verdict for match in tx.hash_list_matches.report() if match.image_id == image_id} == {CONFIRMED}
    # Its objects are written anew, so that the buckets' own rules count from now on too.
    with services.catalogue.reading() as tx:
        queued = jobs.select().where(jobs.c.image_id == image_id, jobs.c.kind == kinds.RETENTION_TAGS.name)
        assert tx.connection.execute(queued).one().created_at == services.clock()
    services.clock.forward(days=89)
    sweep.batch()
    assert services.state(image_id) == images.QUARANTINED
    services.clock.forward(days=1)
    sweep.batch()
    assert services.state(image_id) == images.DELETED


def test_objects_are_counted_by_state_band_and_region(services, deactivation, account):
    profile_id, _ = account

    def counts():
        with services.catalogue.reading() as tx:
            return count_objects(tx)

    before = counts()
    quarantined(services, profile_id)
    deactivation.deactivate(profile_id, actor="t")
    moved = counts() - before
    objects = before - counts()
    shown = moved["deactivated", "age_13_15", "eu"]
    assert moved == {("deactivated", "age_13_15", "eu"): shown, ("quarantined", "age_13_15", "eu"): 1}
    assert objects == {("live", "age_13_15", "eu"): shown}
    assert shown > 1
