"""A server on this machine that remembers what it is sent: a purge hook, and a receiver of webhooks."""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """An answer that is more than its status; ``drip_s`` are seconds between the bytes of its body."""

    status: int = 204
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    wait_s: float = 0.0
    drip_s: float = 0.0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.sent.append((self.path, dict(self.headers.items()), body))
        statuses = self.server.statuses.get(self.path)
        wanted = statuses.pop(0) if statuses else self.server.usual
        answer = Answer(wanted) if isinstance(wanted, int) else wanted
        time.sleep(answer.wait_s)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        for place in range(len(answer.body)) if answer.drip_s else ():
            self.wfile.write(answer.body[place : place + 1])
            time.sleep(answer.drip_s)
        if not answer.drip_s:
            self.wfile.write(answer.body)

    def log_message(self, *_):
        pass


class Receiver(ThreadingHTTPServer):
    """Answers the next of its path's ``statuses`` (each a number, or an Answer), and then as ``usual``: 204."""

    daemon_threads = True

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.sent, self.statuses, self.usual = [], {}, 204
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.server_port}"

    def bodies(self, path):
        return [json.loads(body) for at, _, body in list(self.sent) if at == path]

    def handle_error(self, *_):
        """Whoever asks may hang up."""


@contextmanager
def receiving(tls=None):
    server = Receiver(tls)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
