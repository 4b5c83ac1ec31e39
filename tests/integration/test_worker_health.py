"""A worker's health pages: what is wrong is named, and a client that goes away leaves a line in the log."""

import json
import logging
import socket
import struct
import threading
import urllib.error
import urllib.request

import pytest

from nightlight.cli.embedded import free_port
from workers import health

pytestmark = pytest.mark.integration


@pytest.fixture
def serving():
    """Serve health pages with a readiness; stopped at the end."""
    servers = []

    def serve(readiness):
        servers.append(health.serve("127.0.0.1", free_port(), readiness))
        return servers[-1].server_address

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_part_that_is_wrong_makes_503_and_is_named(serving):
    host, port = serving(lambda: {"queue": "queue_unavailable", "disk": "ok"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{host}:{port}/readyz")
    body = json.loads(refused.value.read())
    assert (refused.value.code, body["parts"]) == (503, {"queue": "queue_unavailable", "disk": "ok"})
    refused.value.close()


def test_a_client_that_goes_away_is_a_line_in_the_log_and_no_traceback(serving, capfd, caplog):
    left = threading.Event()

    def readiness():
        left.wait(60)
        return {"disk": "ok" * 10_000_000}  # more than the system takes for somebody who reads nothing

    address = serving(readiness)
    with socket.create_connection(address) as client, caplog.at_level(logging.WARNING):
        client.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
        client.close()
        left.set()
        end = threading.Event()
        for _ in range(600):
            if any("health.not_answered" in record.getMessage() for record in caplog.records):
                break
            end.wait(0.1)
    printed = capfd.readouterr()
    assert "Exception occurred during processing" not in printed.err  # what socketserver prints, with a traceback
    assert "health.not_answered" in printed.err + printed.out + caplog.text
