"""The worker's composition: each kind of job meets its handler, and a job is enqueued with its message in one call."""

import os
from datetime import timedelta

import pytest
from sqlalchemy import select

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.schema import jobs as jobs_table
from nightlight.catalogue.schema import outbox as outbox_table
from nightlight.cli import key_commands
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue, enqueue_many, lane_before
from nightlight.jobs.kinds import KINDS
from nightlight.jobs.lanes import BACKGROUND, ERASURE, RANKS, UPLOAD
from nightlight.jobs.runner import JobRunner
from nightlight.settings import Settings
from nightlight.wiring.components import embedded_catalogue_url
from nightlight.wiring.worker_container import build_worker

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(monkeypatch, tmp_path):
    for name in os.environ:
        if name.startswith("NIGHTLIGHT_"):
            monkeypatch.delenv(name)
    key_commands.init(tmp_path)
    for name, value in {**key_commands.environment(tmp_path), "NIGHTLIGHT_DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    catalogue = Catalogue(embedded_catalogue_url(tmp_path))
    migrate.upgrade(catalogue.engine)
    catalogue.close()
    return Settings()


def test_each_kind_meets_the_handler_that_leases_it(settings, monkeypatch, tmp_path):
    (tmp_path / "lists").mkdir()
    monkeypatch.setenv("NIGHTLIGHT_MATCHING_LISTS_DIR", str(tmp_path / "lists"))
    leased = []
    monkeypatch.setattr(JobRunner, "run", lambda _self, _job_id, kind, *_, **_named: leased.append(kind) or "nothing")
    worker = build_worker(Settings())
    try:
        for kind, handler in worker.handlers.items():
            handler("0" * 32, redelivered=False)
            assert leased.pop() is kind
        assert {kind.name for kind in worker.handlers} == KINDS.keys()
    finally:
        worker.close()


def test_a_worker_without_lists_has_no_handler_for_matching_again_and_for_nothing_else(settings):
    worker = build_worker(settings)
    worker.close()
    assert [kind for kind, handler in worker.handlers.items() if handler is None] == [kinds.RESCREEN]


def written(services, image_id, kind):
    jobs, outbox = jobs_table.c, outbox_table.c
    with services.catalogue.reading() as tx:
        query = select(jobs.job_id, jobs.lane, jobs.next_run_at, jobs.planned, outbox.task, outbox.lane)
        query = query.outerjoin_from(jobs_table, outbox_table, outbox.job_id == jobs.job_id)
        rows = tx.connection.execute(query.where(jobs.image_id == image_id, jobs.kind == kind.name)).all()
    return [tuple(row) for row in rows]


def test_a_job_and_its_message_are_written_in_one_call(services, profile_id):
    image_id, now = services.upload(profile_id).image_id, services.clock()
    with services.catalogue.transaction() as tx:
        job_id = enqueue(tx, kinds.ERASE, image_id, now, planned=["a/b"])
    rank = RANKS[ERASURE]
    assert written(services, image_id, kinds.ERASE) == [
        (job_id, rank, now + timedelta(seconds=10), ["a/b"], "nightlight.erase", rank)
    ]


def test_a_job_that_is_put_off_has_no_message_until_it_is_due(services, profile_id):
    image_id, now = services.upload(profile_id).image_id, services.clock()
    with services.catalogue.transaction() as tx:
        job_id = enqueue(tx, kinds.VERIFY_ERASURE, image_id, now, delay=timedelta(hours=3))
    due = now + timedelta(hours=3)
    assert written(services, image_id, kinds.VERIFY_ERASURE) == [(job_id, RANKS[ERASURE], due, [], None, None)]
    services.clock.now = due
    services.reconciler.run_once()
    (row,) = written(services, image_id, kinds.VERIFY_ERASURE)
    assert row[4:] == ("nightlight.verify_erasure", RANKS[ERASURE])


def test_jobs_that_are_enqueued_together_are_published_at_once_in_the_lane_asked_for(services, profile_id):
    first, second = services.upload(profile_id).image_id, services.upload(profile_id).image_id
    with services.catalogue.transaction() as tx:
        enqueue_many(tx, kinds.ROTATE_NAMES, [first, second], services.clock(), lane=BACKGROUND)
        assert lane_before(tx, kinds.ROTATE_NAMES, first) == BACKGROUND
        assert lane_before(tx, kinds.RENDER, second) == UPLOAD
        assert lane_before(tx, kinds.COPY_TO_VAULT, second) is None
    for image_id in (first, second):
        ((_, lane, _, _, task, published),) = written(services, image_id, kinds.ROTATE_NAMES)
        assert (lane, task, published) == (RANKS[BACKGROUND], "nightlight.rotate_names", RANKS[BACKGROUND])
