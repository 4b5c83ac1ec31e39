"""Clients through a proxy, with TLS of the platform's own, and told at their start what is wrong."""

import asyncio
import base64
import json
import math
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import httpx
import pytest

from nightlight_client import (
    AsyncNightlightClient,
    ClientMisconfigured,
    HttpOptions,
    NightlightClient,
    NightlightError,
    NotNightlight,
    Problem,
    ServiceUnreachable,
)
from nightlight_client import base_client as client_module
from nightlight_client.local_client import LocalClient, Terms
from nightlight_core.decisions.placeholder import placeholder_bytes
from tests.support import golden
from tests.support.jwks_server import JwksServer
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def over_http():
    with pytest.MonkeyPatch.context() as patch, golden.served(patch) as served:
        yield served


@dataclass
class Calls:
    """Calls a method of a client of either kind."""

    kind: type

    def __call__(self, url, name, *arguments, token="t", **settings):
        if self.kind is NightlightClient:
            with NightlightClient(url, token=token, **settings) as client:
                return getattr(client, name)(*arguments)

        async def go():
            async with AsyncNightlightClient(url, token=token, **settings) as client:
                return await getattr(client, name)(*arguments)

        return asyncio.run(go())


@pytest.fixture(params=[NightlightClient, AsyncNightlightClient])
def call(request):
    return Calls(request.param)


@pytest.fixture
def token(over_http):
    client, *_ = over_http
    return client._token()


class _Proxy(BaseHTTPRequestHandler):
    """An HTTP proxy, for requests without TLS: it fetches what is asked for."""

    def do_GET(self):
        self.server.asked.append(self.path)
        answer = httpx.get(self.path, headers={"Authorization": self.headers["authorization"]}, trust_env=False)
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers["content-type"])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_):
        pass


@pytest.fixture
def proxy():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as server:
        server.daemon_threads = True
        server.asked = []
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()


def test_a_client_that_is_set_up_right_is_told_who_it_is(call, over_http, token):
    caller = call(over_http[0].base_url, "check", "decide", "local", token=token, relation_keys=golden.RELATION_KEYS)
    assert caller.subject == "golden"
    assert set(caller.scopes) == {"decide", "explain", "local", "policy", "relate"}
    ring = "r1:" + base64.b64encode(golden.RELATION_KEYS["r1"]).decode()
    assert call(over_http[0].base_url, "check", token=token, relation_keys=ring).relation_keys == caller.relation_keys


@pytest.mark.parametrize(
    ("token", "scopes", "status"), [("wrong", (), 401), (None, ("ingest",), 403), (None, ("decide", "hold"), 403)]
)
def test_a_token_that_does_not_count_or_opens_too_little_is_a_problem(call, over_http, token, scopes, status):
    with pytest.raises(Problem) as refused:
        call(over_http[0].base_url, "check", *scopes, token=token or over_http[0]._token())
    assert refused.value.status == status


@pytest.mark.parametrize("keys", [{"r1": b"x" * 32}, {"r9": golden.RELATION_KEYS["r1"]}])
def test_keys_that_the_service_does_not_have_are_refused(call, over_http, token, keys):
    with pytest.raises(ClientMisconfigured, match="another key"):
        call(over_http[0].base_url, "check", token=token, relation_keys=keys)


def test_a_clock_that_is_ahead_is_refused_where_there_are_proofs(call, over_http, token, monkeypatch):
    monkeypatch.setattr(client_module, "time", SimpleNamespace(time=lambda: time.time() + 3600))
    assert call(over_http[0].base_url, "check", token=token).subject == "golden"
    with pytest.raises(ClientMisconfigured, match="ahead"):
        call(over_http[0].base_url, "check", token=token, relation_keys=golden.RELATION_KEYS)


def test_another_host_and_no_host_are_errors_of_their_own(call, proxy):
    proxy.asked = None  # what it does with a path that is no URL is to break off
    with pytest.raises((NotNightlight, ServiceUnreachable)):
        call(proxy.url, "check")
    with pytest.raises(ServiceUnreachable) as nobody:
        call("http://127.0.0.1:9", "check")
    assert nobody.value.kind == "unreachable"
    with pytest.raises(ServiceUnreachable) as unknown:
        call("http://nightlight.invalid", "check", budget_s=60.0)
    assert unknown.value.kind == "unresolved"


def test_requests_go_through_the_proxy_and_no_other(call, over_http, token, proxy, monkeypatch):
    url = over_http[0].base_url
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert call(url, "check", token=token).subject == "golden"  # the environment's is not read
    assert call(url, "check", token=token, options=HttpOptions(proxy=proxy.url)).subject == "golden"
    assert proxy.asked == [f"{url}/v1/caller"]
    with pytest.raises(ServiceUnreachable):
        call(url, "check", token=token, options=HttpOptions(proxy="http://127.0.0.1:9"))


