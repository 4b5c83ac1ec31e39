"""Slow and boundless clients: they are given up, and nobody else waits for them."""

import asyncio
import socket
import time

import httpx
import pytest

from service import client_timeouts
from tests.support import golden
from tests.support.waiting import HANG_S, eventually

pytestmark = pytest.mark.integration

WAIT = HANG_S


@pytest.fixture(scope="module")
def served():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_timeouts, "HEAD_S", 1.5)
        with golden.served(patch, NIGHTLIGHT_SERVICE_CLIENT_S="1.5") as (client, _, _):
            yield client


@pytest.fixture
def connected(served):
    url = httpx.URL(served.base_url)
    with socket.create_connection((url.host, url.port), timeout=WAIT) as connection:
        yield connection


def rest(connection):
    """Everything until the server closes; how it closes does not matter."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def drip(connection, text, pause):
    try:
        for letter in text:
            connection.sendall(bytes([letter]))
            time.sleep(pause)
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


def well(client):
    """It answers others still; on a slow machine not always within the short time that it has here for a head."""

    def answers():
        try:
            return httpx.get(f"{client.base_url}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    return eventually(answers)


def test_who_says_nothing_is_hung_up_on(served, connected):
    assert rest(connected) == b""
    assert well(served)


def test_who_drips_the_head_is_hung_up_on(served, connected):
    assert drip(connected, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 400, 0.02) or rest(connected) == b""
    assert well(served)


def test_a_second_head_is_waited_for_as_little(served, connected):
    connected.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /heal")
    received = rest(connected)
    assert received.count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize("head", [
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 20_000 + b"\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 50) for n in range(400)) + b"\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 100_000,
])  # fmt: skip
def test_a_head_without_end_is_refused(served, connected, head):
    try:
        connected.sendall(head)
    except (BrokenPipeError, ConnectionResetError):
        pass
    else:
        assert rest(connected)[:12] in {b"HTTP/1.1 400", b""}
    assert well(served)


def test_a_long_head_that_comes_in_pieces_is_answered(served, monkeypatch):
    monkeypatch.setattr(client_timeouts, "HEAD_S", HANG_S)
    url = httpx.URL(served.base_url)
    with socket.create_connection((url.host, url.port), timeout=WAIT) as connected:
        in_pieces(connected)


def in_pieces(connected):
    connected.sendall(b"GET /healthz HTTP/1.1\r\nConnection: close\r\nHost: x\r\nX-A: " + b"a" * 8_000)
    time.sleep(0.05)
    connected.sendall(b"a" * 5_000 + b"\r\n\r\n")
    assert rest(connected).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/profiles/teen/image"])
def test_who_drips_a_body_is_told_and_hung_up_on(served, connected, path):
    token = served._token()
    multipart = path.endswith("image")
    kind = "multipart/form-data; boundary=x" if multipart else "application/json"
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="p"\r\n\r\n' if multipart else b'{"viewer": '
    connected.sendall(
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: 900000\r\n\r\n".encode()
        + body
    )
    drip(connected, b"a" * 20, 0.02)
    received = rest(connected)
    # The token of the tests opens decisions alone: an upload is refused before its body is read.
    assert received[:12] == (b"HTTP/1.1 403" if multipart else b"HTTP/1.1 408")
    if not multipart:
        assert b"connection: close" in received.lower()
        assert b"request_timeout" in received
    assert well(served)


def test_who_does_not_take_the_answer_is_given_up():
    """The server's own buffers take what a test could send: here the way to the client is the one that is stuck."""

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def stuck(_message):
        await asyncio.sleep(WAIT)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    with pytest.raises(TimeoutError):
        asyncio.run(client_timeouts.ClientTimeouts(app, seconds=0.05)({"type": "http"}, receive, stuck))


def test_waiting_for_a_client_to_go_is_no_slowness():
    """After the body, what comes is that the client has gone, and that may take as long as the answer does."""

    async def app(_scope, receive, send):
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "done"})

    async def run():
        messages = [{"type": "http.request", "body": b"x", "more_body": False}, {"type": "http.disconnect"}]
        sent = []

        async def receive():
            if len(messages) == 1:
                await asyncio.sleep(0.2)
            return messages.pop(0)

        async def send(message):
            sent.append(message)

        await client_timeouts.ClientTimeouts(app, seconds=0.05)({"type": "http"}, receive, send)
        return sent

    assert asyncio.run(run()) == [{"type": "done"}]
