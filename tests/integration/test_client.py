"""Both clients against services that are late, broken, away, or answer something else."""

import asyncio
import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nightlight_client import AsyncNightlightClient, NightlightClient, Problem, ServiceUnreachable
from nightlight_client.requests import Request
from nightlight_client.responses import read_json
from nightlight_core.decisions.placeholder import placeholder_bytes
from nightlight_core.decisions.relation_proofs import verify_proof
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration

ITEMS = [("p-1", "connection"), ("p-2", "stranger")]
KEYS = {"r1": b"1" * 32}


class _Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(body)
        self.server.connections.add(self.client_address)
        step = self.server.script.pop(0) if self.server.script else "good"
        if step == "late":
            self.server.end.wait(HANG_S)
        if step == "cut":
            self.connection.close()
            self.close_connection = True
            return
        if step == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            try:
                while not self.server.end.wait(0.05):
                    self.wfile.write(b" ")
            except OSError:
                pass
            self.close_connection = True
            return
        items = [
            {
                "profile_id": item["profile_id"],
                "url": "http://x/a",
                "expires_at": 1,
                "blurhash": "b",
                "capture": "allow",
            }
            for item in body.get("items", [])
        ]
        answers = {
            "good": (200, {"items": items}), "late": (200, {"items": items}), "short": (200, {"items": items[:1]}),
            "swapped": (200, {"items": items[::-1]}), "no json": (200, b"<html>"), "list": (200, []),
            "half": (200, {"items": [{"profile_id": "p-1"}, *items[1:]]}), "text": (200, b'"items"'),
            "503": (503, {"code": "unavailable"}), "429": (429, {}), "502": (502, b"bad gateway"),
            "422": (422, {"code": "invalid_input", "detail": "no"}), "401": (401, b"x"), "500": (500, []),
        }  # fmt: skip
        status, answer = answers[step]
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        states = self.server.states
        data = json.dumps(states.pop(0) if len(states) > 1 else states[0]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    server.daemon_threads = True  # what is late need not be waited for
    server.end = threading.Event()  # until then a late answer does not come, and a dripping one does not end
    server.script, server.states, server.asked, server.connections = [], [], [], set()
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.end.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["sync", "async"])
def run(request, service):
    """Call a method of a client, by its name; the client waits for an answer as long as it is not told otherwise."""

    def call(name, *arguments, times=1, client=None, **named):
        settings = {"token": "t", "relation_keys": KEYS, "viewer_id": "me", "budget_s": HANG_S, **(client or {})}
        if request.param == "sync":
            with NightlightClient(service.url, **settings) as opened:
                answers = [getattr(opened, name)(*arguments, **named) for _ in range(times)]
        else:

            async def called():
                async with AsyncNightlightClient(service.url, **settings) as opened:
                    return [await getattr(opened, name)(*arguments, **named) for _ in range(times)]

            answers = asyncio.run(called())
        return answers[-1]

    return call


@pytest.fixture
def decide(run):
    def ask(times=1, client_s=HANG_S, **how):
        return run("decide", "peer", "list", ITEMS, times=times, client={"budget_s": client_s}, **how)

    return ask


def test_what_the_service_says_is_returned_in_order_with_proofs_for_what_needs_one(decide, service):
    decisions = decide(network="net-1")
    assert [(decision.profile_id, decision.url, decision.fallback) for decision in decisions] == [
        ("p-1", "http://x/a", False), ("p-2", "http://x/a", False)
    ]  # fmt: skip
    (body,) = service.asked
    assert (body["viewer"], body["context"], body["viewer_id"], body["network"]) == ("peer", "list", "me", "net-1")
    first, second = body["items"]
    assert verify_proof(KEYS, first["proof"], "me", "p-1", "connection", now=int(time.time()), leeway_s=0)
    assert "proof" not in second


def test_one_connection_serves_many_calls(decide, service):
    decide(times=20)
    assert len(service.connections) == 1


