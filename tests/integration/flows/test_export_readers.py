"""An export that is being read has its place until the reader has it, is gone, or takes too long: over real sockets."""

import hashlib
import os
import socket
import threading
import time
from types import SimpleNamespace

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from nightlight.flows.exports.requests import _AT_ONCE, ZIP, GivenExport
from service.routes.exports import ExportFile
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration
# More than a kernel keeps for a reader on this machine, which is some megabytes.
DATA = os.urandom(1_000_000) * 40


@pytest.fixture
def served():
    """A server of exports, by the same response as the service's, and the places that it has."""
    world = SimpleNamespace(places=threading.BoundedSemaphore(_AT_ONCE), within_s=None)
    row = SimpleNamespace(sha256=hashlib.sha256(DATA).hexdigest())

    def give(_request):
        assert world.places.acquire(blocking=False)
        return ExportFile(GivenExport(row, DATA, world.places, sealed=False), within_s=world.within_s)

    listening = socket.create_server(("127.0.0.1", 0))
    world.address = listening.getsockname()
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=[Route("/", give)]), log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield world
    server.should_exit = server.force_exit = True
    thread.join(HANG_S)


def asked(world):
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    reader.settimeout(HANG_S)
    reader.connect(world.address)
    reader.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    assert reader.recv(15) == b"HTTP/1.1 200 OK"
    return reader


def free(world):
    """Return how many places are free, which takes and gives them back."""
    count = 0
    while world.places.acquire(blocking=False):
        count += 1
    for _ in range(count):
        world.places.release()
    return count


def comes_free(world, count, within_s=HANG_S):
    end = time.monotonic() + within_s
    while free(world) != count and time.monotonic() < end:
        time.sleep(0.05)
    return free(world) == count


def rest(reader):
    got = b""
    while piece := reader.recv(1_000_000):
        got += piece
    return got


def test_a_slow_reader_has_the_place_until_all_is_read(served):
    reader = asked(served)
    time.sleep(1)
    assert free(served) == _AT_ONCE - 1  # long after all of it was handed to the server
    head, body = rest(reader).split(b"\r\n\r\n", 1)
    assert body == DATA
    assert f"content-length: {len(DATA)}".encode() in head.lower()
    assert ZIP.encode() in head
    assert comes_free(served, _AT_ONCE)
    reader.close()


def test_readers_that_go_away_give_their_places_back(served):
    readers = [asked(served) for _ in range(_AT_ONCE)]
    assert free(served) == 0
    for reader in readers:
        reader.close()
    assert comes_free(served, _AT_ONCE)


def test_a_reader_who_takes_too_long_is_cut_off(served):
    served.within_s = 0.5
    reader = asked(served)
    assert comes_free(served, _AT_ONCE)
    try:
        assert len(rest(reader)) < len(DATA)
    finally:
        reader.close()


def test_what_nobody_sends_gives_its_place_back():
    places = threading.BoundedSemaphore(1)
    places.acquire()
    given = GivenExport(SimpleNamespace(sha256=""), b"x", places, sealed=False)
    del given
    assert places.acquire(blocking=False)
    again = GivenExport(SimpleNamespace(sha256=""), b"x", places, sealed=False)
    again.release()
    again.release()  # a bounded semaphore would raise
    assert again.data == b""
