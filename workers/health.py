"""``/healthz``, ``/readyz`` and ``/metrics`` of a worker process, on a port of its own."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from nightlight import logs, metrics

Readiness = Callable[[], dict[str, str]]
Keys = Callable[[], dict[str, list[str]]]


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the library's signature
        """Log in a line what ended an answer, mostly a client that did not wait for it."""
        logs.get("health").warning("health.not_answered", detail=type(sys.exception()).__name__)


def serve(host: str, port: int, readiness: Readiness, keys: Keys = dict) -> ThreadingHTTPServer | None:
    """Answer health requests in a thread of this process; 0 as the port turns it off.

    ``keys`` are the ids of the keys that this process has read, by ring.
    """
    if port == 0:
        return None

    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # a client that says nothing is let go
        server_version = "nightlight"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path == "/healthz":
                self._answer(200, b'{"status":"ok"}', "application/json")
            elif self.path == "/readyz":
                parts = readiness()
                ready = all(state == "ok" for state in parts.values())
                state = {"status": "ok" if ready else "unavailable", "parts": parts, "keys": keys()}
                body = json.dumps(state).encode()
                self._answer(200 if ready else 503, body, "application/json")
            elif self.path == "/metrics":
                data, content_type = metrics.exposition()
                self._answer(200, data, content_type)
            else:
                self._answer(404, b"", "text/plain")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Keep quiet: these are asked every few seconds."""

    server = _Server((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
