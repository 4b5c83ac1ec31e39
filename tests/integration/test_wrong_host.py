"""A client that was given a wrong address: decisions fall back, and the log and a counter say so."""

import asyncio
import logging
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nightlight_client import AsyncNightlightClient, NightlightClient, Problem, ServiceUnreachable
from nightlight_client.errors import NotNightlight
from nightlight_client.failures import Failures
from nightlight_client.local_client import LocalClient
from nightlight_core.policy.public_keys import PublicKeys
from tests.support.jwks_server import JwksServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


class _Elsewhere(BaseHTTPRequestHandler):
    """A web server that is none of ours; its path says what it does."""

    def do_GET(self):
        length = int(self.headers.get("content-length", "0"))
        self.rfile.read(length)
        status, kind, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "https://elsewhere.example/")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - what the base class calls

    def log_message(self, *_):
        pass


@pytest.fixture
def elsewhere():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    server.daemon_threads = True
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]  # bound, and nobody listens


@pytest.fixture
def stranger(tmp_path):
    """A TLS server whose certificate nobody knows."""
    server = JwksServer(tmp_path)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["sync", "async"])
def asked(request):
    """Ask once for a decision; gives what came of it, and the failures by kind."""

    def ask(url, budget_s=0.3):
        question = "peer", "list", [("p-1", "stranger")]
        if request.param == "sync":
            with NightlightClient(url, token="t", budget_s=budget_s) as client:
                return _outcome(lambda: client.decide(*question)), client.failures.counts

        async def go():
            async with AsyncNightlightClient(url, token="t", budget_s=budget_s) as client:
                try:
                    return await client.decide(*question), client.failures.counts
                except Problem as problem:
                    return problem, client.failures.counts

        return asyncio.run(go())

    return ask


def _outcome(call):
    try:
        return call()
    except Problem as problem:
        return problem


def errors(caplog):
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "nightlight_client" and record.levelno == logging.ERROR
    ]


def test_nobody_listens(asked, closed_port, caplog):
    def failures():
        outcome, counts = asked(f"http://127.0.0.1:{closed_port}")
        assert outcome[0].fallback
        return set(counts) - {"timeout"}  # a busy machine may take all of an attempt's time

    assert eventually(failures) == {"unreachable"}
    assert any(f"http://127.0.0.1:{closed_port} fails: unreachable" in line for line in errors(caplog))


def test_a_name_that_nobody_knows(asked, caplog):
    outcome, counts = asked("http://nightlight.invalid", budget_s=2.0)
    assert outcome[0].fallback
    assert counts.keys() & {"unresolved", "timeout"}
    assert "http://nightlight.invalid fails" in errors(caplog)[0]


def test_a_certificate_that_is_not_good(asked, stranger, caplog):
    def failures():
        outcome, counts = asked(stranger, budget_s=1.0)
        assert outcome[0].fallback
        return set(counts) - {"timeout"}

    assert "tls" in eventually(failures)
    assert any("fails: tls" in line for line in errors(caplog))


def test_a_server_that_speaks_no_tls(asked, elsewhere, caplog):
    def failures():
        outcome, counts = asked(elsewhere.url.replace("http:", "https:"), budget_s=1.0)
        assert outcome[0].fallback
        return set(counts) - {"timeout"}

    assert eventually(failures) & {"tls", "cut"}
    assert errors(caplog)


@pytest.mark.parametrize(
    "answer",
    [
        (200, "text/html", b"<html>welcome</html>"), (200, "application/json", b'{"hello": "world"}'),
        (200, "application/json", b"[]"), (200, "application/json", b'{"items": []}'), (200, "text/plain", b""),
    ],
)  # fmt: skip
def test_a_page_of_somebody_elses(asked, elsewhere, caplog, answer):
    elsewhere.answer = answer
    outcome, counts = asked(elsewhere.url)
    assert outcome[0].fallback
    assert set(counts) <= {"not_nightlight", "timeout"}
    assert counts["not_nightlight"] >= 1
    assert "fails: not_nightlight" in errors(caplog)[0]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 403, 404, 405, 500])
@pytest.mark.parametrize("body", [b"<html>not here</html>", b'{"detail": "Not Found"}', b""])
def test_a_refusal_of_somebody_elses_is_raised_and_noted(asked, elsewhere, caplog, status, body):
    elsewhere.answer = status, "text/html", body
    outcome, counts = asked(elsewhere.url)
    assert isinstance(outcome, NotNightlight)
    assert outcome.status == status
    assert counts == {"not_nightlight": 1}
    assert "is it the right host?" in errors(caplog)[0]


@pytest.mark.parametrize(
    "answer",
    [(200, "text/html", b"<html>"), (200, "text/html", b""), (404, "text/html", b"<html>"), (302, "text/html", b"")],
)
def test_no_other_call_takes_a_page_for_success(elsewhere, answer):
    elsewhere.answer = answer
    with NightlightClient(elsewhere.url, token="t") as client:
        for call in (
            lambda: client.block("a", "b"),
            lambda: client.unblock("a", "b"),
            lambda: client.revoke("a"),
            lambda: client.delete_profile("a"),
            lambda: client.set_report_flag("a", "reported"),
            lambda: client.image("0" * 32),
            client.policy_bundle,
            lambda: client.policy_version(1),
            lambda: client.bundle_in_use(1),
            client.delegated_keys,
            lambda: client.views(["a"]),
            lambda: client.report({}, []),
        ):
            with pytest.raises(NotNightlight):
                call()
        assert client.failures.counts == {"not_nightlight": 12}


def test_a_local_client_says_that_it_knows_nothing(elsewhere, caplog):
    elsewhere.answer = 200, "text/html", b"<html>"
    with NightlightClient(elsewhere.url, token="t", budget_s=0.2) as client:
        local = LocalClient(client, PublicKeys({}))
        assert not local.poll()
        assert local.decide("peer", "list", [("a", "stranger")])[0].fallback
        assert client.failures.counts["not_nightlight"] >= 2
    assert "fails: not_nightlight" in errors(caplog)[0]


def test_an_error_is_told_once_a_minute_with_how_often_it_was_met(caplog):
    now = [0.0]
    failures = Failures("https://me:secret@nightlight.internal:8443/x", clock=lambda: now[0])
    for _ in range(100):
        failures.note("cut", "it broke")
    now[0] = 61.0
    failures.note_error(ServiceUnreachable("cut", "again"))
    assert failures.counts == {"cut": 101}
    first, second = errors(caplog)
    assert "https://nightlight.internal:8443 fails: cut, 1 times" in first
    assert "cut, 100 times" in second
    assert "secret" not in first + second
