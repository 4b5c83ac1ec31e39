"""One suite for both databases: PostgreSQL and SQLite."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nightlight.catalogue import image_states, images, migrate
from nightlight.catalogue.decision_inputs import seen
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.idempotency import IdempotentResult
from nightlight.catalogue.images import ImageRow, RenditionRow
from nightlight.catalogue.profiles import Declaration
from nightlight.catalogue.schema import metadata
from nightlight_core.errors import CatalogueUnavailable, Conflict, LeaseLost
from nightlight_core.ids import new_image_id, new_job_id, new_original_key
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
DECLARATION = Declaration("age_13_15", "verified", "eu", "connections")


def later(seconds):
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def profile_id(catalogue, request):
    name = f"p-{abs(hash(request.node.nodeid)) % 10**12}"
    with catalogue.transaction() as tx:
        tx.profiles.declare(name, DECLARATION, NOW)
    return name


def add_image(catalogue, profile_id, state=images.PENDING):
    image_id = new_image_id()
    with catalogue.transaction() as tx:
        sequence = tx.profiles.next_upload(profile_id)
        tx.images.add(
            ImageRow(image_id, profile_id, sequence, state, None, new_original_key(), 10, "jpeg", 4, 3, "age_13_15", "age_13_15", NOW, None)
        )  # fmt: skip
    return image_id


def add_job(catalogue, image_id, due=NOW):
    job_id = new_job_id()
    with catalogue.transaction() as tx:
        tx.jobs.add("render", "image_id", [(job_id, image_id)], NOW, due=due, rank=2)
    return job_id


def lease(catalogue, job_id, now, **options):
    with catalogue.transaction() as tx:
        return tx.jobs.lease(job_id, "render", "image_id", now, 60, **options)


def test_the_migrations_make_exactly_the_tables(catalogue):
    with catalogue.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []


def test_migrating_twice_is_harmless_and_an_old_schema_is_noticed(catalogue, tmp_path):
    migrate.upgrade(catalogue.engine)
    migrate.check_current(catalogue.engine)
    empty = Catalogue(f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    with pytest.raises(CatalogueUnavailable, match="nightlight catalogue upgrade"):
        migrate.check_current(empty.engine)
    empty.close()


def test_times_come_back_as_they_went_in_aware_and_to_the_microsecond(catalogue, profile_id):
    with catalogue.reading() as tx:
        assert tx.profiles.get(profile_id).asserted_at == NOW


def test_a_time_without_a_zone_is_refused(catalogue):
    with pytest.raises(Exception, match="without a zone"), catalogue.transaction() as tx:
        tx.profiles.declare("naive", DECLARATION, NOW.replace(tzinfo=None))


def test_a_transaction_that_raises_leaves_nothing(catalogue):
    with pytest.raises(RuntimeError), catalogue.transaction() as tx:
        tx.profiles.declare("rolled-back", DECLARATION, NOW)
        raise RuntimeError
    with catalogue.reading() as tx:
        assert tx.profiles.get("rolled-back") is None


def test_declaring_again_changes_what_was_said_and_keeps_the_hold(catalogue, profile_id):
    with catalogue.transaction() as tx:
        assert tx.profiles.set_report_flag(profile_id, "reported")
        assert tx.profiles.declare(profile_id, Declaration("adult", "estimated", "us", "everyone"), later(5)) is False
        known = tx.profiles.get(profile_id)
    assert (known.band, known.region, known.choice, known.report_flag) == ("adult", "us", "everyone", "reported")
    assert known.asserted_at == later(5)


def shown(tx, *profile_ids):
    return seen(tx.connection, profile_ids, most_blocked=10)


def test_a_deleted_profile_is_shown_to_nobody_and_comes_back_only_by_a_declaration(catalogue, profile_id):
    with catalogue.transaction() as tx:
        assert tx.profiles.set_report_flag(profile_id, "reported")
        assert tx.profiles.delete(profile_id)
        assert not tx.profiles.delete(profile_id)
        assert shown(tx, profile_id) == []
        assert not tx.profiles.set_report_flag(profile_id, "reported")
        assert tx.profiles.get(profile_id).generation == 1
        assert tx.profiles.declare(profile_id, DECLARATION, NOW) is True
        assert tx.profiles.get(profile_id).report_flag == "reported"
        assert [profile.profile_id for profile in shown(tx, profile_id)] == [profile_id]


def test_shown_gives_the_ready_current_image_and_nothing_else(catalogue, profile_id):
    ready, pending = add_image(catalogue, profile_id), add_image(catalogue, profile_id)
    rows = [
        RenditionRow(
            f"{tier}-{ready}-{variant}", tier, 0, "r", "webp", 5, 2, 3, "0" * 64, face, no_face_px=more, variant=variant
        )
        for tier, face, more in (("tiny", 5, 16), ("full", None, None))
        for variant in (1, 0)
    ]
    revoked = RenditionRow(f"low-{ready}", "low", 1, "r", "webp", 5, 2, 3, "0" * 64)
    with catalogue.transaction() as tx:
        tx.images.add_renditions(ready, [*rows, revoked], NOW)
        tx.revocations.add(profile_id, NOW, image_id=ready, tiers={"low"})
        tx.profiles.set_current(profile_id, pending)
        assert shown(tx, profile_id)[0].image_id is None
        tx.profiles.set_current(profile_id, ready)
        assert shown(tx, profile_id)[0].image_id is None
        image_states.change(tx, image_states.PUBLISH, ready, NOW, image_states.StateChange("t"))
        (inputs,) = shown(tx, profile_id, "nobody")
    assert (inputs.image_id, inputs.effective_ceiling, inputs.canary) == (ready, "age_13_15", False)
    assert inputs.asserted_at == int(NOW.timestamp())
    assert inputs.available() == [
        (variant, tier, "webp", 3, face, no_face, "r", f"{tier}-{ready}-{variant}")
        for variant in (0, 1)
        for tier, face, no_face in (("full", None, None), ("tiny", 5, 16))
    ]
    assert inputs.viewers() == frozenset()


def test_blocked_viewers_are_told_until_they_are_too_many(catalogue, profile_id):
    with catalogue.transaction() as tx:
        for number in range(3):
            tx.blocks.add(profile_id, f"viewer-{number}", NOW)
        tx.abuse_signals.plant(profile_id, NOW)
        (inputs,) = seen(tx.connection, [profile_id], most_blocked=3)
        (many,) = seen(tx.connection, [profile_id], most_blocked=2)
    assert inputs.viewers() == {"viewer-0", "viewer-1", "viewer-2"}
    assert many.viewers() is None
    assert inputs.canary


def test_uploads_are_numbered_without_gaps_by_many_at_once(catalogue, profile_id):
    def number(_):
        with catalogue.transaction() as tx:
            return tx.profiles.next_upload(profile_id)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(number, range(24))) == list(range(1, 25))


def test_a_job_is_leased_to_one_of_many_at_once(catalogue, profile_id):
    job_id = add_job(catalogue, add_image(catalogue, profile_id))
    with ThreadPoolExecutor(8) as pool:
        leases = list(pool.map(lambda _: lease(catalogue, job_id, NOW), range(8)))
    assert len([taken_lease for taken_lease in leases if taken_lease]) == 1


def test_a_job_is_not_leased_as_one_of_another_kind(catalogue, profile_id):
    job_id = add_job(catalogue, add_image(catalogue, profile_id))
    with catalogue.transaction() as tx:
        assert tx.jobs.lease(job_id, "erase", "image_id", NOW, 60, take_over=True) is None
    assert lease(catalogue, job_id, NOW).attempt == 1


def test_a_lease_that_ran_out_is_taken_over_and_its_holder_cannot_finish(catalogue, profile_id):
    job_id = add_job(catalogue, add_image(catalogue, profile_id))
    first = lease(catalogue, job_id, NOW)
    assert lease(catalogue, job_id, later(59)) is None
    second = lease(catalogue, job_id, later(61))
    assert (first.attempt, first.crashes, second.attempt, second.crashes) == (1, 0, 2, 1)
    for late in ("finish", "fail", "put_back", "plan"):
        with pytest.raises(LeaseLost), catalogue.transaction() as tx:
            arguments = {
                "finish": (NOW,),
                "fail": ("x", NOW),
                "put_back": ("x", NOW),
                "plan": (["a/b"],),
            }[late]
            getattr(tx.jobs, late)(first, *arguments)
    with catalogue.transaction() as tx:
        tx.jobs.finish(second, later(62))
    assert lease(catalogue, job_id, later(1000), take_over=True) is None


def test_a_redelivered_message_takes_the_lease_over_at_once(catalogue, profile_id):
    job_id = add_job(catalogue, add_image(catalogue, profile_id))
    lease(catalogue, job_id, NOW)
    assert lease(catalogue, job_id, later(1)) is None
    assert lease(catalogue, job_id, later(1), take_over=True).attempt == 2


def test_putting_a_job_back_is_no_crash(catalogue, profile_id):
    job_id = add_job(catalogue, add_image(catalogue, profile_id))
    for attempt in range(1, 6):
        held = lease(catalogue, job_id, NOW)
        assert (held.attempt, held.crashes) == (attempt, 0)
        with catalogue.transaction() as tx:
            tx.jobs.put_back(held, "store_unavailable", NOW)


def test_planned_keys_add_up_over_attempts(catalogue, profile_id):
    image_id = add_image(catalogue, profile_id)
    job_id = add_job(catalogue, image_id)
    held = lease(catalogue, job_id, NOW)
    with catalogue.transaction() as tx:
        tx.jobs.plan(held, ["a/2", "a/1"])
    again = lease(catalogue, job_id, later(100))
    with catalogue.transaction() as tx:
        tx.jobs.plan(again, ["a/3"])
        assert tx.jobs.planned_keys(image_id) == ["a/1", "a/2", "a/3"]


def test_due_and_lost_jobs_are_found_once_by_many_at_once(catalogue, profile_id):
    with catalogue.transaction() as tx:  # what other tests left is not ours
        tx.jobs.claim_due(later(100_000), limit=1000, again_after_s=10**6)
    due = {add_job(catalogue, add_image(catalogue, profile_id), due=NOW) for _ in range(12)}
    not_due = add_job(catalogue, add_image(catalogue, profile_id), due=later(50))
    lost = add_job(catalogue, add_image(catalogue, profile_id), due=later(500))
    lease(catalogue, lost, NOW - timedelta(seconds=100))

    def claim(_):
        with catalogue.transaction() as tx:
            return tx.jobs.claim_due(later(1), limit=3, again_after_s=60)

    with ThreadPoolExecutor(6) as pool:
        claimed = [job_id for batch in pool.map(claim, range(12)) for job_id, _, _ in batch]
    assert sorted(claimed) == sorted({*due, lost})
    assert not_due not in claimed


@pytest.mark.parametrize(
    ("sooner", "after_s"), [(None, 60), ({"render": 10.0}, 10), ({"render": 600.0}, 60), ({"erase": 1.0}, 60)]
)
def test_what_is_published_again_is_put_off_each_time_and_kinds_that_hurry_by_less(
    catalogue, profile_id, sooner, after_s
):
    job_id = add_job(catalogue, add_image(catalogue, profile_id), due=NOW)

    def due_at(seconds):
        with catalogue.transaction() as tx:
            claimed = tx.jobs.claim_due(later(seconds), limit=1000, again_after_s=60, sooner=sooner)
        return job_id in {claimed_id for claimed_id, _, _ in claimed}

    assert due_at(0)
    assert not due_at(after_s - 1)
    assert due_at(after_s)
    assert not due_at(2 * after_s - 1)
    assert due_at(2 * after_s)


def test_an_outbox_message_is_claimed_once_by_many_at_once_and_again_if_not_acknowledged(catalogue):
    with catalogue.transaction() as tx:
        for number in range(20):
            tx.outbox.add([("nightlight.render", f"{number:032x}", 2)], NOW)
            tx.outbox.add([("nightlight.render", f"{number:032x}", 2)], NOW)  # one waiting message a job is enough

    def claim(_):
        with catalogue.transaction() as tx:
            return tx.outbox.claim(NOW, limit=3, claim_s=15)

    with ThreadPoolExecutor(6) as pool:
        messages = [message for batch in pool.map(claim, range(12)) for message in batch]
    assert len(messages) == 20
    assert len({message.job_id for message in messages}) == 20
    with catalogue.transaction() as tx:
        tx.outbox.mark_published([message.message_id for message in messages[:15]])
        tx.outbox.release([messages[15].message_id])
        assert [message.message_id for message in tx.outbox.claim(later(1), limit=50, claim_s=1)] == [
            messages[15].message_id
        ]
        assert len(tx.outbox.claim(later(16), limit=50, claim_s=15)) == 5
        tx.outbox.mark_published([message.message_id for message in messages])


def test_an_idempotency_key_is_remembered_once(catalogue, profile_id):
    image_id = add_image(catalogue, profile_id)
    with catalogue.transaction() as tx:
        tx.idempotency.remember("k" * 64, IdempotentResult("f", image_id), NOW)
    with pytest.raises(Conflict), catalogue.transaction() as tx:
        tx.idempotency.remember("k" * 64, IdempotentResult("g", image_id), NOW)
    with catalogue.transaction() as tx:
        assert tx.idempotency.find("k" * 64) == IdempotentResult("f", image_id)
        assert tx.idempotency.forget_before(later(1)) == 1
        assert tx.idempotency.find("k" * 64) is None


def test_the_audit_log_can_only_grow(catalogue, profile_id):
    image_id = add_image(catalogue, profile_id)
    with catalogue.transaction() as tx:
        tx.audit.append("image.accepted", now=NOW, actor="t", image_id=image_id, detail={"n": 1})
    for statement in ("UPDATE audit SET event = 'x'", "DELETE FROM audit"):
        with pytest.raises((DBAPIError, Conflict)) as refused, catalogue.transaction() as tx:
            tx.connection.execute(text(statement))
        assert "append-only" in str(refused.value.__cause__ or refused.value)
    with catalogue.reading() as tx:
        (entry,) = tx.audit.of_image(image_id)
    assert (entry.event, entry.at, entry.detail) == ("image.accepted", NOW, {"n": 1})


def test_readers_do_not_wait_for_a_writer(catalogue, profile_id):
    inside, go_on = threading.Event(), threading.Event()

    def write():
        with catalogue.transaction() as tx:
            tx.profiles.set_report_flag(profile_id, "reported")
            inside.set()
            go_on.wait(HANG_S)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert inside.wait(HANG_S)
        with catalogue.reading() as tx:
            assert tx.profiles.get(profile_id).report_flag == "clear"
    finally:
        go_on.set()
        writer.join()


def test_a_database_that_does_not_answer_is_unavailable():
    nowhere = Catalogue("postgresql+psycopg://nobody@127.0.0.1:1/none", timeout_s=1)
    with pytest.raises(CatalogueUnavailable):
        nowhere.ready()
    nowhere.close()


def test_errors_carry_no_parameters(catalogue):
    with pytest.raises((DBAPIError, CatalogueUnavailable)) as failed, catalogue.transaction() as tx:
        tx.connection.execute(text("SELECT * FROM no_such_table WHERE x = :who"), {"who": "a-person"})
    cause = failed.value if isinstance(failed.value, DBAPIError) else failed.value.__cause__
    assert "no_such_table" in str(cause)
    assert "a-person" not in str(cause)
