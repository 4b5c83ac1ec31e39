"""The Celery application, and how messages travel.

A queue for each lane (``nightlight.catalogue.lanes``; ``workers.places`` says who takes from which). On RabbitMQ they
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

from nightlight.catalogue.lanes import LANES, UPLOAD
from nightlight.errors import QueueUnavailable, SettingsRefused
from nightlight.settings import Deployment, Settings, require
from nightlight.wiring import embedded_queue_path
from workers import places, queue_transport

if TYPE_CHECKING:
    from nightlight.flows.publish import Send
    from nightlight.ids import JobId


_AMQP = ("amqp://", "amqps://", "pyamqp://")


def make_app(settings: Settings) -> Celery:
    """Return the application for these settings; nothing is connected yet.

    Raises SettingsRefused where they name no broker, or no RabbitMQ.
    """
    url = _broker_url(settings)
    queue_transport.register()
    app = Celery("nightlight", broker=url, include=["workers.tasks"], set_as_current=True)
    app.conf.update(_configuration(settings, quorum=url.startswith(_AMQP)))
    places.keep(app, {_queue(settings, lane): places_ for lane, places_ in places.of(settings.worker).items()})
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
        "worker_concurrency": sum(places.of(worker).values()),
        "worker_soft_shutdown_timeout": worker.shutdown_s,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_proc_alive_timeout": 60.0,
        "timezone": "UTC",
    }


def declare_dead_letters(app: Celery, settings: Settings) -> None:
    """Make the queue of messages that were delivered too often, and those of the lanes (RabbitMQ only).

    A message to a lane that no worker has declared yet would be dropped.
    """
    if not _is_amqp(app):
        return
    name = f"{settings.queue.name}.dead"
    exchange = Exchange(name, type="topic", durable=True)
    queue = Queue(name, exchange, routing_key="#", durable=True, queue_arguments={"x-queue-type": "quorum"})
    with app.connection_for_write() as connection:
        for one in (queue, *app.conf.task_queues):
            one.bind(connection.default_channel).declare()


def sender(app: Celery) -> Send:
    """Return a function that sends one task by name, and returns once the broker has it.

    By name, because ``delay()`` would put this process's idea of time limits into the message.
    """

    def send(task: str, job_id: JobId, lane: str) -> None:
        try:
            app.send_task(
                task,
                kwargs={"job_id": job_id},
                routing_key=lane,
                retry=True,
                retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.2},
                ignore_result=True,
            )
        except (KombuError, OSError, *app.connection_for_write().connection_errors) as error:
            raise QueueUnavailable(type(error).__name__) from error

    return send


def check_broker(app: Celery) -> None:
    """Return if the broker answers; raise QueueUnavailable if not."""
    connection: Connection
    try:
        with app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)
    except (KombuError, OSError) as error:
        raise QueueUnavailable(type(error).__name__) from error


def _queue(settings: Settings, lane: str) -> str:
    return f"{settings.queue.name}.{lane}"


def _is_amqp(app: Celery) -> bool:
    return str(app.conf.broker_url).startswith(_AMQP)


def _broker_url(settings: Settings) -> str:
    given = settings.queue.broker_url
    if given is None and settings.general.deployment is Deployment.EMBEDDED:
        return f"{queue_transport.SCHEME}://"
    url = require(given, "NIGHTLIGHT_QUEUE_BROKER_URL")
    if not url.startswith(_AMQP):
        message = (
            "NIGHTLIGHT_QUEUE_BROKER_URL must begin with amqp:// or amqps://; other brokers do not keep the lanes apart"
        )
        raise SettingsRefused(message)
    return url
