"""A worker whose pool waits for a lock that died with its holder ends all the same, and its children with it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT
from tests.support.waiting import HANG_S, eventually

pytestmark = pytest.mark.integration

# What billiard does when a pool ends: it takes the lock of the queue. Here a child has died with it, as one does that
# waits at the queue when a signal goes to the whole group.
WORKER = """
import os, signal, sys, time
import billiard
from workers import shutdown

context = billiard.get_context("fork")
lock = context.Lock()

def hold():
    lock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)

def stay():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)

holder = context.Process(target=hold)
holder.start()
holder.join()
idle = context.Process(target=stay)
idle.start()
signal.signal(signal.SIGTERM, lambda *_: lock.acquire())
shutdown._install(float(sys.argv[1]), lambda: print("cleaned", flush=True))
print(idle.pid, flush=True)
while True:
    time.sleep(1)
"""


def test_a_pool_that_waits_for_ever_is_ended_by_force():
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, "1"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as worker:
        child = int(worker.stdout.readline())
        begin = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        output, errors = worker.communicate(timeout=HANG_S)
        assert worker.returncode == 1, errors
        assert time.monotonic() - begin >= 1
    assert "cleaned" in output
    eventually(lambda: not _alive(child))


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
