"""A worker takes from each queue no more messages than it has places, whatever waits in others: on both brokers."""

import pytest
from kombu import Connection, Exchange, Queue

from nightlight.settings import Settings, WorkerSettings
from tests.support.services import BROKER, REDIS, needed, token
from workers import lane_places
from workers.app import make_app

pytestmark = pytest.mark.integration


@pytest.fixture(params=["rabbitmq", "redis"])
def url(request):
    return needed(BROKER if request.param == "rabbitmq" else REDIS)


@pytest.fixture
def queues(url):
    """Two queues, with one place and two: {lane: queue}."""
    name = f"places-{token()}"
    exchange = Exchange(name, type="topic", durable=True)
    arguments = {"x-queue-type": "quorum"} if url.startswith("amqp") else {}
    made = {
        lane: Queue(f"{name}.{lane}", exchange, routing_key=lane, durable=True, queue_arguments=arguments)
        for lane in ("urgent", "upload", "background")
    }
    environment = {"NIGHTLIGHT_QUEUE_BROKER_URL": url}
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        app = make_app(Settings())
    lane_places.keep(app, {made["urgent"].name: 1, made["upload"].name: 2, made["background"].name: 0})
    yield made
    with Connection(url) as connection:
        for queue in made.values():
            queue(connection.default_channel).delete()
        connection.default_channel.exchange_delete(name)


def drained(connection, seconds=1.5):
    """Let what comes come, until nothing has for a while."""
    while True:
        try:
            connection.drain_events(timeout=seconds)
        except TimeoutError:
            return


def test_a_full_queue_holds_up_no_other_and_goes_on_when_a_place_is_free(url, queues):
    got = []
    with Connection(url) as connection:
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
            assert [one.payload["n"] for one in got] == [0, 1]
            with connection.Producer() as producer:
                for lane in ("urgent", "urgent", "background"):
                    producer.publish({"n": lane}, exchange=queues[lane].exchange, routing_key=lane, serializer="json")
            drained(connection)
            assert [one.payload["n"] for one in got] == [0, 1, "urgent"]
            got[0].ack()
            drained(connection)
            assert [one.payload["n"] for one in got] == [0, 1, "urgent", 2]
            got[2].ack()
            drained(connection)
            assert [one.payload["n"] for one in got] == [0, 1, "urgent", 2, "urgent"]
            for one in got[1], got[3], got[4]:
                one.ack()


def test_a_worker_has_a_child_for_each_place_and_none_for_what_it_leaves_to_others():
    worker = WorkerSettings(concurrency=3, urgent=1, traces=0, background=2)
    assert lane_places.of(worker) == {"urgent": 1, "trace": 0, "upload": 3, "background": 2}
    with pytest.raises(ValueError, match="nothing would be done"):
        WorkerSettings(concurrency=0, urgent=0, traces=0, background=0)
