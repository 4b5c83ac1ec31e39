"""How many messages of each lane a worker takes at once, so that each lane always has a child that is free for it.

A worker has a child process for each place, and never takes more messages from a lane's queue than the lane has
places. So whatever is taken is begun at once, and however many uploads wait, an erasure finds a child.

The broker counts for us: a prefetch count is set for each consumer. Quorum queues know no priorities (RabbitMQ 3.10),
and no global prefetch; the embedded queue gives a count the same meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kombu.entity import Queue
from kombu.messaging import Consumer

from nightlight.jobs.lanes import BACKGROUND, ERASURE, TRACE, UPLOAD, URGENT

if TYPE_CHECKING:
    from celery import Celery

    from nightlight.settings.process import WorkerSettings

# The places of each queue in this process: consumers are made by Celery, which hands nothing on to them.
_places: dict[str, int] = {}


def places_by_lane(worker: WorkerSettings) -> dict[str, int]:
    """Return how many places a worker has for each lane."""
    return {
        ERASURE: worker.erasures,
        URGENT: worker.urgent,
        TRACE: worker.traces,
        UPLOAD: worker.concurrency,
        BACKGROUND: worker.background,
    }


def limit_places(app: Celery, places: Mapping[str, int]) -> None:
    """Have the worker of ``app`` take at most so many messages from each queue at a time, from none where it is 0."""
    _places.clear()
    _places.update(places)
    app.amqp.Consumer = PlacedConsumer


class PlacedConsumer(Consumer):
    """Begins to consume from each queue with the prefetch count of its own."""

    def _basic_consume(self, queue: Queue, *args: Any, **options: Any) -> Any:
        places = _places.get(queue.name)
        if places == 0:
            return None
        if places is not None:
            channel: Any = self.channel
            channel.basic_qos(0, places, False)
        return super()._basic_consume(queue, *args, **options)
