"""A worker takes from each queue no more messages than it has places, whatever waits in others: on both brokers."""

import pytest
from kombu import Exchange, Queue

from nightlight.settings import Settings
from nightlight.settings.process import WorkerSettings
from nightlight_core.errors import SettingsRefused
from tests.support.services import BROKER, needed, token
from workers import lane_places
from workers.app import make_app

pytestmark = pytest.mark.integration


@pytest.fixture(params=["rabbitmq", "embedded"])
def app(request, monkeypatch, tmp_path):
    monkeypatch.setenv("NIGHTLIGHT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("NIGHTLIGHT_QUEUE_NAME", f"places-{token()}")
    if request.param == "rabbitmq":
        monkeypatch.setenv("NIGHTLIGHT_QUEUE_BROKER_URL", needed(BROKER))
    return make_app(Settings())


@pytest.fixture
def queues(app):
    """Three queues, with one place, two and none: {lane: queue}."""
    name = app.conf.task_default_exchange
    exchange = Exchange(name, type="topic", durable=True)
    arguments = {"x-queue-type": "quorum"} if app.conf.broker_url.startswith("amqp") else {}
    by_lane = {
        lane: Queue(f"{name}.{lane}", exchange, routing_key=lane, durable=True, queue_arguments=arguments)
        for lane in ("urgent", "upload", "background")
    }
    lane_places.limit_places(app, {by_lane["urgent"].name: 1, by_lane["upload"].name: 2, by_lane["background"].name: 0})
    yield by_lane
    if not arguments:  # they are in the test's own folder
        return
    with app.connection() as connection:
        for queue in by_lane.values():
            queue(connection.default_channel).delete()
        connection.default_channel.exchange_delete(name)


def drained(connection, seconds=1.5):
    """Let what comes come, until nothing has for a while."""
    while True:
        try:
            connection.drain_events(timeout=seconds)
        except TimeoutError:
            return


def test_a_full_queue_holds_up_no_other_and_goes_on_when_a_place_is_free(app, queues):
    got = []
    with app.connection() as connection:
        with connection.Producer() as producer:
            for number in range(5):
                producer.publish(
                    {"n": number}, exchange=queues["upload"].exchange, routing_key="upload",
                    declare=list(queues.values()), serializer="json",
                )  # fmt: skip
        consumer = lane_places.PlacedConsumer(
            connection.channel(), list(queues.values()), accept=["json"], on_message=got.append
        )
        with consumer:
            drained(connection)
            assert [message.payload["n"] for message in got] == [0, 1]
            with connection.Producer() as producer:
                for lane in ("urgent", "urgent", "background"):
                    producer.publish({"n": lane}, exchange=queues[lane].exchange, routing_key=lane, serializer="json")
            drained(connection)
            assert [message.payload["n"] for message in got] == [0, 1, "urgent"]
            got[0].ack()
            drained(connection)
            assert [message.payload["n"] for message in got] == [0, 1, "urgent", 2]
            got[2].ack()
            drained(connection)
            assert [message.payload["n"] for message in got] == [0, 1, "urgent", 2, "urgent"]
            got[1].reject(requeue=True)  # it comes back, sooner or later
            while len(got) < 8:
                drained(connection)
                got[-1].ack()
            rest = {message.payload["n"]: bool(message.delivery_info["redelivered"]) for message in got[5:]}
            assert rest == {1: True, 3: False, 4: False}
            for message in got[3], got[4]:
                message.ack()


def test_a_worker_has_a_child_for_each_place_and_none_for_what_it_leaves_to_others():
    worker = WorkerSettings(concurrency=3, erasures=1, urgent=1, traces=0, background=2)
    assert lane_places.places_by_lane(worker) == {"erasure": 1, "urgent": 1, "trace": 0, "upload": 3, "background": 2}
    with pytest.raises(ValueError, match="are all 0"):
        WorkerSettings(concurrency=0, erasures=0, urgent=0, traces=0, background=0)


def test_a_broker_that_cannot_keep_the_lanes_apart_is_refused(monkeypatch):
    monkeypatch.setenv("NIGHTLIGHT_QUEUE_BROKER_URL", "redis://localhost/0")
    with pytest.raises(SettingsRefused, match="amqp"):
        make_app(Settings())


def test_only_the_embedded_deployment_has_a_queue_of_its_own(monkeypatch):
    monkeypatch.setenv("NIGHTLIGHT_DEPLOYMENT", "scale")
    monkeypatch.delenv("NIGHTLIGHT_QUEUE_BROKER_URL", raising=False)
    with pytest.raises(SettingsRefused, match="NIGHTLIGHT_QUEUE_BROKER_URL"):
        make_app(Settings())


@pytest.mark.parametrize("app", ["embedded"], indirect=True)
def test_what_nobody_would_take_is_not_kept_in_the_file(app):
    with app.connection() as connection, connection.Producer() as producer:
        for exchange in ("celeryev", app.conf.task_default_exchange):
            producer.publish({}, exchange=exchange, routing_key="upload", serializer="json")
        channel = connection.default_channel
        assert channel.basic_get("celeryev.upload") is None
        assert channel.basic_get(f"{app.conf.task_default_exchange}.upload").payload == {}
