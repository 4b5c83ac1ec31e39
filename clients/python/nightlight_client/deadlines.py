"""Breaks off connections whose calls take longer than they may.

A socket's timeout bounds each wait for further bytes, and not all of them together: a server that sends one byte at a
time would hold a call for as long as it likes. One thread of the process looks at the calls under way, and shuts down
the sockets of those that are late; their waits end at once.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

_LOOK_S = 0.02
# Without a call for so many looks, the thread rests until the next one.
_MOST_LOOKS = 50


class Connection(Protocol):
    """A connection of ``http.client``: its socket, None while it is not connected."""

    sock: Any


class Deadlines:
    """The calls under way, and when each is late. Safe to share between threads, and by processes that fork."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._thread: threading.Thread | None = None
        self._rests = False
        self._begin()

    @contextmanager
    def limit(self, connection: Connection, end: float) -> Iterator[None]:
        """Shut the connection down if the block goes on beyond ``end``, on the monotonic clock."""
        if self._process != os.getpid():  # threads do not survive a fork
            self._begin()
        call = object()
        with self._changed:
            self._calls[call] = connection, end
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="nightlight-deadlines", daemon=True)
                self._thread.start()
            elif self._rests:
                self._rests = False
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._calls.pop(call, None)

    def _begin(self) -> None:
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._calls: dict[object, tuple[Connection, float]] = {}
        self._thread, self._rests = None, False

    def _run(self) -> None:
        changed, calls, looks = self._changed, self._calls, 0
        while True:
            with changed:
                looks = 0 if calls else looks + 1
                if looks > _MOST_LOOKS:  # not after each call: waking costs as much as the rest of it
                    self._rests = True
                    while self._rests:
                        changed.wait()
                now = time.monotonic()
                late = [call for call, (_, end) in calls.items() if end < now]
                for call in late:
                    connection, _ = calls.pop(call)
                    _shut_down(connection)
            time.sleep(_LOOK_S)


def _shut_down(connection: Connection) -> None:
    sock = connection.sock
    if sock is not None:
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # of TLS too: without a word to the other side


DEADLINES = Deadlines()
