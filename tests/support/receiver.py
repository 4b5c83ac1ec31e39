"""A server on this machine that remembers what it is sent: a purge hook, and a receiver of webhooks."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.sent.append((self.path, dict(self.headers.items()), body))
        statuses = self.server.statuses.get(self.path)
        self.send_response(statuses.pop(0) if statuses else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Receiver(ThreadingHTTPServer):
    """Answers 204, or the next of its path's ``statuses``."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sent, self.statuses = [], {}
        self.url = f"http://127.0.0.1:{self.server_port}"

    def bodies(self, path):
        return [json.loads(body) for at, _, body in list(self.sent) if at == path]


@contextmanager
def receiving():
    server = Receiver()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
