"""Renders that stop in their middle until a test says so, so that nothing is decided by who is faster.

For stacks whose worker is ``paused_worker``: the picture of ``picture()`` stops the decoder that meets it.
"""

import contextlib
import os
import signal
import sqlite3
import threading
from pathlib import Path

from tests.support import pictures
from tests.support.paused_decoder import PAUSED_SIZE, RUNNING
from tests.support.waiting import eventually

PROC = Path("/proc")
_RELEASE_S = 0.5


def picture():
    """A picture at which the decoder waits."""
    return pictures.jpeg(*PAUSED_SIZE)


def pause(stack, client, profile_id):
    """Upload a picture and return its image once a decoder is paused at it: its render has begun, and cannot end by itself."""
    image = client.upload(profile_id, picture())
    eventually(lambda: decoders(stack))
    return image


@contextlib.contextmanager
def releasing(stack):
    """Let every picture go on that is paused meanwhile, however often it is tried again; the worker stays the same."""
    done = threading.Event()

    def release():
        while not done.wait(_RELEASE_S):
            _release(_waiting(stack))

    thread = threading.Thread(target=release)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _waiting(stack):
    return [pid for pid in decoders(stack) if RUNNING not in _read(pid, "maps")]


def _release(waiting):
    for decoder in waiting:
        with contextlib.suppress(ProcessLookupError):
            os.kill(decoder, signal.SIGUSR1)


def can_write(stack):
    """Say whether nobody who was stopped holds SQLite's only lock."""
    if stack.name != "embedded":
        return True
    try:
        with contextlib.closing(sqlite3.connect(stack.folder / "catalogue.sqlite3", timeout=1)) as database:
            database.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True


def stop(stack, pids):
    """Stop processes, at a moment when none of them keeps others from writing."""
    while True:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        if can_write(stack):
            return
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def kill(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def decoders(stack):
    """The decoders that have a picture before them."""
    return [decoder for decoder, _ in _at_work(stack)]


def holders(stack):
    """The worker's children whose decoders have a picture before them."""
    return {child for _, child in _at_work(stack)}


def _at_work(stack):
    """(decoder, child): a decoder with a picture before it is the child of a helper of a child of the worker."""
    parents, worker = living(), stack.children["worker"].pid
    chains = ((pid, parents.get(parents.get(pid))) for pid in parents)
    return [(pid, child) for pid, child in chains if parents.get(child) == worker and _has_upload(pid)]


def children(stack):
    """The worker's own children, which do its tasks."""
    pids = [pid for pid, parent in living().items() if parent == stack.children["worker"].pid]
    return {pid for pid in pids if "spawn_main" in _read(pid, "cmdline")}


def living():
    """Every process that lives, with its parent."""
    parents = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if fields[0] != "Z":  # it was killed, and its parent has not looked yet
                    parents[int(entry.name)] = int(fields[1])
    return parents


def _has_upload(pid):
    """A decoder maps the upload when it is given one."""
    return "memfd:nightlight-upload" in _read(pid, "maps")


def _read(pid, name):
    try:
        return (PROC / str(pid) / name).read_text()
    except OSError:
        return ""
