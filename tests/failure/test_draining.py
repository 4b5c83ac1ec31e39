"""SIGTERM to a service under load: it says first that it is not ready, answers all that comes, and is gone within its bound.

The load comes as from a balancer: each of its threads sends on while the service says that it is ready, and stops then.
"""

import signal
import threading
import time

import httpx
import pytest

from nightlight.cli import key_commands
from tests.support import pictures
from tests.support.stacks import Scale
from tests.support.waiting import HANG_S, eventually

pytestmark = [pytest.mark.failure, pytest.mark.integration]

DRAIN_S = 4.0
# How often a balancer asks, and how many requests it has open at once.
ASKED_S, THREADS = 0.5, 4
# What open requests, and the service's own threads, are given after that.
GRACES_S = 15 + 15


@pytest.fixture
def stack(tmp_path):
    with Scale(tmp_path, NIGHTLIGHT_SERVICE_DRAIN_S=str(DRAIN_S)) as started:
        yield started


class Balancer:
    """Uploads and decides until the service was seen not to be ready; keeps every answer."""

    def __init__(self, stack):
        self._stack, self._stop = stack, threading.Event()
        self.answers, self.errors, self.accepted, self.parts = [], [], [], None
        token = key_commands.token(stack.folder, scopes=None, subject="balancer", hours=1)
        self._headers = {"Authorization": f"Bearer {token}"}
        work = [self._ask, *(self._send for _ in range(THREADS))]
        self.threads = [threading.Thread(target=each, args=(number,)) for number, each in enumerate(work)]

    def _ask(self, _):
        while not self._stop.is_set():
            answer = httpx.get(f"{self._stack.url}/readyz", timeout=HANG_S)
            if answer.status_code != 200:
                self.parts = answer.json()["parts"]
                self._stop.set()
            time.sleep(ASKED_S)

    def _send(self, number):
        picture, profile = pictures.jpeg(320, 240, seed=number), f"drained-{number}"
        with httpx.Client(base_url=self._stack.url, headers=self._headers, timeout=HANG_S) as client:
            body = {"band": "adult", "assurance": "verified", "region": "eu"}
            client.put(f"/v1/profiles/{profile}", json=body)
            while not self._stop.is_set():
                try:
                    upload = client.post(f"/v1/profiles/{profile}/image", files={"file": ("p.jpg", picture)})
                    question = {"viewer": "peer", "items": [{"profile_id": profile}]}
                    decision = client.post("/v1/decisions", json=question)
                except httpx.HTTPError as error:
                    self.errors.append(repr(error))
                    continue
                self.answers += [upload.status_code, decision.status_code]
                if upload.status_code == 202:
                    self.accepted.append(upload.json()["image_id"])


def test_a_service_that_is_told_to_stop_under_load_answers_everything_and_loses_no_upload(stack, record_property):
    balancer = Balancer(stack)
    service = stack.children["service"]
    for thread in balancer.threads:
        thread.start()
    eventually(lambda: len(balancer.answers) > 20)
    begun = time.monotonic()
    service.send_signal(signal.SIGTERM)
    for thread in balancer.threads:
        thread.join(HANG_S)
    assert service.poll() is None, "it ended before the balancer had heard of it"
    service.wait(HANG_S)
    seconds = time.monotonic() - begun
    record_property("seconds", round(seconds, 1))
    assert balancer.parts == {"process": "draining"}
    assert balancer.errors == []
    assert set(balancer.answers) == {200, 202}
    assert DRAIN_S <= seconds < DRAIN_S + GRACES_S
    stack.children.pop("service")
    with stack.catalogue.reading() as tx:
        assert all(tx.images.get(image_id) for image_id in balancer.accepted)


def test_while_it_drains_each_answer_ends_its_connection_and_a_second_signal_ends_the_draining(stack):
    service = stack.children["service"]
    assert "connection" not in httpx.get(f"{stack.url}/healthz", timeout=HANG_S).headers
    service.send_signal(signal.SIGTERM)
    eventually(lambda: httpx.get(f"{stack.url}/readyz", timeout=HANG_S).status_code == 503)
    answer = httpx.get(f"{stack.url}/healthz", timeout=HANG_S)
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    begun = time.monotonic()
    service.send_signal(signal.SIGTERM)
    service.wait(HANG_S)
    assert time.monotonic() - begun < GRACES_S
    stack.children.pop("service")
