"""The page about clients in other languages: its program is a client, and does what its table says."""

import base64
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nightlight_client.requests import fallback
from nightlight_core.decisions.relation_proofs import issue_proof
from tests.support import golden
from tests.support.stacks import ROOT
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration

TABLE = json.loads(golden.PATH.read_text("utf-8"))
PLACEHOLDER = {"url": fallback(["x"])[0].url, "capture": "forbid"}
QUESTION = {"viewer": "peer", "context": "profile", "items": [("teen", "stranger")]}


@pytest.fixture(scope="module")
def program():
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/api/client.md").read_text("utf-8"), re.DOTALL)
    names = {}
    exec(block, names)
    return names


@pytest.fixture(scope="module")
def served():
    with pytest.MonkeyPatch.context() as patch, golden.served(patch) as (client, _, _):
        yield client


def test_its_proofs_and_rings_are_ours(program):
    ring = program["ring_of"]("r1:" + base64.b64encode(golden.RELATION_KEYS["r1"]).decode() + ", r2:" + "A" * 44)
    assert ring["r1"] == golden.RELATION_KEYS["r1"]
    for relation in ("connection", "guardian", "self"):
        ours = issue_proof(golden.RELATION_KEYS, golden.VIEWER, "teen", relation, now=golden.NOW, life_s=300)
        assert program["proof"](ring, golden.VIEWER, "teen", relation, golden.NOW) == ours


def test_its_decisions_are_those_of_the_table(program, served, monkeypatch):
    monkeypatch.setattr(program["time"], "time", lambda: golden.NOW)
    (peers, *_) = TABLE["cases"]
    pairs = [(item["profile_id"], item["relation"]) for item in peers["items"]]
    count = len(golden.CLAIMED) * (len(golden.PEOPLE) + 1)  # what comes after is badly proved
    question = {"viewer": "peer", "context": "profile", "items": pairs[:count]}
    decided = program["decide"](
        served.base_url, served._token, golden.RELATION_KEYS, question,
        viewer_id=golden.VIEWER, placeholder=PLACEHOLDER, budget_s=HANG_S,
    )  # fmt: skip
    answers = [[item["url"].removeprefix(golden.ORIGIN).split("?")[0], item["capture"]] for item in decided]
    assert answers == [[url.split("?")[0], capture] for url, _, capture in peers["answers"][:count]]
    assert not any(item["fallback"] for item in decided)


def test_a_refusal_is_an_error_and_so_is_another_host(program, served):
    bad = {**QUESTION, "viewer": "nobody"}
    with pytest.raises(program["Problem"], match="invalid_input"):
        ask(program, served.base_url, bad, token=served._token)
    with pytest.raises(program["Problem"], match="unauthenticated"):
        ask(program, served.base_url, QUESTION)


def ask(program, url, question, token=lambda: "t", budget_s=HANG_S, failures=None):
    how = {"viewer_id": golden.VIEWER, "placeholder": PLACEHOLDER, "budget_s": budget_s, "failures": failures}
    return program["decide"](url, token, {}, question, **how)


class _Elsewhere(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.asked += 1
        self.rfile.read(int(self.headers["content-length"]))
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def elsewhere():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        server.daemon_threads, server.asked = True, 0
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("status", [302, 404, 500])
def test_another_host_is_no_placeholder_and_is_asked_once(program, elsewhere, status):
    elsewhere.answer = status, b"<html>"
    with pytest.raises(program["Problem"], match="not_nightlight"):
        ask(program, elsewhere.url, QUESTION)
    assert elsewhere.asked == 1


@pytest.mark.parametrize("answer", [(503, b"{}"), (200, b"<html>"), (200, b'{"items": []}'), (200, b"[]")])
def test_what_may_be_better_is_tried_again_and_counted_until_the_budget_is_spent(program, elsewhere, answer):
    elsewhere.answer = answer
    failures = []
    (item,) = ask(program, elsewhere.url, QUESTION, budget_s=0.3, failures=failures)
    assert (item["fallback"], item["profile_id"], item["url"]) == (True, "teen", PLACEHOLDER["url"])
    assert len(failures) == elsewhere.asked >= 1


def test_a_port_where_nobody_listens_is_the_placeholder(program):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        (item,) = ask(program, f"http://127.0.0.1:{taken.getsockname()[1]}", QUESTION, budget_s=0.2)
    assert item["fallback"]
