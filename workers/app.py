"""The Celery application, and how messages travel.

A queue for each lane (``nightlight.jobs.lanes``; ``workers.lane_places`` says who takes from which). On RabbitMQ they
are quorum queues behind a topic exchange; in the embedded deployment they are in a file (``workers.queue_file``). A
message whose receiver dies is delivered again at once, at most ``delivery_limit`` times, and then dead-lettered for a
person to look at. Results are kept nowhere but in the catalogue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError

from nightlight import logs, telemetry
from nightlight.jobs.lanes import LANES, UPLOAD
from nightlight.settings import Settings
from nightlight.settings.base import require
from nightlight.settings.process import Deployment
from nightlight.wiring.components import embedded_queue_path
from nightlight_core.errors import QueueUnavailable, SettingsRefused
from workers import lane_places, queue_transport

if TYPE_CHECKING:
    from nightlight.jobs.relay import Send
    from nightlight_core.ids import JobId


_AMQP = ("amqp://", "amqps://", "pyamqp://")


def make_app(settings: Settings) -> Celery:
    """Return the application for these settings; nothing is connected yet.

    Raises SettingsRefused where they name no broker, or no RabbitMQ.
    """
    url = _broker_url(settings)
    queue_transport.register()
    # Without fixups: Celery's own would load the site of a DJANGO_SETTINGS_MODULE that this process inherits.
    app = Celery("nightlight", broker=url, include=["workers.tasks"], set_as_current=True, fixups=set())
    app.conf.update(_configuration(settings, quorum=url.startswith(_AMQP)))
    lane_places.limit_places(
        app, {_queue(settings, lane): places_ for lane, places_ in lane_places.places_by_lane(settings.worker).items()}
    )
    return app


def _configuration(settings: Settings, *, quorum: bool) -> dict[str, Any]:
    worker = settings.worker
    queue = settings.queue
    exchange = Exchange(queue.name, type="topic", durable=True)
    arguments: dict[str, Any] = {}
    transport: dict[str, Any]
    if quorum:
        arguments = {
            "x-queue-type": "quorum",
            "x-delivery-limit": queue.delivery_limit,
            "x-dead-letter-exchange": f"{queue.name}.dead",
        }
        transport = {"confirm_publish": True, "connect_timeout": 5, "read_timeout": 10, "write_timeout": 10}
    else:
        transport = queue_transport.options(
            embedded_queue_path(settings.general.data_dir),
            exchange=queue.name,
            delivery_limit=queue.delivery_limit,
            dead_letters=f"{queue.name}.dead",
        )
    return {
        "task_queues": [
            Queue(_queue(settings, lane), exchange, routing_key=lane, durable=True, queue_arguments=arguments)
            for lane in LANES
        ],
        "task_default_queue": _queue(settings, UPLOAD),
        "task_default_exchange": exchange.name,
        "task_default_exchange_type": "topic",
        "task_default_routing_key": UPLOAD,
        "task_create_missing_queues": False,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_failure_or_timeout": False,
        "task_time_limit": worker.time_limit_s,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_backend": None,
        "broker_transport_options": transport,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "worker_pool_start_method": "spawn",
        "worker_prefetch_multiplier": 1,
        "worker_concurrency": sum(lane_places.places_by_lane(worker).values()),
        "worker_soft_shutdown_timeout": worker.shutdown_s,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_proc_alive_timeout": 600.0,  # a child that replaces another loads the product before it is up
        "timezone": "UTC",
    }


def declare_queues(app: Celery, settings: Settings) -> None:
    """Declare the queue of each lane and, on RabbitMQ, that of messages that were delivered too often.

    A message to a lane that nobody has declared yet is dropped, so whoever publishes declares them first. A queue that
    the broker refuses to declare, since it has other arguments or this user may not, is logged and left as it is.

    Raises QueueUnavailable, within seconds, where the broker does not answer.
    """
    queues = list(app.conf.task_queues)
    if _is_amqp(app):
        name = f"{settings.queue.name}.dead"
        exchange = Exchange(name, type="topic", durable=True)
        arguments = {"x-queue-type": "quorum"}
        queues.append(Queue(name, exchange, routing_key="#", durable=True, queue_arguments=arguments))
    try:
        with app.connection_for_write() as connection:
            _connect(connection)
            for queue in queues:
                try:
                    with connection.channel() as channel:  # the broker closes the channel of what it refuses
                        queue.bind(channel).declare()
                except connection.channel_errors as error:
                    logs.get("queue").error("queue.not_declared", detail=f"{queue.name}: {error}")
    except _broker_errors(app) as error:
        raise QueueUnavailable(type(error).__name__) from error


def sender(app: Celery, settings: Settings) -> Send:
    """Return a function that sends one task by name, and returns once the broker has it.

    By name, because ``delay()`` would put this process's idea of time limits into the message. Queues are declared
    before the first message, and again after an outage: the broker that comes back may have lost them. The function
    raises QueueUnavailable.
    """
    declared = False

    def send(task: str, job_id: JobId, lane: str) -> None:
        nonlocal declared
        if not declared:
            declare_queues(app, settings)
            declared = True
        span = telemetry.traceparent()
        try:
            app.send_task(
                task,
                kwargs={"job_id": job_id},
                headers={"traceparent": span} if span else None,
                routing_key=lane,
                retry=True,
                retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.2},
                ignore_result=True,
                declare=[],  # Celery would declare the default queue, and that alone
            )
        except _broker_errors(app) as error:
            declared = False
            raise QueueUnavailable(type(error).__name__) from error

    return send


def check_broker(app: Celery) -> None:
    """Return if the broker answers; raise QueueUnavailable if not."""
    connection: Connection
    try:
        with app.connection_for_read() as connection:
            _connect(connection)
    except (KombuError, OSError) as error:
        raise QueueUnavailable(type(error).__name__) from error


def _connect(connection: Connection) -> None:
    """Connect, or raise within seconds; whatever else connects would go on trying for ever."""
    connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)


def _broker_errors(app: Celery) -> tuple[type[BaseException], ...]:
    """Return what is raised where the broker does not answer, or refuses."""
    connection = app.connection_for_write()  # nothing is connected yet
    return (KombuError, OSError, *connection.connection_errors, *connection.channel_errors)


def _queue(settings: Settings, lane: str) -> str:
    return f"{settings.queue.name}.{lane}"


def _is_amqp(app: Celery) -> bool:
    return str(app.conf.broker_url).startswith(_AMQP)


def _broker_url(settings: Settings) -> str:
    given = settings.queue.broker_url
    if given is None and settings.general.deployment is Deployment.EMBEDDED:
        return f"{queue_transport.SCHEME}://localhost"
    url = require(given, "NIGHTLIGHT_QUEUE_BROKER_URL")
    if not url.startswith(_AMQP):
        raise SettingsRefused(
            "NIGHTLIGHT_QUEUE_BROKER_URL must begin with amqp:// or amqps://; other brokers do not keep the lanes apart"
        )
    return url
