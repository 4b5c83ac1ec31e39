"""The embedded deployment's queues: messages in a SQLite file, for the processes of one machine.

A message is a row. A receiver claims it by writing its number into the row, and acknowledges it by deleting the row.
A receiver's process keeps one byte of a lock file locked, at the offset of its number. The kernel drops that lock
however the process ends, so that others know at once that a receiver is dead, and give its messages out again.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nightlight import logs
from nightlight_core.files import private_file

_VERSION = 1
# The byte that a process locks while it makes the tables; receivers count from 1.
_MAKING = 0
_TABLES = (
    """CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, payload TEXT NOT NULL,
        deliveries INTEGER NOT NULL DEFAULT 0, receiver INTEGER
    )""",
    "CREATE INDEX messages_waiting ON messages (queue, id) WHERE receiver IS NULL",
    "CREATE INDEX messages_claimed ON messages (receiver) WHERE receiver IS NOT NULL",
    "CREATE TABLE receivers (number INTEGER PRIMARY KEY AUTOINCREMENT)",
    f"PRAGMA user_version = {_VERSION}",
)


class Delivery(NamedTuple):
    """A claimed message; ``redelivered`` if a receiver had it before and did not acknowledge it."""

    message_id: int
    payload: str
    redelivered: bool


class QueueFile:
    """One connection to the file, and at most one receiver. To be used by one thread at a time, and not after a fork.

    Raises sqlite3.DatabaseError where the file cannot be read or written, or is locked for longer than the timeout.
    """

    def __init__(self, path: Path, *, delivery_limit: int, dead_letters: str, timeout_s: float = 5.0) -> None:
        """Open the file, and make it if it is not there, for its owner alone.

        A message that comes back after ``delivery_limit`` deliveries is put into the queue ``dead_letters``. Raises
        OSError where the file or its lock file is somebody else's.
        """
        self._limit = delivery_limit
        self._dead_letters = dead_letters
        self._number: int | None = None
        self._seen = -1
        self._stale = True
        self._locks = _locks_of(path.with_suffix(".lock"))
        # Python's own transactions are turned off; the thread that closes a connection may be another one.
        self._sql = sqlite3.connect(private_file(path), timeout_s, isolation_level=None, check_same_thread=False)
        try:
            # After a power cut the last messages may be missing or come twice: jobs are kept in the catalogue, and
            # `reconcile` publishes them again.
            self._sql.execute("PRAGMA synchronous=NORMAL")
            self._make()
        except BaseException:
            self._sql.close()
            raise

    def put(self, queue: str, payload: str) -> None:
        """Keep a message for whoever claims it."""
        with self._transaction() as sql:
            sql.execute("INSERT INTO messages (queue, payload) VALUES (?, ?)", (queue, payload))

    def claim(self, queue: str) -> Delivery | None:
        """Claim the oldest message of a queue that nobody has; return None if there is none."""
        oldest = "SELECT id, payload, deliveries FROM messages WHERE queue = ? AND receiver IS NULL ORDER BY id LIMIT 1"
        if self._sql.execute(oldest, (queue,)).fetchone() is None:  # waits for no writer
            return None
        number = self._receiver()
        with self._transaction() as sql:
            row = sql.execute(oldest, (queue,)).fetchone()
            if row is None:
                return None
            claim = "UPDATE messages SET receiver = ?, deliveries = deliveries + 1 WHERE id = ?"
            sql.execute(claim, (number, row[0]))
        return Delivery(row[0], row[1], redelivered=row[2] > 0)

    def acknowledge(self, message_id: int) -> None:
        """Delete a claimed message."""
        with self._transaction() as sql:
            sql.execute("DELETE FROM messages WHERE id = ? AND receiver IS ?", (message_id, self._number))

    def give_back(self, message_ids: Iterable[int]) -> None:
        """Let claimed messages be claimed again, or put them among the dead letters after too many deliveries."""
        with self._transaction() as sql:
            for message_id in message_ids:
                self._put_back(sql, "id = ? AND receiver IS ?", (message_id, self._number))

    def bury(self, message_id: int) -> None:
        """Put a claimed message among the dead letters, for a person to look at."""
        query = "UPDATE messages SET queue = ?, receiver = NULL WHERE id = ? AND receiver IS ?"
        with self._transaction() as sql:
            sql.execute(query, (self._dead_letters, message_id, self._number))

    def give_back_of_dead(self) -> None:
        """Give back what receivers claimed whose processes ended."""
        for (number,) in self._sql.execute("SELECT number FROM receivers").fetchall():
            if self._locks.take(number):
                try:
                    self._end(number)
                finally:
                    self._locks.release(number)

    def changed(self) -> bool:
        """Return whether there may be something new to claim since the last call; it costs some microseconds."""
        (version,) = self._sql.execute("PRAGMA data_version").fetchone()  # counts what other connections commit
        changed = self._stale or version != self._seen
        self._seen, self._stale = version, False
        return changed

    def look_again(self) -> None:
        """Have the next call of ``changed`` say so."""
        self._stale = True

    def count(self, queue: str) -> int:
        """Return how many messages of a queue wait."""
        query = "SELECT count(*) FROM messages WHERE queue = ? AND receiver IS NULL"
        count: int = self._sql.execute(query, (queue,)).fetchone()[0]
        return count

    def purge(self, queue: str) -> int:
        """Delete the messages of a queue that wait, and return how many."""
        with self._transaction() as sql:
            return sql.execute("DELETE FROM messages WHERE queue = ? AND receiver IS NULL", (queue,)).rowcount

    def close(self) -> None:
        """Give back what is claimed, and close the file."""
        number, self._number = self._number, None
        try:
            if number is not None:
                self._end(number)
        finally:
            # Whatever happened to the file: without its lock this receiver is dead, and others give back what it had.
            if number is not None:
                self._locks.release(number)
            self._sql.close()

    def _make(self) -> None:
        version = "PRAGMA user_version"
        if self._sql.execute(version).fetchone() == (_VERSION,):
            with self._transaction():  # it can be written
                return
        with self._locks.waiting(_MAKING):
            if self._sql.execute(version).fetchone() == (_VERSION,):
                return
            self._sql.execute("PRAGMA journal_mode=WAL")
            with self._transaction() as sql:
                for statement in _TABLES:
                    sql.execute(statement)

    def _receiver(self) -> int:
        """Return this receiver's number, whose byte is locked before any other process can read it."""
        if self._number is not None:
            return self._number
        number = 0
        try:
            with self._transaction() as sql:
                number = sql.execute("INSERT INTO receivers DEFAULT VALUES").lastrowid or 0
                if not self._locks.take(number):
                    raise sqlite3.OperationalError(f"the lock of receiver {number} is taken")
        except BaseException:
            self._locks.release(number)
            raise
        self._number = number
        return number

    def _end(self, number: int) -> None:
        """Give back what a receiver has, and forget it."""
        with self._transaction() as sql:
            self._put_back(sql, "receiver = ?", (number,))
            sql.execute("DELETE FROM receivers WHERE number = ?", (number,))

    def _put_back(self, sql: sqlite3.Connection, which: str, values: tuple[int | None, ...]) -> None:
        dead = f"UPDATE messages SET queue = ? WHERE {which} AND deliveries >= ?"  # noqa: S608 - from constants
        buried = sql.execute(dead, (self._dead_letters, *values, self._limit)).rowcount
        sql.execute(f"UPDATE messages SET receiver = NULL WHERE {which}", values)  # noqa: S608 - from constants
        if buried:
            logs.get("queue").error("messages.buried", count=buried)

    def _transaction(self) -> sqlite3.Connection:
        """Begin a transaction that writes; ``with`` commits it, or rolls it back if the block raises."""
        self._sql.execute("BEGIN IMMEDIATE")
        self._stale = True  # `data_version` does not count what this connection commits itself
        return self._sql


