"""How many messages of each lane a worker takes at once, so that each lane always has a child that is free for it.

A worker has a child process for each place, and never takes more messages from a lane's queue than the lane has
places. So whatever is taken is begun at once, and however many uploads wait, an erasure finds a child.

RabbitMQ counts for us: a prefetch count is set for each consumer. Quorum queues know no priorities (RabbitMQ 3.10),
and no global prefetch. The embedded Redis knows neither; there the channel asks only those queues that have places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kombu.entity import Queue
from kombu.messaging import Consumer
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis

from nightlight.jobs.lanes import BACKGROUND, TRACE, UPLOAD, URGENT

if TYPE_CHECKING:
    from celery import Celery

    from nightlight.settings import WorkerSettings

_SHORT_S = 0.05
# The places of each queue in this process: Redis's channels are made by kombu, which hands nothing on to them.
_places: dict[str, int] = {}


def of(worker: WorkerSettings) -> dict[str, int]:
    """Return how many places a worker has for each lane."""
    return {
        URGENT: worker.urgent,
        TRACE: worker.traces,
        UPLOAD: worker.concurrency,
        BACKGROUND: worker.background,
    }


def keep(app: Celery, places: Mapping[str, int]) -> None:
    """Have the worker of ``app`` take at most so many messages from each queue at a time, from none where it is 0."""
    _places.clear()
    _places.update(places)
    app.amqp.Consumer = PlacedConsumer
    TRANSPORT_ALIASES["redis"] = f"{__name__}:RedisTransport"


class PlacedConsumer(Consumer):
    """Begins to consume from each queue with the prefetch count of its own."""

    def _basic_consume(self, queue: Queue, *args: Any, **options: Any) -> Any:
        places = _places.get(queue.name)
        if places == 0:
            return None
        if places is not None:
            channel: Any = self.channel
            # A channel of Redis has one count for all that it holds.
            shared = isinstance(channel, kombu_redis.Channel)
            channel.basic_qos(0, sum(_places.values()) if shared else places, False)
        return super()._basic_consume(queue, *args, **options)


class RedisChannel(kombu_redis.Channel):
    """Asks no queue of which as many messages are being worked on as it has places."""

    def _brpop_start(self, timeout: float | None = None) -> None:
        free = self._free()
        self._queue_cycle.update(free)
        # While a queue is left out, somebody may be waiting in it for a place to become free.
        super()._brpop_start(timeout if len(free) == len(self.active_queues) else _SHORT_S)

    def _free(self) -> list[str]:
        taken = Counter(
            (message.delivery_info or {}).get("routing_key")
            for tag, message in self.qos._delivered.items()  # noqa: SLF001 - kombu says it nowhere else
            if tag not in self.qos._dirty  # noqa: SLF001
        )
        lane_of = {queue: queue.rpartition(".")[2] for queue in self.active_queues}
        return [queue for queue in self.active_queues if queue not in _places or taken[lane_of[queue]] < _places[queue]]


class RedisTransport(kombu_redis.Transport):
    """Redis with those channels."""

    Channel = RedisChannel
