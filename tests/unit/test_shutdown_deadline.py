"""What bounds a worker's end: a child that does not answer is killed, and so is a process that hangs by itself."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT
from tests.support.waiting import HANG_S

# A process with a child of billiard's that is stopped, which its own handler of SIGTERM joins without a limit, as the
# pool does; or whose handler never returns.
PROCESS = """
import os, signal, sys, time
import billiard
from workers import shutdown_deadline

# A child is killed at once. A process that joins it then has all the time there is; the other is ended soon.
shutdown_deadline.GRACE_S = {"join": 300, "hang": 0.3, "mute": 0.3}[sys.argv[1]]
shutdown_deadline._AGAIN_S = 301
child = billiard.Process(target=time.sleep, args=(3600,))
child.start()
os.kill(child.pid, signal.SIGSTOP)

def join(*_):
    child.terminate()
    child.join()
    os.write(1, b"\\njoined\\n")  # a line of its own, whatever the log writes at this moment
    sys.exit(0)

def hang(*_):
    while True:
        time.sleep(3600)

if sys.argv[1] == "mute":  # the log cannot be written: the handler holds its lock, say
    shutdown_deadline.logs.get = hang
shutdown_deadline.bound_shutdown(0.3)
signal.signal(signal.SIGTERM, {"join": join, "hang": hang, "mute": hang}[sys.argv[1]])
print(child.pid, flush=True)
while True:  # a signal just before signal.pause() would be handled after the next one only
    time.sleep(0.05)
"""


def stopped(how, signals):
    """The exit status and the last output of such a process after signals, and the process id of its child."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, how], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with process:
        child = int(process.stdout.readline())
        for number in signals:
            process.send_signal(number)
        try:
            out, _ = process.communicate(timeout=HANG_S)
        finally:
            process.kill()
    return process.returncode, [line for line in out.splitlines() if line == "joined"], child


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_child_that_answers_no_signal_is_killed_and_the_worker_ends_by_itself():
    status, out, child = stopped("join", [signal.SIGTERM])
    assert (status, out) == (0, ["joined"])
    assert not is_alive(child)


@pytest.mark.parametrize("how", ["hang", "mute"])
def test_a_worker_whose_handler_never_returns_is_ended_and_leaves_no_child(how):
    status, _, child = stopped(how, [signal.SIGTERM])
    assert status == 1
    for _ in range(100):  # whoever adopted it reaps it
        if not is_alive(child):
            break
        time.sleep(0.05)
    assert not is_alive(child)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGWINCH])
def test_other_signals_begin_nothing(number):
    """SIGTERM after them is what counts."""
    ignored = "import signal; signal.signal(signal.SIGUSR1, lambda *_: None); signal.signal(signal.SIGWINCH, lambda *_: None)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", ignored + PROCESS, "join"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        process.stdout.readline()
        process.send_signal(number)
        time.sleep(1.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        # A line of the log may follow.
        assert "joined" in process.communicate(timeout=HANG_S)[0].splitlines()
