"""The file with the embedded deployment's queues: what is not acknowledged comes back, whoever dies."""

import json
import signal
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from workers.queue_file import QueueFile

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
# Claims until nothing is left, says what it has claimed, acknowledges it if it is told to, and waits for its end.
RECEIVER = """
import sys
from pathlib import Path
from workers.queue_file import QueueFile

queue = QueueFile(Path(sys.argv[1]), delivery_limit=int(sys.argv[2]), dead_letters="q.dead")
while delivery := queue.claim("q"):
    print(delivery.message_id, delivery.payload, int(delivery.redelivered), flush=True)
    if sys.stdin.readline() == "acknowledge\\n":
        queue.acknowledge(delivery.message_id)
print("nothing", flush=True)
sys.stdin.readline()
"""


class Receiver:
    """A process that claims messages."""

    def __init__(self, path, limit=100):
        self._process = subprocess.Popen(
            [sys.executable, "-c", RECEIVER, str(path), str(limit)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def claims(self):
        """What it has claimed: (payload, whether it was redelivered); None if there is nothing."""
        line = self._process.stdout.readline()
        if line == "nothing\n":
            return None
        _, payload, redelivered = line.split()
        return payload, redelivered == "1"

    def says(self, word):
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "queue.sqlite3"


def opened(path, limit=100):
    return closing(QueueFile(path, delivery_limit=limit, dead_letters="q.dead"))


def test_messages_are_claimed_once_in_their_order_and_deleted_when_they_are_acknowledged(path):
    with opened(path) as queue, opened(path) as other:
        for payload in "abc":
            queue.put("q", payload)
        queue.put("another", "x")
        first, second, third = queue.claim("q"), other.claim("q"), queue.claim("q")
        assert [each.payload for each in (first, second, third)] == ["a", "b", "c"]
        assert not any(each.redelivered for each in (first, second, third))
        assert other.claim("q") is None
        other.acknowledge(first.message_id)  # it belongs to somebody else: nothing happens
        queue.give_back([first.message_id, third.message_id])
        again = other.claim("q")
        assert (again.payload, again.redelivered) == ("a", True)
        for receiver, delivery in ((other, again), (other, second), (queue, queue.claim("q"))):
            receiver.acknowledge(delivery.message_id)
        queue.give_back_of_dead()
        assert (queue.claim("q"), queue.count("q"), queue.count("another")) == (None, 0, 1)


def test_what_a_killed_process_had_comes_back_at_once_and_is_marked(path):
    with opened(path) as queue:
        queue.put("q", "picture")
        with Receiver(path) as receiver:
            assert receiver.claims() == ("picture", False)
            queue.give_back_of_dead()
            assert queue.claim("q") is None  # it lives
            receiver.kill()
            assert queue.claim("q") is None
            queue.give_back_of_dead()
            delivery = queue.claim("q")
            assert (delivery.payload, delivery.redelivered) == ("picture", True)


def test_whoever_shares_a_process_with_the_searcher_is_not_taken_for_dead(path):
    with opened(path) as queue, opened(path) as other:
        queue.put("q", "picture")
        delivery = other.claim("q")
        for _ in range(2):
            queue.give_back_of_dead()
            assert queue.claim("q") is None
        # And the search has not cost the other its lock, by which other processes know that it lives.
        with Receiver(path) as receiver:
            assert receiver.claims() is None
        other.acknowledge(delivery.message_id)


def test_nothing_is_lost_however_often_receivers_are_killed(path):
    acknowledged = []
    with opened(path) as queue:
        for number in range(100):
            queue.put("q", str(number))
        for kill in range(25):
            with Receiver(path) as receiver:
                for _ in range(kill % 5):  # some messages are done, then one is in the middle of its work
                    acknowledged.append(receiver.claims()[0])
                    receiver.says("acknowledge")
                assert receiver.claims() is not None
            queue.give_back_of_dead()
        while delivery := queue.claim("q"):
            acknowledged.append(delivery.payload)
            queue.acknowledge(delivery.message_id)
    assert sorted(acknowledged, key=int) == [str(number) for number in range(100)]


def test_a_message_that_keeps_killing_its_receivers_ends_among_the_dead_letters(path):
    with opened(path, 3) as queue:
        queue.put("q", "poison")
        for delivery in range(3):
            with Receiver(path, 3) as receiver:
                assert receiver.claims() == ("poison", delivery > 0)
            queue.give_back_of_dead()
        assert queue.claim("q") is None
        assert queue.claim("q.dead").payload == "poison"


def test_what_is_rejected_is_a_dead_letter_at_once(path):
    with opened(path) as queue:
        queue.put("q", "nonsense")
        queue.bury(queue.claim("q").message_id)
        assert (queue.count("q"), queue.count("q.dead")) == (0, 1)
        assert queue.purge("q.dead") == 1


def test_closing_gives_back_what_was_claimed(path):
    with opened(path) as queue:
        queue.put("q", "picture")
        with opened(path) as other:
            assert other.claim("q").payload == "picture"
        assert queue.claim("q").redelivered


def test_what_others_put_is_seen_and_so_is_what_this_one_changed_itself(path):
    with opened(path) as queue, opened(path) as other:
        queue.changed()
        assert not queue.changed()
        other.put("q", "picture")
        assert queue.changed()
        assert not queue.changed()
        queue.put("q", "picture")
        assert queue.changed()
        assert not queue.changed()


def test_processes_that_begin_at_the_same_time_make_one_file(path):
    with Receiver(path) as first, Receiver(path) as second, Receiver(path) as third:
        assert [each.claims() for each in (first, second, third)] == [None, None, None]


def test_the_file_is_for_its_owner_alone(path):
    path.touch(mode=0o644)
    with opened(path) as queue:
        queue.put("q", json.dumps({"job_id": "1"}))
        queue.claim("q")
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == dict.fromkeys(["queue.sqlite3", "queue.sqlite3-shm", "queue.sqlite3-wal", "queue.lock"], 0o600)
