"""Whoever publishes first declares the queues, so that RabbitMQ drops no message."""

import threading
from urllib.parse import urlsplit

import pytest
from kombu import Connection, Exchange, Queue
from structlog.testing import capture_logs

from nightlight.catalogue.schema import outbox as outbox_table
from nightlight.jobs.lanes import LANES, RANKS, URGENT
from nightlight.jobs.relay import Relay
from nightlight.settings import Settings
from nightlight.settings.process import WorkerSettings
from nightlight_core.clock import system_clock
from nightlight_core.errors import QueueUnavailable
from nightlight_core.ids import JobId
from tests.support.proxy import Proxy
from tests.support.services import BROKER, needed, token
from workers import schedule
from workers.app import declare_queues, make_app, sender

pytestmark = pytest.mark.integration


class Broker:
    """A broker behind a proxy, and an application whose queues have names that nobody used before."""

    def __init__(self, url, patch):
        self.url, at = url, urlsplit(url)
        self.proxy = Proxy(at.hostname, at.port)
        self.name = f"first-{token()}"
        credentials = f"{at.username}:{at.password}@" if at.username else ""
        patch.setenv("NIGHTLIGHT_QUEUE_BROKER_URL", f"{at.scheme}://{credentials}127.0.0.1:{self.proxy.port}{at.path}")
        patch.setenv("NIGHTLIGHT_QUEUE_NAME", self.name)
        self.settings = Settings()
        self.app = make_app(self.settings)

    def waiting(self):
        """Return how many messages each queue that there is has, by lane."""
        declared = {}
        with Connection(self.url) as connection:
            for lane in (*LANES, "dead"):
                try:
                    with connection.channel() as channel:
                        name = f"{self.name}.{lane}"
                        declared[lane] = Queue(name, channel=channel).queue_declare(passive=True).message_count
                except connection.channel_errors:
                    continue
        return declared

    def close(self):
        self.app.close()
        self.proxy.close()
        with Connection(self.url) as connection:
            channel = connection.default_channel
            for queue in (*self.app.conf.task_queues, Queue(f"{self.name}.dead", Exchange(f"{self.name}.dead"))):
                queue(channel).delete()
            for name in (self.name, f"{self.name}.dead"):
                channel.exchange_delete(name)


@pytest.fixture
def rabbitmq(monkeypatch):
    broker = Broker(needed(BROKER), monkeypatch)
    yield broker
    broker.close()


def schedule_alone(catalogue, send, until):
    """Run the schedule over the outbox, without any worker, until something is so."""
    stop = threading.Event()
    relay = Relay(catalogue, send, system_clock)

    class Watched:
        def run_once(self):
            try:
                return relay.run_once()
            finally:
                if until():
                    stop.set()

    class Nothing:
        def run_once(self):
            return 0

    schedule.run(Watched(), Nothing(), WorkerSettings(relay_interval_s=0.01), stop)


def outbox(catalogue):
    with catalogue.reading() as tx:
        return len(tx.connection.execute(outbox_table.select()).all())


def test_the_schedule_alone_publishes_to_queues_that_nobody_has_declared(rabbitmq, fresh):
    with fresh.transaction() as tx:
        tx.outbox.add([("nightlight.erase", JobId(token()), RANKS[URGENT])], system_clock())
    schedule_alone(fresh, sender(rabbitmq.app, rabbitmq.settings), lambda: not outbox(fresh))
    assert rabbitmq.waiting()["urgent"] == 1


def test_while_the_broker_is_down_the_schedule_goes_on_and_publishes_once_it_is_back(rabbitmq, fresh):
    with fresh.transaction() as tx:
        tx.outbox.add([("nightlight.erase", JobId(token()), RANKS[URGENT])], system_clock())
    rabbitmq.proxy.cut()
    tried = []

    def back():
        tried.append(True)
        if len(tried) == 2:
            rabbitmq.proxy.mend()
        return not outbox(fresh)

    with capture_logs() as lines:
        schedule_alone(fresh, sender(rabbitmq.app, rabbitmq.settings), back)
    assert [line["code"] for line in lines if line["event"] == "schedule.failed"][:2] == ["queue_unavailable"] * 2
    assert rabbitmq.waiting()["urgent"] == 1


def test_a_broker_that_comes_back_without_its_queues_is_given_them_again(rabbitmq):
    send = sender(rabbitmq.app, rabbitmq.settings)
    send("nightlight.erase", token(), "urgent")
    rabbitmq.proxy.cut()
    with pytest.raises(QueueUnavailable):
        send("nightlight.erase", token(), "urgent")
    with Connection(rabbitmq.url) as connection:
        connection.default_channel.queue_delete(f"{rabbitmq.name}.urgent")
    rabbitmq.proxy.mend()
    send("nightlight.erase", token(), "urgent")
    assert rabbitmq.waiting()["urgent"] == 1


def test_every_lane_and_the_dead_letters_have_a_queue(rabbitmq):
    declare_queues(rabbitmq.app, rabbitmq.settings)
    declare_queues(rabbitmq.app, rabbitmq.settings)
    assert rabbitmq.waiting() == dict.fromkeys((*LANES, "dead"), 0)


def test_a_queue_with_other_arguments_is_left_as_it_is_and_published_to(rabbitmq, monkeypatch):
    """Processes of two releases, or with two delivery limits, run beside each other while they are brought up to date."""
    declare_queues(rabbitmq.app, rabbitmq.settings)
    monkeypatch.setenv("NIGHTLIGHT_QUEUE_DELIVERY_LIMIT", str(rabbitmq.settings.queue.delivery_limit + 1))
    other = Settings()
    app = make_app(other)
    with capture_logs() as lines:
        send = sender(app, other)
        for lane in LANES:
            send("nightlight.erase", token(), lane)
    app.close()
    refused = [line["detail"].split(":")[0] for line in lines if line["event"] == "queue.not_declared"]
    assert refused == [f"{rabbitmq.name}.{lane}" for lane in LANES]
    assert rabbitmq.waiting() == {**dict.fromkeys(LANES, 1), "dead": 0}


def test_a_worker_of_a_shell_of_django_loads_no_site(monkeypatch):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "no.such.site")
    monkeypatch.setenv("NIGHTLIGHT_QUEUE_BROKER_URL", "amqp://127.0.0.1:1")
    app = make_app(Settings())
    app.loader.import_default_modules()
    assert (app.fixups, "nightlight.render" in app.tasks) == (set(), True)
    app.close()
