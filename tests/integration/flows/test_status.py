"""What an operator is told of what waits, and from when on it is a problem."""

from dataclasses import replace
from datetime import timedelta

import pytest

from nightlight.flows.status import ProcessStatus, StatusReader, problems_of
from nightlight_core.errors import StoreDenied
from tests.support import pictures

pytestmark = pytest.mark.integration


@pytest.fixture
def reader(services):
    return StatusReader(
        services.catalogue, services.clock, "1.2.3", "0010", "d" * 64, 1, lambda: 100.0, {"bucket a": list}
    )


@pytest.fixture(autouse=True)
def nothing_waits(services):
    """What earlier tests of this module left is taken."""
    with services.catalogue.transaction() as tx:
        for event in tx.events.claim(services.clock() + timedelta(days=900), limit=1000, claim_s=1):
            tx.events.taken(event.event_id, services.clock())


def test_an_upload_is_seen_in_the_outbox_and_then_in_its_lane(services, reader, profile_id):
    assert reader.look().problems == []
    services.upload(profile_id)
    services.clock.forward(seconds=61)
    status = reader.look()
    assert (status.outbox.count, status.outbox.oldest_s) == (1, 61)
    assert [problem.partition(":")[0] for problem in status.problems] == ["outbox"]
    services.relay.run_once()
    services.clock.forward(seconds=60)
    status = reader.look()
    assert status.outbox.count == 0
    (kind,) = status.kinds
    assert (kind.kind, kind.lane, kind.waiting, kind.leased, kind.oldest_s) == ("render", "upload", 1, 0, 121)
    assert [problem.partition(":")[0] for problem in status.problems] == ["upload"]


def test_an_erasure_is_a_problem_after_a_minute_and_overdue_after_the_policys_time(services, reader, profile_id):
    services.upload(profile_id)
    services.delete.profile(profile_id, actor="t")
    services.relay.run_once()
    services.clock.forward(seconds=61)
    assert reader.look().problems[0].startswith("erasure: ")
    services.clock.forward(days=2)
    status = reader.look()
    assert status.erasures_overdue == 1
    assert any(problem.startswith("erasures: 1 ") for problem in status.problems)
    # Somebody has to be told of the picture that is gone; the platform has not taken it.
    assert status.webhooks.count >= 1
    assert any(problem.startswith("webhooks: ") for problem in status.problems)


def test_what_is_put_off_waits_from_then_on(services, reader, profile_id):
    services.upload(profile_id)
    services.delete.profile(profile_id, actor="t")
    assert "erased" in services.deliver()  # and in an hour it is looked whether anything is left
    for minutes, oldest_s in ((30, 0), (31, 60)):
        services.clock.forward(minutes=minutes)
        (verify,) = [kind for kind in reader.look().kinds if kind.kind == "verify_erasure"]
        assert (verify.waiting, verify.oldest_s) == (1, oldest_s)


def test_jobs_that_failed_are_told_for_a_day(services, reader, profile_id):
    image = services.upload(profile_id, pictures.jpeg())
    with services.catalogue.transaction() as tx:
        (job_id,) = tx.connection.exec_driver_sql(
            f"SELECT job_id FROM jobs WHERE image_id = '{image.image_id}'"
        ).scalars()
        lease = tx.jobs.lease(job_id, "render", "image_id", services.clock(), 60)
        tx.jobs.fail(lease, "worker_crashed", services.clock())
    services.relay.run_once()
    services.clock.forward(hours=1)
    status = reader.look()
    assert [(f.kind, f.reason, f.jobs) for f in status.failures] == [("render", "worker_crashed", 1)]
    assert status.problems == ["jobs: 1 failed for good within a day"]
    services.clock.forward(days=1)
    assert reader.look().failures == []


def test_what_is_not_in_the_catalogue_is_told_too(services, reader):
    def refused():
        raise StoreDenied("no")

    looks = {"bucket a": lambda: ["a rule is gone"], "bucket b": refused}
    status = replace(reader, looks=looks, certificate_days=lambda: 13.9).look()
    assert status.problems == [
        "certificate: it may sign for 13.9 more days",
        "bucket a: a rule is gone",
        f"bucket b: could not be looked at: {StoreDenied.code}",
    ]


def test_the_most_urgent_comes_first(services, reader):
    status = reader.look()
    processes = [ProcessStatus("http://a", ready=False, parts={"schema": "schema_behind"})]
    lanes = [replace(lane, waiting=1, oldest_s=1e6) for lane in status.lanes]
    problems = problems_of(replace(status, lanes=lanes, processes=processes, takedowns_overdue=2))
    assert [problem.split()[0] for problem in problems] == [
        "erasure:", "urgent:", "trace:", "upload:", "background:", "takedown", "http://a"
    ]  # fmt: skip
    assert problems[-1] == "http://a is not ready: schema schema_behind"


def test_an_endpoint_that_is_disabled_is_a_problem(services, reader):
    with services.catalogue.transaction() as tx:
        endpoint = tx.webhooks.configured("e" * 16, "https://platform.example/hook", services.clock())
        tx.webhooks.write(replace(endpoint, state="disabled", reason="gone"))
    problems = reader.look().problems
    with services.catalogue.transaction() as tx:
        tx.webhooks.forget_endpoints()
    assert "webhooks: https://platform.example/hook is disabled" in problems[0]
    assert reader.look().problems == []
