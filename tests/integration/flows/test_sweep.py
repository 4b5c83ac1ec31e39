"""What the policy keeps no longer goes on its day: a minor's picture sooner, and nothing before its time."""

import pytest

from nightlight.catalogue import image_states, images
from nightlight.catalogue.profiles import Declaration
from tests.support import pictures

pytestmark = pytest.mark.integration


def declared(services, profile_id, band, assurance="verified"):
    declaration = Declaration(band, assurance, "eu", "connections")
    services.declare.declare(profile_id, declaration, follow_band=False, actor="t")


def replaced(services, profile_id):
    """Two pictures, the second in place of the first; (the first, the second)."""
    image_ids = []
    for seed in (1, 2):
        image_ids.append(services.upload(profile_id, pictures.jpeg(200, 200, seed=seed)).image_id)
        assert "ready" in services.deliver()
    assert [services.state(image_id) for image_id in image_ids] == [images.SUPERSEDED, images.READY]
    return image_ids


def gone(services, sweep, *image_ids):
    sweep.batch()
    return [services.state(image_id) == images.DELETED for image_id in image_ids]


@pytest.mark.parametrize(
    ("band", "assurance", "days"),
    [("age_13_15", "verified", 7), ("under_13", "verified", 7), ("adult", "verified", 30), ("adult", "none", 7)],
)
def test_what_was_replaced_goes_after_its_owners_days_and_no_sooner(services, sweep, profile_id, band, assurance, days):
    declared(services, profile_id, band, assurance)
    old, new = replaced(services, profile_id)
    services.clock.forward(days=days, seconds=-1)
    declared(services, profile_id, band, assurance)  # asserted again, as platforms do
    assert gone(services, sweep, old, new) == [False, False]
    services.clock.forward(seconds=2)
    assert gone(services, sweep, old, new) == [True, False]
    with services.catalogue.reading() as tx:
        original = tx.images.get(old).original_key
        assert [entry.actor for entry in tx.audit.of_image(old) if entry.event == "image.deleted"] == ["retention"]
    assert original in services.objects()
    assert "erased" in services.deliver()
    assert original not in services.objects()


def test_who_is_a_minor_now_counts_as_one_for_what_was_uploaded_before(services, sweep, profile_id):
    declared(services, profile_id, "adult")
    old, new = replaced(services, profile_id)
    declared(services, profile_id, "age_16_17")
    services.clock.forward(days=8)
    assert gone(services, sweep, old, new) == [True, False]


def test_who_is_an_adult_now_was_a_minor_when_it_was_uploaded(services, sweep, profile_id):
    old, new = replaced(services, profile_id)
    declared(services, profile_id, "adult")
    services.clock.forward(days=8)
    assert gone(services, sweep, old, new) == [True, False]


def test_who_was_a_minor_in_between_counts_as_one_for_what_was_there_then(services, sweep, profile_id):
    declared(services, profile_id, "adult")
    old, new = replaced(services, profile_id)
    declared(services, profile_id, "age_16_17")
    declared(services, profile_id, "adult")
    services.clock.forward(days=8)
    assert gone(services, sweep, old, new) == [True, False]


def test_a_band_that_lapsed_is_a_minors(services, sweep, profile_id):
    declared(services, profile_id, "adult")
    services.clock.forward(days=20)
    old, new = replaced(services, profile_id)
    services.clock.forward(days=8)
    assert gone(services, sweep, old, new) == [False, False]
    services.clock.forward(days=3)  # 31 days since anybody vouched for the age
    assert gone(services, sweep, old, new) == [True, False]


def test_what_a_report_is_open_about_stays_until_it_is_closed(services, sweep, profile_id):
    old, new = replaced(services, profile_id)
    services.declare.set_report_flag(profile_id, "reported", actor="t")
    services.clock.forward(days=20)
    assert gone(services, sweep, old, new) == [False, False]
    services.declare.set_report_flag(profile_id, "clear", actor="t")
    assert gone(services, sweep, old, new) == [True, False]


