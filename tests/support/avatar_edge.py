"""The real nginx with what `nightlight edge nginx` writes, in front of a running service and of a small platform."""

import json
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import jwt

from nightlight.cli.edge_nginx import EdgeOptions, files
from nightlight.delivery.access_tokens import generate_key
from tests.support.edge import BINARY, Nginx

TOKEN = "an-edge-of-the-tests-0123456789abcdef"
DEFAULTS = {
    "name": "plain", "scheme": "plain", "at": None, "path": None, "source": None, "pictures": None, "viewer_cookie": None,
    "viewer_header": None, "viewer_session": None, "viewer_certificate": False, "proof_header": False, "ids": None,
    "ids_url": None, "context": "profile", "old": None, "keep_decisions": 1, "browser": 60, "log": "off",
}  # fmt: skip


def options(**given):
    """The options of the command, those of ``given`` and the defaults."""
    asked = {**DEFAULTS, **given}
    return EdgeOptions(**{**asked, "name": given.get("name") or asked["scheme"]})


class AvatarEdge(Nginx):
    """nginx as a platform has it, with one or several configurations of ours; ``server`` is the platform's own text."""

    def __init__(self, folder, service, *configurations, server="", listen=None):
        super().__init__(folder)
        self._service, self._configurations, self._server, self._listen = service, configurations, server, listen

    def __enter__(self):
        cache = self.folder / "cache"
        cache.mkdir(parents=True)
        http, locations = "map_hash_bucket_size 128;\n", ""
        for given in self._configurations or ({"viewer_cookie": "viewer", "viewer_header": "Authorization"},):
            asked = options(**{"service": self._service, "cache": str(cache), **given})
            for name, data in files(asked, TOKEN, str(self.folder)).items():
                (self.folder / name).write_bytes(data)
            http += f"include {self.folder}/{asked.name}.http.conf;\n"
            locations += f"include {self.folder}/{asked.name}.locations.conf;\n"
        listen = self._listen or f"127.0.0.1:{self._port}"
        own = f"server {{ listen {listen}; server_tokens off;\n{self._server}\n{locations}\n{self.root(locations)} }}\n"
        if self._listen:
            own += f"server {{ listen 127.0.0.1:{self._port}; return 204; }}"
        self.start(http + own)
        return self

    @staticmethod
    def root(locations):
        """What the platform answers itself."""
        return "" if "location ^~ / {" in locations else 'location / { return 200 "the platform\'s"; }'

    def test(self):
        """What nginx says of its configuration."""
        return subprocess.run(
            [BINARY, "-t", "-p", self.folder, "-c", self.folder / "nginx.conf"],
            capture_output=True,
            text=True,
            check=False,
        )


class Platform(ThreadingHTTPServer):
    """What a platform answers: whose a session and a key is, what relation holds, and the old pictures.

    ``sessions`` are headers by cookie, ``owners`` ids by key, ``relations`` words by (viewer, profile), ``old`` bytes by
    path. ``status`` takes the place of 204 and 200; ``asked`` are the paths that were asked for.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answers)
        self.sessions, self.owners, self.relations, self.old = {}, {}, {}, {}
        self.status, self.asked, self.late_s = None, [], 0.0
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Say nothing of clients that went away."""


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server, path = self.server, urlsplit(self.path).path
        server.asked.append(self.path)
        time.sleep(server.late_s)
        headers, body, status = {}, b"", 204
        if path == "/viewer":
            headers = server.sessions.get(self.headers.get("cookie", ""))
            status = 204 if headers is not None else 401
        elif path == "/owner":
            owner = server.owners.get(self.headers.get("nightlight-key", ""))
            headers, status = ({"Nightlight-Profile": owner}, 204) if owner else ({}, 404)
        elif path in server.old:
            headers, body, status = (
                {"Content-Type": "image/jpeg", "Set-Cookie": "a=b", "Vary": "*"},
                server.old[path],
                200,
            )
        else:
            status = 404
        self.send_response(server.status or status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if (server.status or status) != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, body))
        held = [self.server.relations.get((body["viewer_id"], item["profile_id"])) for item in body["items"]]
        data = json.dumps({"relations": [relation or "stranger" for relation in held]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class ViewerKey:
    """A key of the platform's, by which it signs viewers' tokens; ``jwks`` has its public half."""

    def __init__(self):
        self.private, self.jwks = generate_key()

    def token(self, viewer_id, word="peer", *, proofs=None, life_s=600, **claims):
        """A token for a viewer; ``claims`` take the place of the usual ones, None leaves one out."""
        now = datetime.now(UTC)
        usual = {
            "sub": viewer_id, "aud": "nightlight-avatars", "iss": "platform", "iat": now, "exp": now + timedelta(seconds=life_s),
            "nightlight_viewer": word, "nightlight_proofs": proofs,
        }  # fmt: skip
        payload = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return jwt.encode(payload, jwt.PyJWK(self.private).key, algorithm="EdDSA", headers={"kid": self.private["kid"]})