class _Locks:
    """Locks on single bytes of a file, each held by a process until it ends.

    POSIX drops all locks that a process has on a file as soon as it closes any descriptor of it: each process opens
    the file once, and never closes it. A lock does not keep out other threads of its own process: what is taken is
    remembered.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(private_file(path), os.O_RDWR | os.O_CLOEXEC)
        self._taken: set[int] = set()
        self._guard = threading.Lock()
        self._pid = os.getpid()

    def is_of(self, path: Path) -> bool:
        """Return whether this process opened the file that is there now."""
        if self._pid != os.getpid():
            return False  # a fork inherits no locks
        try:
            return os.path.samestat(path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def take(self, number: int) -> bool:
        """Lock a byte until it is released; return False if it is locked already."""
        with self._guard:
            if number in self._taken:
                return False
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except (BlockingIOError, PermissionError):
                return False
            self._taken.add(number)
            return True

    def release(self, number: int) -> None:
        """Unlock a byte that this process locked; nothing happens where it did not."""
        with self._guard:
            if number in self._taken:
                self._taken.discard(number)
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, number)

    @contextmanager
    def waiting(self, number: int) -> Iterator[None]:
        """Run the block with a byte locked, waiting for it as long as it takes."""
        with self._guard:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, number)
            try:
                yield
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, number)


_opened: list[_Locks] = []  # for as long as the process lives
_opening = threading.Lock()


def _locks_of(path: Path) -> _Locks:
    """Return this process's locks on a file; the file is made if it is not there."""
    with _opening:
        for locks in _opened:
            if locks.is_of(path):
                return locks
        locks = _Locks(path)
        _opened.append(locks)
        return locks
