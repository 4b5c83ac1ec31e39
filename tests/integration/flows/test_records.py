"""What tells of work that is done ends on its day, in batches; what an erasure needs of it does not."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import func, insert, select, text, update

from nightlight.catalogue.imports import SKIPPED, TAKEN, SourceObject
from nightlight.catalogue.old_rows import AUDIT_DROPPED, digest
from nightlight.catalogue.policy_schema import decision_counts
from nightlight.catalogue.retention_schema import import_items, sweeps
from nightlight.catalogue.schema import abuse_signals, audit, changes, jobs, written_keys
from nightlight.flows.retention import retention_sweep
from nightlight.settings.records import RecordSettings

pytestmark = pytest.mark.integration
DAYS = RecordSettings()


def rows(services, table, *where):
    with services.catalogue.reading() as tx:
        return tx.connection.execute(select(table).where(*where)).all()


def swept(services, sweep):
    """What is dropped in batches, until one finds nothing."""
    total = 0
    for _ in range(50):
        dropped = sweep.drop_records()
        if not dropped:
            return total
        total += dropped
    raise AssertionError("a sweep that never ends")


def test_ended_jobs_go_on_their_day_and_the_erasure_still_finds_every_object(services, sweep, profile_id):
    image_id = services.upload(profile_id).image_id
    assert "ready" in services.deliver()
    of_image = jobs.c.image_id == image_id
    with services.catalogue.transaction() as tx:  # an attempt that died after it had written this, say
        planned = tx.jobs.planned_keys(image_id)
        row = tx.connection.execute(select(jobs.c.job_id).where(of_image, jobs.c.kind == "render")).one()
        here = [*planned, "lost-attempt.webp"]
        tx.connection.execute(update(jobs).where(jobs.c.job_id == row.job_id).values(planned=here))
    assert planned
    services.clock.forward(days=DAYS.jobs_days, seconds=-5)
    swept(services, sweep)
    ended = of_image, jobs.c.finished_at.is_not(None)
    assert rows(services, jobs, *ended)
    services.clock.forward(seconds=60)
    assert swept(services, sweep) >= 1
    assert not rows(services, jobs, *ended)
    with services.catalogue.reading() as tx:
        assert set(tx.jobs.planned_keys(image_id)) == {*planned, "lost-attempt.webp"}

    services.delete.image(image_id, actor="t")
    assert "erased" in services.deliver()
    assert not [key for key in planned if key in services.objects()]
    services.clock.forward(hours=2)
    services.reconciler.run_once()
    assert "verified" in services.deliver()
    assert not rows(services, written_keys, written_keys.c.image_id == image_id)
    assert not rows(services, jobs, of_image)


def test_keys_of_later_jobs_are_added_to_those_of_earlier_ones(services, sweep, profile_id):
    image_id = services.upload(profile_id).image_id
    services.deliver()
    with services.catalogue.reading() as tx:
        first = set(tx.jobs.planned_keys(image_id))
    services.clock.forward(days=DAYS.jobs_days + 1)
    swept(services, sweep)
    with services.catalogue.transaction() as tx:
        now = services.clock()
        values = {"kind": "rerender", "state": "done", "attempt": 1, "crashes": 0, "next_run_at": now}
        values |= {"created_at": now, "finished_at": now, "planned": ["second.webp"]}
        tx.connection.execute(insert(jobs).values(job_id=f"{'b' * 20}{image_id[:12]}", image_id=image_id, **values))
    services.clock.forward(days=DAYS.jobs_days + 1)
    swept(services, sweep)
    with services.catalogue.reading() as tx:
        assert set(tx.jobs.planned_keys(image_id)) == first | {"second.webp"}


def test_jobs_of_what_is_being_erased_and_open_jobs_stay(services, sweep, profile_id):
    deleted, waiting = (services.upload(profile_id).image_id for _ in range(2))
    services.delete.image(deleted, actor="t")
    services.clock.forward(days=DAYS.jobs_days + 1)
    before = len(rows(services, jobs, jobs.c.image_id.in_([deleted, waiting])))
    swept(services, sweep)
    assert len(rows(services, jobs, jobs.c.image_id.in_([deleted, waiting]))) == before


def test_more_than_a_batch_goes_by_and_by_and_the_run_goes_on_until_then(services, sweep, monkeypatch):
    swept(services, sweep)
    monkeypatch.setattr(retention_sweep, "_RECORDS_BATCH", 2)
    now = services.clock()
    with services.catalogue.transaction() as tx:
        same = {"kind": "sweep", "state": "done", "attempt": 1, "crashes": 0, "planned": [], "next_run_at": now}
        same |= {"created_at": now, "finished_at": now}
        values = [{**same, "job_id": f"{number:032d}", "other_id": "x"} for number in range(5)]
        tx.connection.execute(insert(jobs), values)
    services.clock.forward(days=DAYS.jobs_days + 1)
    counts = [sweep.batch()[retention_sweep.RECORDS] for _ in range(4)]
    assert counts == [2, 2, 1, 0]


def test_imported_keys_go_but_for_those_whose_picture_is_here(services, sweep, profile_id):
    image_id = services.upload(profile_id).image_id
    services.deliver()
    now = services.clock()
    with services.catalogue.transaction() as tx:
        sources = [SourceObject("bucket", f"{profile_id}/{name}", profile_id, "e") for name in "abc"]
        taken, skipped, waiting = tx.imports.add(sources, now)
        keys = {row.item_id: row.key[-1] for row in tx.connection.execute(select(import_items)) if row.key[:2] == "f-"}
        tx.imports.seen(taken, image_id, "e", now)
        tx.imports.set_outcome(taken, TAKEN, now)
        tx.imports.set_outcome(skipped, SKIPPED, now, reason="not_the_newest")
    services.clock.forward(days=DAYS.imports_days, seconds=-1)
    swept(services, sweep)
    of_profile = import_items.c.item_id.in_([taken, skipped, waiting])
    assert len(rows(services, import_items, of_profile)) == 3, keys
    services.clock.forward(seconds=2)
    swept(services, sweep)
    assert {row.item_id for row in rows(services, import_items, of_profile)} == {taken, waiting}
    with services.catalogue.transaction() as tx:  # the picture is erased: its rows go
        tx.imports.forget(image_id)
        tx.connection.execute(update(import_items).where(import_items.c.item_id == taken).values(image_id="0" * 32))
    swept(services, sweep)
    assert {row.item_id for row in rows(services, import_items, of_profile)} == {waiting}


def line(tx, days_ago, event="policy.x", image_id=None):
    return tx.audit.append(event, now=datetime.now(UTC) - timedelta(days=days_ago), actor="t", image_id=image_id)


def test_old_lines_of_the_audit_log_go_and_a_line_says_which(services, sweep):
    with services.catalogue.transaction() as tx:
        old = [line(tx, DAYS.audit_days + 40 + number) for number in range(3)]
        kept = line(tx, DAYS.audit_days - 1)
        archived = tx.connection.execute(select(audit).where(audit.c.entry_id.in_(old))).all()
    services.clock.now = datetime.now(UTC)
    swept(services, sweep)
    assert not rows(services, audit, audit.c.entry_id.in_(old))
    assert rows(services, audit, audit.c.entry_id == kept)
    line_about = rows(services, audit, audit.c.event == AUDIT_DROPPED)[-1]
    assert line_about.detail == {"lines": 3, "first": min(old), "last": max(old), "sha256": digest(archived)}
    assert digest(archived[:2]) != line_about.detail["sha256"]


def test_nobody_drops_a_line_of_less_than_a_year_whatever_the_clock_of_a_worker_says(services, sweep):
    with services.catalogue.transaction() as tx:
        young = line(tx, 300)
    services.clock.now = datetime.now(UTC) + timedelta(days=9000)
    sweep.drop_records()
    assert rows(services, audit, audit.c.entry_id == young)
    with services.catalogue.engine.connect() as connection, pytest.raises(Exception, match="append-only"):
        connection.execute(text(f"DELETE FROM audit WHERE entry_id = {young}"))


def test_a_consistency_token_counts_after_its_line_was_dropped(services, sweep):
    with services.catalogue.transaction() as tx:
        old, later = line(tx, DAYS.audit_days + 50), line(tx, 2)
    services.clock.now = datetime.now(UTC)
    swept(services, sweep)
    assert not rows(services, audit, audit.c.entry_id == old)
    with services.catalogue.reading() as tx:
        assert tx.audit.has(old)
        assert tx.audit.has(later)
        newest = tx.connection.execute(select(func.max(audit.c.entry_id))).scalar_one()
        assert not tx.audit.has(newest + 1)


def test_finished_sweeps_counts_and_abuse_signals_end(services, sweep):
    now = services.clock()
    with services.catalogue.transaction() as tx:
        over = tx.sweeps.begin(actor="t", now=now)
        tx.sweeps.write(over, {}, 1, finished_at=now)
        running = tx.sweeps.begin(actor="t", now=now)
        tx.policies.count(now.date(), "decision", {"a": 1})
        tx.abuse_signals.note("viewer", f"v{now.timestamp()}", "walk", now)
    services.clock.forward(days=DAYS.signals_days, seconds=-1)
    services.expiry.run_once()
    assert rows(services, abuse_signals)
    services.clock.forward(seconds=2)
    services.expiry.run_once()
    assert not rows(services, abuse_signals)
    services.clock.forward(days=DAYS.figures_days - DAYS.signals_days + 1)
    swept(services, sweep)
    services.expiry.run_once()
    left = {row.sweep_id for row in rows(services, sweeps)}
    assert running in left
    assert over not in left
    assert not rows(services, decision_counts, decision_counts.c.day <= date(now.year, now.month, now.day))


def test_the_change_feed_forgets_in_batches(services):
    with services.catalogue.transaction() as tx:
        tx.connection.execute(changes.delete())
        old = [{"kind": "profile", "key": f"p{number}", "at": 1000 + number, "txid": 1} for number in range(5)]
        tx.connection.execute(insert(changes), old)
        assert tx.feed.forget(limit=3) == 3
        assert {row.key for row in tx.connection.execute(select(changes.c.key))} == {"p3", "p4"}
        assert tx.feed.forget(limit=3) == 2
