"""A platform's social graph, as the callback of a relation provider answers."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Graph(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        pairs = [(asked["viewer_id"], item["profile_id"]) for item in asked["items"]]
        relations = ["connection" if pair in self.server.connections else "stranger" for pair in pairs]
        body = json.dumps({"relations": relations}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def social_graph(connections):
    """The URL of one in which these (viewer, profile) are connections."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Graph)
    server.connections = connections
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