def test_certificates_of_the_platforms_own_are_trusted_where_they_are_given(call, tmp_path):
    server = JwksServer(tmp_path)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"https://127.0.0.1:{server.server_port}"
    try:
        with pytest.raises(ServiceUnreachable) as untrusted:
            call(url, "check", budget_s=60.0)
        assert untrusted.value.kind == "tls"
        trusted = ssl.create_default_context(cafile=str(server.certificate))
        with pytest.raises(NotNightlight):  # it is reached, and is no Nightlight
            call(url, "check", options=HttpOptions(tls=trusted), budget_s=60.0)
    finally:
        server.shutdown()
        server.server_close()


def test_both_ways_to_decide_refuse_alike(over_http):
    client, publisher, _ = over_http
    with LocalClient(client, publisher.public_keys, Terms(stale_s=60.0), clock=lambda: golden.NOW) as local:
        for question in (("nobody", "profile"), ("peer", "nowhere")):
            refusals = []
            for decides in (client, local):
                with pytest.raises(NightlightError) as refused:
                    decides.decide(*question, [("teen", "stranger")])
                refusals.append(
                    (
                        type(refused.value),
                        refused.value.status,
                        refused.value.code,
                        refused.value.detail,
                        refused.value.errors,
                    )
                )
            assert refusals[0] == refusals[1]


def test_a_proxy_is_told_who_may_use_it(call, over_http, token):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Named) as server:
        server.daemon_threads = True
        server.named = []
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        proxy = f"http://me:p%40ss@127.0.0.1:{server.server_port}"
        with pytest.raises(NotNightlight):
            call(over_http[0].base_url, "check", token=token, options=HttpOptions(proxy=proxy))
        server.shutdown()
    assert server.named == ["Basic " + base64.b64encode(b"me:p@ss").decode()]


class _Named(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.named.append(self.headers["proxy-authorization"])
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("off_s", [-3600, 3600, math.nan])
def test_a_clock_that_is_far_off_is_refused(call, over_http, token, monkeypatch, off_s):
    monkeypatch.setattr(client_module, "time", SimpleNamespace(time=lambda: time.time() + off_s))
    with pytest.raises(ClientMisconfigured, match="relation proofs do not count"):
        call(over_http[0].base_url, "check", token=token, relation_keys=golden.RELATION_KEYS)


def test_certificates_that_cannot_be_read_are_said_so(call, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    with pytest.raises(ClientMisconfigured, match="SSL_CERT_FILE"):
        call("https://127.0.0.1:9", "check")


class _Drips(BaseHTTPRequestHandler):
    """Sends one byte at a time, of the head or of the body, until the test ends."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.server.after_head:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        else:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        try:
            while not self.server.end.wait(0.05):
                self.wfile.write(b"x")
        except OSError:
            pass
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("after_head", [False, True])
def test_a_server_that_drips_holds_no_call_beyond_its_budget(call, after_head):
    """It drips until the test ends: without a bound on the whole attempt, the call would not come back."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Drips) as server:
        server.daemon_threads, server.block_on_close = True, False
        server.end, server.after_head = threading.Event(), after_head
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        (decision,) = call(url, "decide", "peer", "list", [("p", "stranger")], budget_s=0.3)
        assert decision.fallback
        server.end.set()
        server.shutdown()


class _Echo(BaseHTTPRequestHandler):
    """Answers a question with the viewer's own name, after a while."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        time.sleep(0.02)
        item = {"profile_id": "p", "url": body["viewer_id"], "expires_at": 1, "blurhash": "b", "capture": "allow"}
        data = json.dumps({"items": [item]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def test_processes_that_were_forked_do_not_get_each_others_answers(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        program = tmp_path / "program.py"
        program.write_text(FORKS)
        done = subprocess.run(
            [sys.executable, program, url], check=False, capture_output=True, timeout=HANG_S, text=True
        )
        server.shutdown()
    assert (done.returncode, done.stdout) == (0, "1000\n"), done.stderr


FORKS = """
import os, sys
from nightlight_client import NightlightClient

client = NightlightClient(sys.argv[1], token="t", budget_s=300.0)
client.decide("peer", "list", [("p", "stranger")], viewer_id="before")
good = 0
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        answers = [client.decide("peer", "list", [("p", "stranger")], viewer_id=f"v{number}")[0].url for _ in range(25)]
        os._exit(answers.count(f"v{number}"))
    children.append(child)
for child in children:
    good += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(good * 10)
"""


def test_a_fallbacks_picture_needs_no_network(call):
    (decision,) = call("http://127.0.0.1:9", "decide", "peer", "list", [("p", "stranger")], budget_s=0.05)
    answer = call("http://127.0.0.1:9", "fetch", decision.url)
    assert (answer.status, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.content == placeholder_bytes()