def test_a_picture_in_use_goes_after_its_own_time(services, sweep, profile_id):
    image = services.upload(profile_id).image_id
    services.deliver()
    services.clock.forward(days=3649)
    assert gone(services, sweep, image) == [False]
    services.clock.forward(days=2)
    assert gone(services, sweep, image) == [True]


def test_more_than_a_batch_goes_by_and_by(services, sweep, profile_id, monkeypatch):
    from nightlight.flows.retention import retention_sweep as module

    monkeypatch.setattr(module, "_BATCH", 1)
    image_ids = [services.upload(profile_id, pictures.jpeg(200, 200, seed=seed)).image_id for seed in range(4)]
    for _ in range(6):
        services.deliver()
    services.clock.forward(days=8)
    left = 3
    while left:
        assert sweep.batch()["deleted"] >= 1
        left = sum(services.state(image_id) == images.SUPERSEDED for image_id in image_ids)
    assert services.state(image_ids[-1]) == images.READY


def sweeps_of(services, sweep):
    """Run every sweep job that waits, as a worker would; how each ended."""
    endings = []
    for _ in range(50):
        services.relay.run_once()
        sent, services.sent[:] = list(services.sent), []
        job_ids = [job_id for task, job_id in sent if task == "nightlight.sweep"]
        services.sent.extend(message for message in sent if message[0] != "nightlight.sweep")
        if not job_ids:
            return endings
        endings += [sweep.run(job_id, redelivered=False) for job_id in job_ids]
    raise AssertionError("it does not end")


def test_a_band_that_nobody_asserts_again_is_unknown_and_what_was_given_out_is_revoked(services, sweep, profile_id):
    declared(services, profile_id, "adult")
    image = services.upload(profile_id).image_id
    services.deliver()
    services.clock.forward(days=30)
    sweep.batch()
    with services.catalogue.reading() as tx:
        assert tx.profiles.get(profile_id).band == "adult"
        generation = tx.profiles.get(profile_id).generation
        names = {row.tier: row.name for row in tx.images.renditions(image)}
    services.clock.forward(seconds=1)
    assert sweep.batch()["lapsed"] >= 1
    with services.catalogue.reading() as tx:
        profile = tx.profiles.get(profile_id)
        assert (profile.band, profile.generation) == ("unknown", generation + 1)
        revoked = tx.revocations.names()
    # What an adult's connections and guardians had; strangers had no more than they have.
    assert {tier for tier, name in names.items() if name in revoked} == {"medium", "full"}
    assert sweep.batch()["lapsed"] == 0
    declared(services, profile_id, "adult")
    with services.catalogue.reading() as tx:
        assert tx.profiles.get(profile_id).band == "adult"


def test_an_image_that_its_profile_does_not_show_is_superseded(services, sweep, profile_id):
    image = services.upload(profile_id).image_id
    services.deliver()
    with services.catalogue.transaction() as tx:  # as after a restored catalogue
        tx.profiles.set_current(profile_id, None)
    assert sweep.batch()["superseded"] == 1
    assert services.state(image) == images.SUPERSEDED
    with services.catalogue.reading() as tx:
        assert tx.images.get(image).superseded_at == services.clock()
    assert sweep.batch()["superseded"] == 0