@pytest.mark.parametrize("step", ["503", "502", "429", "cut", "no json", "short", "swapped", "half", "list", "text"])
def test_what_may_be_better_the_next_time_is_asked_again(decide, service, step):
    service.script = [step, step]
    decisions = decide()
    assert not any(decision.fallback for decision in decisions)
    assert len(service.asked) == 3


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("cut", ServiceUnreachable), ("late", ServiceUnreachable), ("drip", ServiceUnreachable), ("503", Problem),
    ],
)  # fmt: skip
def test_views_are_asked_for_once_and_waited_for_no_longer_than_decisions(run, service, step, error):
    service.script = [step] * 500
    with pytest.raises(error):
        run("views", ["p-1"], client={"budget_s": 0.3})
    assert len(service.asked) == 1


@pytest.mark.parametrize("step", ["503", "cut", "late", "drip", "short", "no json"])
def test_after_the_budget_every_item_is_the_placeholder_which_needs_no_service(decide, service, step):
    service.script = [step] * 500  # as long as it is waited for, there is no answer
    decisions = decide(client_s=0.3)
    assert [(decision.profile_id, decision.fallback) for decision in decisions] == [("p-1", True), ("p-2", True)]
    assert len(service.asked) < 100
    head, _, data = decisions[0].url.partition(",")
    assert head == "data:image/webp;base64"
    assert base64.b64decode(data) == placeholder_bytes()


def test_a_service_that_is_not_there_costs_no_more_than_the_budget(decide, service):
    service.shutdown()
    service.server_close()
    decisions = decide(client_s=0.3)
    assert all(decision.fallback for decision in decisions)


def test_a_call_may_have_less_time_than_others(decide, service):
    service.script = ["late"]
    decisions = decide(budget_s=0.1)
    assert all(decision.fallback for decision in decisions)


@pytest.mark.parametrize("step", ["422", "401", "500"])
def test_what_will_not_be_better_is_raised(decide, service, step):
    service.script = [step]
    with pytest.raises(Problem) as refused:
        decide()
    assert refused.value.status == int(step)
    assert len(service.asked) == 1


def test_the_others_are_asked_once_and_say_what_is_wrong(run, service):
    service.script = ["503"]
    with pytest.raises(Problem):
        run("block", "a", "b", client={"token": lambda: "t"})
    assert len(service.asked) == 1


def test_a_token_that_cannot_be_had_is_the_callers_to_know(run, service):
    def none():
        raise LookupError("no token")

    with pytest.raises(LookupError):
        run("block", "a", "b", client={"token": none})
    assert service.asked == []


def test_a_route_without_a_method_is_sent_like_any_other(run, service):
    request = Request(method="POST", path="/v1/others", json={"a": 1}, read=read_json)
    assert run("send", request) == {"items": []}
    service.script = ["422"]
    with pytest.raises(Problem):
        run("send", request)
    assert service.asked == [{"a": 1}, {"a": 1}]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("wait", ["0" * 32]), ("wait_trace", ["0" * 32])],
)
def test_who_waits_is_told_when_there_is_nothing_more_to_wait_for(run, service, name, arguments):
    pending = {"image_id": "0" * 32, "profile_id": "p", "trace_id": "0" * 32, "reason": None, "progress": 0,
               "copy_kept": False, "result": None}  # fmt: skip
    service.states = [{**pending, "state": "pending"}, {**pending, "state": "pending"}, {**pending, "state": "done"}]
    assert run(name, *arguments, timeout_s=HANG_S).state == "done"
    service.states = [{**pending, "state": "pending"}]
    with pytest.raises(TimeoutError, match="still pending"):
        run(name, *arguments, timeout_s=0.0)


def test_a_closed_client_sends_nothing(service):
    client = NightlightClient(service.url, token="t")
    client.close()
    with pytest.raises(RuntimeError):
        client.block("a", "b")

    async def closed():
        client = AsyncNightlightClient(service.url, token="t")
        await client.close()
        await client.block("a", "b")

    with pytest.raises(RuntimeError):
        asyncio.run(closed())
    assert service.asked == []
