"""Listens to a queue of notifications: a message is deleted once what it says is in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.store.event_notifications import read_events
from nightlight_core.errors import InvalidInput

if TYPE_CHECKING:
    from nightlight.flows.imports.notifications import ImportNotifications
    from nightlight.store.sqs import SqsQueue


@dataclass(frozen=True, slots=True)
class SqsConsumer:
    """Takes messages from a queue, ten at a time."""

    queue: SqsQueue
    notifications: ImportNotifications

    def run_once(self) -> int:
        """Take care of what there is; return how many messages that were.

        A message that nobody understands is left: the queue gives it to its dead-letter queue. Raises QueueUnavailable
        or CatalogueUnavailable, after which messages come again.
        """
        messages = self.queue.receive()
        done, notices = [], []
        for message in messages:
            try:
                notices += read_events(message.body)
            except InvalidInput as error:
                metrics.IMPORT_NOTIFICATIONS.labels("not_understood").inc()
                logs.get("listen").error("message.not_understood", detail=str(error))
            else:
                done.append(message)
        heard = self.notifications.record(notices)
        for what, count in heard._asdict().items():
            metrics.IMPORT_NOTIFICATIONS.labels(what).inc(count)
        self.queue.delete(done)
        return len(messages)