def test_an_upload_that_was_no_picture_is_kept_no_longer_than_one_that_was_replaced(services, sweep, profile_id):
    bad = pictures.jpeg(200, 200)
    image = services.upload(profile_id, bad[: len(bad) // 2]).image_id
    assert services.deliver() == ["rejected"]
    services.clock.forward(days=6)
    assert gone(services, sweep, image) == [False]
    services.clock.forward(days=2)
    assert gone(services, sweep, image) == [True]


def test_what_waits_for_a_persons_verdict_goes_after_its_own_time(services, sweep, profile_id):
    image = services.upload(profile_id).image_id
    with services.catalogue.transaction() as tx:
        image_states.change(
            tx, image_states.QUARANTINE, image, services.clock(), image_states.StateChange("t", reason="listed")
        )
    services.clock.forward(days=89)
    assert gone(services, sweep, image) == [False]
    services.clock.forward(days=2)
    assert gone(services, sweep, image) == [True]


def test_a_policy_without_a_word_for_a_state_keeps_what_is_in_it(services, retention, sweep, profile_id):
    from dataclasses import replace

    from nightlight.policy.combinations import CombinationSpace
    from nightlight.policy.retention import RetentionTable

    words_without = tuple(word for word in retention.space.attributes["state"] if word != "quarantined")
    axis = list(retention.space.attributes).index("state")
    where = [retention.space.attributes["state"].index(word) for word in words_without]
    older = RetentionTable(
        CombinationSpace({**retention.space.attributes, "state": words_without}, retention.space.groups),
        retention.days.take(where, axis=axis),
    )
    image = services.upload(profile_id).image_id
    with services.catalogue.transaction() as tx:
        image_states.change(
            tx, image_states.QUARANTINE, image, services.clock(), image_states.StateChange("t", reason="listed")
        )
    services.clock.forward(days=3000)
    assert gone(services, replace(sweep, retention=lambda: older), image) == [False]


def test_a_run_goes_batch_by_batch_through_the_queue_and_reports(services, sweep, profile_id, monkeypatch):
    from nightlight.flows.retention import retention_sweep as module

    monkeypatch.setattr(module, "_BATCH", 2)
    image_ids = [services.upload(profile_id, pictures.jpeg(200, 200, seed=seed)).image_id for seed in range(6)]
    for _ in range(8):
        services.deliver()
    services.clock.forward(days=8)
    assert sweep.begin_due(3600)
    assert not sweep.begin_due(3600)  # one is under way
    endings = sweeps_of(services, sweep)
    assert endings[-1] == "done"
    assert set(endings[:-1]) == {"swept"}
    assert len(endings) > 2
    report = sweep.report()
    assert (report.state, report.batches, report.actor) == ("done", len(endings), "schedule")
    assert report.counts["deleted"] >= 5
    assert [services.state(image_id) == images.DELETED for image_id in image_ids] == [True] * 5 + [False]
    assert not sweep.begin_due(3600)
    services.clock.forward(hours=1)
    assert sweep.begin_due(3600)
    assert sweeps_of(services, sweep) == ["done"]


def test_a_batch_that_was_done_twice_was_done_once(services, sweep, profile_id):
    """A worker dies after the work and before it says so: its successor finds nothing left to do."""
    old, new = replaced(services, profile_id)
    services.clock.forward(days=8)
    sweep.begin(actor="t")
    services.relay.run_once()
    ((_, job_id),) = [message for message in services.sent if message[0] == "nightlight.sweep"]
    services.sent.clear()
    sweep.batch()  # all that the first attempt came to
    assert services.state(old) == images.DELETED
    assert sweep.run(job_id, redelivered=True) == "done"
    with services.catalogue.reading() as tx:
        assert [entry.event for entry in tx.audit.of_image(old)].count("image.deleted") == 1
    assert services.state(new) == images.READY


def test_everything_from_before_there_were_tags_is_tagged(services, sweep, profile_id):
    image_ids = [services.upload(profile_id, pictures.jpeg(200, 200, seed=seed)).image_id for seed in range(3)]
    for _ in range(4):
        services.deliver()
    services.clock.forward(minutes=5)
    for _ in range(3):
        services.reconciler.run_once()
        services.deliver()
    tagged = []
    real = services.originals.store.retag
    services.originals.store.retag = lambda key, state: (tagged.append((key, state)), real(key, state))
    assert sum(services.retention_tags.ask_all()) >= 2
    waiting = services.retention_tags.waiting()
    assert waiting >= 2
    assert services.deliver().count("tagged") >= 2
    assert services.retention_tags.waiting() < waiting
    with services.catalogue.reading() as tx:
        keys = {tx.images.get(image_id).original_key for image_id in image_ids[:2]}
        assert tx.images.get(image_ids[2]).original_key not in {key for key, _ in tagged}
    assert {(key, "replaced") for key in keys} <= set(tagged)
