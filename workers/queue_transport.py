"""Celery's way to the embedded deployment's queues: a transport of kombu over ``workers.queue_file``.

A message to the exchange of the jobs lies in the queue that is named after the exchange and the routing key, whether
anybody declared it or not. Messages to other exchanges, such as Celery's events, are dropped: nobody would take them.
A prefetch count holds for each consumer by itself, as on RabbitMQ, so that whoever sets it need not know which broker
it is.
"""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

from kombu.transport import TRANSPORT_ALIASES, virtual

from workers.queue_file import QueueFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from kombu.asynchronous import Hub

SCHEME = "nightlight"
# How long a message that was published, or whose receiver died, waits at most until somebody looks.
_LOOK_S = 0.02
_SEARCH_DEAD_S = 0.25


def register() -> None:
    """Let kombu know the scheme of the URL."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:FileTransport"


def options(path: Path, *, exchange: str, delivery_limit: int, dead_letters: str) -> dict[str, Any]:
    """Return the transport options of a connection: the exchange of the jobs, and what ``QueueFile`` asks for."""
    return {"path": str(path), "exchange": exchange, "delivery_limit": delivery_limit, "dead_letters": dead_letters}


class Channel(virtual.Channel):
    """Gives each consumer at most as many messages as its prefetch count says, 0 being no limit."""

    def __init__(self, connection: FileTransport, **kwargs: Any) -> None:
        """Begin without consumers."""
        super().__init__(connection, **kwargs)
        self._prefetch_count = 0  # of the consumers that begin from now on
        self._places: dict[str, int] = {}
        self._claimed: dict[str, str] = {}  # delivery tag: queue

    @property
    def _file(self) -> QueueFile:
        file: QueueFile = self.connection.file
        return file

    def deliver(self) -> bool:
        """Hand waiting messages to consumers that have places free; return whether there were any."""
        delivered = False
        for queue in tuple(self._active_queues):
            taken = sum(claimed_from == queue for claimed_from in self._claimed.values())
            places = self._places[queue]
            for _ in range(places - taken if places else 1):
                message = self._claim(queue)
                if message is None:
                    break
                self.connection._deliver(message, queue)  # noqa: SLF001 - kombu's own transports do so
                delivered = True
        return delivered

    def drain_events(self, timeout: float | None = None, callback: object = None) -> None:  # noqa: ARG002
        """Deliver what waits; raise Empty if nothing does."""
        self.connection.search_dead()
        if not self.deliver():
            raise Empty

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - AMQP's
        """Set how many messages each consumer may have that begins from now on."""
        self._prefetch_count = prefetch_count

    def basic_consume(
        self,
        queue: str,
        no_ack: bool,  # noqa: FBT001 - AMQP's
        callback: Callable[[Any], object],
        consumer_tag: str,
        **kwargs: Any,
    ) -> None:
        """Begin to consume; every message must be acknowledged."""
        if no_ack:
            raise NotImplementedError("messages of the embedded queue must be acknowledged")
        self._places[queue] = self._prefetch_count
        # Kombu would keep a list of its own of what is not acknowledged.
        super().basic_consume(queue, True, callback, consumer_tag, **kwargs)
        self._file.look_again()

    def basic_get(self, queue: str, no_ack: bool = False, **_: Any) -> virtual.Message | None:  # noqa: FBT001, FBT002 - AMQP's
        """Return the next message of a queue, or None."""
        message = self._claim(queue)
        if message is None:
            return None
        if no_ack:
            self.basic_ack(message["properties"]["delivery_tag"])
        return self.Message(message, channel=self)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - AMQP's
        """Acknowledge a message."""
        self._file.acknowledge(int(delivery_tag))
        self._claimed.pop(delivery_tag, None)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - AMQP's
        """Give a message back, or put it among the dead letters."""
        if requeue:
            self._file.give_back([int(delivery_tag)])
        else:
            self._file.bury(int(delivery_tag))
        self._claimed.pop(delivery_tag, None)

    def basic_recover(self, requeue: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - AMQP's
        """Give back whatever is not acknowledged."""
        self._file.give_back(map(int, self._claimed))
        self._claimed.clear()

    def close(self) -> None:
        """End the consumers, and give back whatever is not acknowledged."""
        if not self.closed:
            try:
                self.basic_recover()
            finally:
                super().close()

    def _claim(self, queue: str) -> dict[str, Any] | None:
        delivery = self._file.claim(queue)
        if delivery is None:
            return None
        tag = str(delivery.message_id)
        self._claimed[tag] = queue
        message: dict[str, Any] = json.loads(delivery.payload)
        message["properties"]["delivery_tag"] = tag
        message["properties"]["delivery_info"]["redelivered"] = delivery.redelivered
        return message

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> list[str]:  # noqa: ARG002
        if not exchange:
            return [routing_key]
        return [f"{exchange}.{routing_key}"] if exchange == self.connection.exchange else []

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        self._file.put(queue, json.dumps(message))

    def _size(self, queue: str) -> int:
        return self._file.count(queue)

    def _purge(self, queue: str) -> int:
        return self._file.purge(queue)


class FileTransport(virtual.Transport):
    """One connection to the file, for all channels of a kombu connection."""

    Channel = Channel
    driver_type = driver_name = "sqlite"
    polling_interval = _LOOK_S
    connection_errors: Any = (*virtual.Transport.connection_errors, sqlite3.DatabaseError)
    implements = virtual.Transport.implements.extend(asynchronous=True)

    def __init__(self, client: Any, **kwargs: Any) -> None:
        """Prepare a connection; nothing is opened yet."""
        super().__init__(client, **kwargs)
        self.file: QueueFile
        self.exchange = client.transport_options["exchange"]
        self._hub: Hub | None = None
        self._next_search = 0.0

    def establish_connection(self) -> FileTransport:
        """Open the file."""
        client: Any = self.client
        options = client.transport_options
        self.file = QueueFile(
            Path(options["path"]), delivery_limit=options["delivery_limit"], dead_letters=options["dead_letters"]
        )
        super().establish_connection()
        return self

    def close_connection(self, connection: FileTransport) -> None:
        """Close the channels and the file."""
        if self._hub is not None:
            self._hub.on_tick.discard(self._look)
        try:
            super().close_connection(connection)
        finally:
            self.file.close()

    def register_with_event_loop(self, connection: FileTransport, loop: Hub) -> None:  # noqa: ARG002 - kombu's
        """Look at the file whenever the worker's event loop turns, and have it turn often enough."""
        self._hub = loop
        loop.on_tick.add(self._look)
        loop.call_repeatedly(_LOOK_S, _nothing)

    def search_dead(self) -> None:
        """Give back the messages of dead receivers, if it is time to look for them again."""
        now = time.monotonic()
        if now >= self._next_search:
            self._next_search = now + _SEARCH_DEAD_S
            self.file.give_back_of_dead()

    def _look(self) -> None:
        self.search_dead()
        if self.file.changed():
            for channel in tuple(self.channels):
                channel.deliver()


def _nothing() -> None:
    """Be called: the event loop then turns."""
