"""The fake of nightlight_client.testing over HTTP, for the tests of a backend that is not written in Python.

    NIGHTLIGHT_RELATIONS_KEYS=r1:base64 python fake_server.py      prints its URL, and serves until it is stopped

It takes what Nightlight's clients send, and any token. GET /shown?url=... says what a decision's URL shows. Pictures
are flat squares; what the fake does not have is answered 501. For tests on one machine only: it listens on 127.0.0.1.
"""

import io
import json
import os
from dataclasses import asdict
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from nightlight_client.exchanges import HttpAttempt
from nightlight_client.requests import Form, Request
from nightlight_client.responses import Response, read_json
from nightlight_client.testing import FakeNightlight


class Handler(BaseHTTPRequestHandler):
    """Answers one request after another, each on a connection of its own: the fake is not shared by threads."""

    fake: FakeNightlight

    def answer(self) -> None:
        """Answer with what the fake says."""
        response = self._response()
        self.send_response(response.status)
        for name, value in {**response.headers, "content-length": str(len(response.content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.content)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - names of http.server

    def log_message(self, *_: object) -> None:
        """Keep a test's output to its own."""

    def _response(self) -> Response:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        if url.path == "/shown":
            shown = self.fake.shown(dict(parse_qsl(url.query))["url"])
            return Response(200, json.dumps(asdict(shown)).encode(), {"content-type": "application/json"})
        if not url.path.startswith("/v1/"):
            return self.fake.fetch(self.fake.base_url + self.path)
        form = self._form(body) if self.headers.get("Content-Type", "").startswith("multipart/") else None
        given: dict[str, Any] = {"form": form} if form or not body else {"json": json.loads(body)}
        params = dict(parse_qsl(url.query))
        request = Request(method=self.command, path=url.path, params=params, read=read_json, **given)
        return self.fake.send(HttpAttempt(request), self.headers)  # type: ignore[arg-type]  # its names are of any case

    def _form(self, body: bytes) -> Form:
        whole = message_from_bytes(b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + body)
        parts = [part for part in whole.walk() if part.get_param("name", header="Content-Disposition") == "file"]
        return Form("picture", io.BytesIO(parts[0].get_payload(decode=True)))  # type: ignore[arg-type]  # it is bytes


if __name__ == "__main__":
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        Handler.fake = FakeNightlight(relation_keys=os.environ["NIGHTLIGHT_RELATIONS_KEYS"], base_url=url)
        print(url, flush=True)
        server.serve_forever()
