"""The broker or the object store goes away and comes back, on the real services."""

import httpx
import pytest

from nightlight.jobs.lanes import UPLOAD
from nightlight_client import Problem
from tests.support import paused, pictures
from tests.support.waiting import eventually, job_of

pytestmark = [
    pytest.mark.failure,
    pytest.mark.integration,
    pytest.mark.parametrize("any_stack", ["scale"], indirect=True, scope="session"),
]


@pytest.fixture
def scale(any_stack):
    return any_stack


@pytest.fixture
def client(scale):
    with scale.client() as connected:
        yield connected


def declare(client, profile_id):
    client.declare(profile_id, band="age_13_15", assurance="verified", region="eu")


def test_an_upload_while_the_broker_is_down_is_accepted_and_rendered_once_it_is_back(scale, client):
    declare(client, "broker-down")
    scale.broker.cut()
    try:
        tried = scale.logs("schedule").count("schedule.failed")
        image = client.upload("broker-down", pictures.jpeg(seed=31))
        eventually(lambda: scale.logs("schedule").count("schedule.failed") > tried + 1)  # one of them may be older
        assert client.image(image.image_id).state == "pending"
        schedule = f"http://127.0.0.1:{scale.environment['NIGHTLIGHT_WORKER_SCHEDULE_HEALTH_PORT']}"
        answer = httpx.get(f"{schedule}/readyz")
        assert (answer.status_code, answer.json()["parts"]["queue"]) == (503, "queue_unavailable")
    finally:
        scale.broker.mend()
    assert client.wait(image.image_id).state == "ready"


def test_while_the_store_is_down_viewers_get_the_placeholder_and_uploads_are_refused(scale, client):
    declare(client, "store-down")
    image = client.upload("store-down", pictures.jpeg(seed=32))
    assert client.wait(image.image_id).state == "ready"
    (decision,) = client.decide("peer", "profile", [("store-down", "connection")])
    (served,) = client.decide("peer", "profile", [("store-down", "self")])
    assert pictures.opened(client.fetch(served.url).content).size[0] > 320
    scale.s3.cut()
    try:
        assert pictures.opened(client.fetch(served.url).content).size[0] > 320  # it is in the service's memory
        answer = client.fetch(decision.url)
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        assert pictures.opened(answer.content).size == (128, 128)
        with pytest.raises(Problem) as refused:
            client.upload("store-down", pictures.jpeg(seed=33))
        assert (refused.value.status, refused.value.code) == (503, "store_unavailable")
        assert httpx.get(f"{scale.url}/readyz").status_code == 503
    finally:
        scale.s3.mend()
    assert pictures.opened(client.fetch(decision.url).content).size == (320, 320)


def test_a_store_that_fails_during_a_render_delays_it_but_loses_nothing(scale, client):
    declare(client, "store-late")
    image = paused.pause(scale, client, "store-late")
    scale.s3.cut()
    try:
        with paused.releasing(scale):
            eventually(lambda: (job := job_of(scale, image.image_id)).state == "queued" and job.reason)
        assert client.image(image.image_id).state == "pending"
        assert job_of(scale, image.image_id).reason == "store_unavailable"
    finally:
        scale.s3.mend()
    with paused.releasing(scale):
        assert client.wait(image.image_id).state == "ready"


def test_without_its_database_the_service_answers_every_item_with_the_placeholder(scale, client, monkeypatch):
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url

    declare(client, "database-down")
    image = client.upload("database-down", pictures.jpeg(seed=35))
    assert client.wait(image.image_id).state == "ready"
    database = make_url(scale.environment["NIGHTLIGHT_CATALOGUE_URL"])
    admin = create_engine(database.set(database="postgres"), isolation_level="AUTOCOMMIT")
    shut = text(f"ALTER DATABASE {database.database} WITH ALLOW_CONNECTIONS false")
    drop = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
    with admin.connect() as connection:
        connection.execute(shut)
        connection.execute(drop, {"name": database.database})
        try:
            decisions = client.decide("peer", "profile", [("database-down", "self"), ("nobody", "stranger")])
            assert len({decision.url for decision in decisions}) == 1
            assert pictures.opened(client.fetch(decisions[0].url).content).size == (128, 128)
            with pytest.raises(Problem) as refused:
                client.image(image.image_id)
            assert refused.value.code == "catalogue_unavailable"
        finally:
            connection.execute(text(f"ALTER DATABASE {database.database} WITH ALLOW_CONNECTIONS true"))
    admin.dispose()
    (decision,) = client.decide("peer", "profile", [("database-down", "self")])
    assert pictures.opened(client.fetch(decision.url).content).size == (480, 480)


def test_while_the_database_only_reads_changes_are_refused_and_no_process_ends(scale, client):
    """As after a fail-over to a replica. The service answered 500, and the schedule ended."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url

    declare(client, "read-only")
    image = client.upload("read-only", pictures.jpeg(seed=36))
    assert client.wait(image.image_id).state == "ready"
    database = make_url(scale.environment["NIGHTLIGHT_CATALOGUE_URL"])
    admin = create_engine(database.set(database="postgres"), isolation_level="AUTOCOMMIT")
    drop = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {database.database} SET default_transaction_read_only = on"))
        connection.execute(drop, {"name": database.database})
        try:
            failed = scale.logs("schedule").count("schedule.failed")
            with pytest.raises(Problem) as refused:
                declare(client, "read-only")
            assert (refused.value.status, refused.value.code) == (503, "catalogue_unavailable")
            (decision,) = client.decide("peer", "profile", [("read-only", "stranger")])
            assert pictures.opened(client.fetch(decision.url).content).size == (96, 96)
            eventually(lambda: scale.logs("schedule").count("schedule.failed") > failed + 1)
        finally:
            connection.execute(text(f"ALTER DATABASE {database.database} RESET default_transaction_read_only"))
            connection.execute(drop, {"name": database.database})
    admin.dispose()
    assert {name: child.poll() for name, child in scale.children.items()} == dict.fromkeys(scale.children)
    again = client.upload("read-only", pictures.jpeg(seed=37))
    assert client.wait(again.image_id).state == "ready"


def test_a_message_that_no_task_can_take_ends_among_the_dead_letters(scale, client):
    from kombu import Connection

    from tests.support.services import BROKER, needed

    with Connection(needed(BROKER)) as connection:
        producer = connection.Producer()
        producer.publish(
            [[], {"job_id": "0" * 32}, {}],
            exchange=scale.queue,
            routing_key=UPLOAD,
            headers={"task": "nightlight.nonsense", "id": "nonsense", "lang": "py", "root_id": "n", "parent_id": None},
            serializer="json",
        )
        channel = connection.default_channel
        message = eventually(lambda: channel.basic_get(f"{scale.queue}.dead", no_ack=True))
    assert message.headers["task"] == "nightlight.nonsense"
    declare(client, "after-nonsense")
    image = client.upload("after-nonsense", pictures.jpeg(seed=41))
    assert client.wait(image.image_id).state == "ready"
