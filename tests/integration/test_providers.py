"""Relation providers over real connections: a callback and OpenFGA's API, late, broken and of another mind."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nightlight.delivery.relation_providers import CallbackProvider, OpenFgaProvider
from nightlight_core.decisions.relation_resolver import Claim, RelationResolver
from nightlight_core.errors import Unavailable
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration

CONNECTED = {("v", "connection", "a"), ("v", "guardian", "b")}


class Graph(BaseHTTPRequestHandler):
    """Answers as a platform's callback and as OpenFGA's batch check do (openfga.dev/api/service, BatchCheck)."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, self.headers.get("authorization"), body))
        answer = self.server.answer(body) if self.server.answer else self.relations_of(body)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def relations_of(self, body):
        if self.path == "/relations":
            held = {(viewer, profile): relation for viewer, relation, profile in CONNECTED}
            return {
                "relations": [held.get((body["viewer_id"], item["profile_id"]), "stranger") for item in body["items"]]
            }
        result = {}
        for check in body["checks"]:
            key = check["tuple_key"]
            relation = key["user"].removeprefix("user:"), key["relation"], key["object"].removeprefix("profile:")
            result[check["correlation_id"]] = {"allowed": relation in CONNECTED}
        return {"result": result}

    def log_message(self, *_):
        pass


@pytest.fixture
def graph():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Graph)
    server.status, server.answer, server.asked = 200, None, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["callback", "openfga"])
def provider(request, graph):
    if request.param == "callback":
        callback = CallbackProvider(f"{graph.url}/relations", timeout_s=HANG_S, token="secret")
    else:
        callback = OpenFgaProvider(graph.url, "store1", model="model1", timeout_s=HANG_S, token="secret")
    yield callback
    callback.close()


def test_what_the_graph_says_counts(provider, graph):
    claims = [("a", "connection"), ("b", "connection"), ("b", "guardian"), ("c", "self")]
    assert provider.confirm("v", claims) == [True, False, True, False]
    assert provider.confirm("w", claims) == [False] * 4
    assert {authorization for _, authorization, _ in graph.asked} == {"Bearer secret"}


def test_openfga_reads_an_id_as_no_set_of_users_and_as_nobody_elses(graph):
    openfga = OpenFgaProvider(graph.url, "s", model=None, timeout_s=HANG_S)
    odd = ["*", "a#member", "group:x", "a b", "a%20b", "a@example.com", "a\u00a0b"]
    for viewer_id in odd:
        openfga.confirm(viewer_id, [(viewer_id, "connection")])
    asked = [body["checks"][0]["tuple_key"] for _, _, body in graph.asked[-len(odd) :]]
    users = [key["user"].removeprefix("user:") for key in asked]
    assert users == ["%2A", "a%23member", "group%3Ax", "a%20b", "a%2520b", "a@example.com", "a%C2%A0b"]
    assert [key["object"] for key in asked] == [f"profile:{user}" for user in users]
    openfga.close()


def test_openfga_is_asked_as_its_api_says_and_in_its_portions(graph):
    openfga = OpenFgaProvider(graph.url + "/", "store1", model="model1", timeout_s=HANG_S)
    confirmed = openfga.confirm("v", [("a", "connection")] + [(f"p{number}", "self") for number in range(119)])
    assert confirmed == [True] + [False] * 119
    assert [len(body["checks"]) for _, _, body in graph.asked] == [50, 50, 20]
    path, _, body = graph.asked[0]
    assert path == "/stores/store1/batch-check"
    assert body["authorization_model_id"] == "model1"
    assert body["checks"][0] == {
        "tuple_key": {"user": "user:v", "relation": "connection", "object": "profile:a"},
        "correlation_id": "0",
    }
    openfga.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"no json", b"[]", b"null", b'"yes"', b"{}", b'{"relations": null}', b'{"relations": ["connection", "x"]}',
        b'{"result": []}', b'{"result": null}',
    ],
)  # fmt: skip
def test_an_answer_that_does_not_fit_is_no_answer(provider, graph, answer):
    graph.answer = lambda _: answer
    with pytest.raises(Unavailable):
        provider.confirm("v", [("a", "connection")])


@pytest.mark.parametrize(
    "confirmation", [{"allowed": "true"}, {"allowed": 1}, {"allowed": True, "error": {"message": "x"}}, None, "yes", {}]
)
def test_openfga_confirms_by_a_plain_yes_alone(graph, confirmation):
    graph.answer = lambda _: {"result": {"0": confirmation}}
    openfga = OpenFgaProvider(graph.url, "s", model=None, timeout_s=HANG_S)
    assert openfga.confirm("v", [("a", "connection")]) == [False]
    openfga.close()


@pytest.mark.parametrize("status", [204, 302, 400, 401, 403, 404, 429, 500, 503])
def test_another_status_is_no_answer(provider, graph, status):
    graph.status = status
    if status == 204:
        graph.answer = lambda _: b""
    with pytest.raises(Unavailable):
        provider.confirm("v", [("a", "connection")])


def test_one_that_is_late_or_gone_makes_strangers_in_bounded_time(provider, graph):
    answers = threading.Event()
    graph.answer = lambda _: answers.wait(HANG_S) and {}
    provider._http.timeout = 0.1
    resolver = RelationResolver({}, provider, 0)
    try:
        (resolved,) = resolver.resolve("v", [Claim("a", "connection")], set(), now=0, revoked=[{}])
        assert (resolved.relation, resolved.because) == ("stranger", "the provider does not answer")
        assert not answers.is_set()  # it was not waited for
    finally:
        answers.set()
    graph.server_close()
    (resolved,) = resolver.resolve("v", [Claim("a", "connection")], set(), now=0, revoked=[{}])
    assert resolved.relation == "stranger"
