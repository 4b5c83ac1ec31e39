"""A little S3 server over HTTP that fails as real ones do: puts, gets, heads and deletes of objects, in memory.

Each put takes the next of ``faults``; ``always`` is what every further one gets. Faults by name:

    409             ConditionalRequestConflict; nothing is stored
    503             SlowDown; nothing is stored
    500 stored      the object is stored, and the answer is InternalError
    cut stored      the object is stored, and the connection is cut before any answer
    cut             the connection is cut before anything is stored
"""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from nightlight.store.s3 import S3Access

CODES = {409: "ConditionalRequestConflict", 412: "PreconditionFailed", 503: "SlowDown", 500: "InternalError",
         404: "NoSuchKey", 403: "AccessDenied"}  # fmt: skip
FAULTS = ("409", "503", "500 stored", "cut stored", "cut")
KEPT_HEADERS = ("content-type", "cache-control", "x-amz-meta-sha256", "x-amz-object-lock-legal-hold")


class FaultyS3(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.objects, self.faults, self.always, self.unreadable, self.puts = {}, [], None, False, 0

    def access(self):
        return S3Access(f"http://127.0.0.1:{self.server_port}", "us-east-1", "key", "secret", 2, 5)

    def handle_error(self, request, client_address):
        """Say nothing: connections are cut here on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        server = self.server
        with server.lock:
            server.puts += 1
            fault = server.faults.pop(0) if server.faults else server.always
            if fault in {"409", "503"}:
                return self._fail(int(fault))
            if fault == "cut":
                return self._cut()
            if self.headers.get("if-none-match") == "*" and self.path in server.objects:
                return self._fail(412)
            server.objects[self.path] = body, {name: self.headers[name] for name in KEPT_HEADERS if self.headers[name]}
        if fault == "500 stored":
            return self._fail(500)
        if fault == "cut stored":
            return self._cut()
        return self._answer(200, headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})

    def do_GET(self):
        if self.server.unreadable:
            return self._fail(403)
        if self.path not in self.server.objects:
            return self._fail(404)
        body, headers = self.server.objects[self.path]
        return self._answer(200, body, headers)

    def do_HEAD(self):
        return self.do_GET()

    def do_DELETE(self):
        self.server.objects.pop(self.path, None)
        return self._answer(204)

    def _fail(self, status):
        self._answer(status, f"<Error><Code>{CODES[status]}</Code></Error>".encode(), {"content-type": "text/xml"})

    def _cut(self):
        self.close_connection = True
        self.connection.close()

    def _answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def without_pauses(monkeypatch):
    """Let nobody wait between attempts: how many there are stays as it is."""
    monkeypatch.setattr("nightlight.store.s3._CONFLICT_PAUSE_S", 0.0)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)


@contextmanager
def faulty_s3():
    """Give the server, which listens on 127.0.0.1 until the end."""
    with FaultyS3() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
