"""The fast path gives the answers that the routes give, errors included, and reads a body once."""

import asyncio
import json

import httpx
import pytest

from nightlight.flows.decisions.decision_service import DecisionService
from service.app import create_app
from service.fast_path import FastPath
from tests.support import golden

pytestmark = pytest.mark.integration

JSON = "application/json"
BODY = {"viewer": "peer", "context": "profile", "items": [{"profile_id": "teen"}, {"profile_id": "nobody-at-all"}]}
MANY = {**BODY, "items": [{"profile_id": "teen"}] * 501}
BODIES = {
    "good": json.dumps(BODY), "no items": '{"items": []}', "empty": "", "no JSON": "{", "no object": "[]", "too deep": "[" * 100_000,
    "another field": json.dumps({**BODY, "birthday": "2010-01-01"}), "no items at all": "{}", "too many items": json.dumps(MANY),
    "another viewer": json.dumps({**BODY, "viewer": "friend"}), "another place": json.dumps({**BODY, "context": "nowhere"}),
    "half a surrogate": '{"items": [{"profile_id": "\\ud800"}]}', "an id that is a number": '{"items": [{"profile_id": 7}]}',
    "a change of the future": json.dumps({**BODY, "consistency": "999999"}), "no change": json.dumps({**BODY, "consistency": "x"}),
    "larger than the cap": " " * 2_000_000,
}  # fmt: skip


@pytest.fixture(scope="module")
def service():
    with pytest.MonkeyPatch.context() as patch, golden.served(patch) as (client, _, services):
        yield client, create_app(services)


def answers(app, *requests):
    """The answers of an application without a server, each as (status, headers, body)."""

    async def asked():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return [await client.request(method, url, content=body, headers=headers) for method, url, body, headers in requests]  # fmt: skip

    return [
        (answer.status_code, {name: value for name, value in answer.headers.items() if name != "x-request-id"}, answer.content)
        for answer in asyncio.run(asked())
    ]  # fmt: skip


def both(app, monkeypatch, *requests):
    """The answers of the fast path, and of the routes alone; each request twice, so that the second meets warm caches."""
    taken, handler = [], FastPath._handler

    def noted(self, scope):
        taken.append(handler(self, scope))
        return taken[-1]

    monkeypatch.setattr(FastPath, "_handler", noted)
    fast = answers(app, *requests, *requests)
    assert all(taken)
    monkeypatch.setattr(FastPath, "_handler", lambda *_: None)
    return fast, answers(app, *requests, *requests)


def post(client, name, content_type=JSON, authorization=None):
    headers = {"Authorization": authorization or f"Bearer {client._token()}", "Content-Type": content_type}
    return "POST", "/v1/decisions", BODIES[name], headers


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_answered_as_by_the_route(service, monkeypatch, name):
    client, app = service
    fast, routed = both(app, monkeypatch, post(client, name))
    assert fast == routed


EVALUATION = {
    "subject": {"type": "user", "id": "v", "properties": {"viewer": "peer"}}, "action": {"name": "view"},
    "resource": {"type": "profile", "id": "teen"},
}  # fmt: skip
AUTHZEN = {
    "good": EVALUATION, "several": {**EVALUATION, "evaluations": [{}, {"resource": {"type": "profile", "id": "nobody"}}, {"resource": 5}]},
    "many viewers": {**EVALUATION, "evaluations": [{"subject": {"type": "user", "id": f"v{number}"}} for number in range(20)]},
    "nothing": {}, "another viewer": {**EVALUATION, "subject": {"type": "user", "id": "v", "properties": {"viewer": "friend"}}},
    "another type": {**EVALUATION, "subject": {"type": "robot", "id": "v"}}, "a list": [], "too many": {"evaluations": [{}] * 501},
}  # fmt: skip


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", "application/vnd.x+json", ""])
@pytest.mark.parametrize("name", AUTHZEN)
@pytest.mark.parametrize("path", ["/access/v1/evaluation", "/access/v1/evaluations"])
def test_an_evaluation_is_answered_as_by_the_route(service, monkeypatch, path, name, content_type):
    client, app = service
    headers = {"Authorization": f"Bearer {client._token()}", "Content-Type": content_type}
    fast, routed = both(app, monkeypatch, ("POST", path, json.dumps(AUTHZEN[name]), headers))
    assert fast == routed
    assert fast[0][0] in ({200, 400} if content_type.startswith(JSON) else {400})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_a_body_may_be_written_in_any_unicode_encoding(service, encoding):
    client, app = service
    method, url, body, headers = post(client, "good")
    assert answers(app, (method, url, body.encode(encoding), headers))[0][0] == 200


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", "application/vnd.x+json", "text/plain", ""])  # fmt: skip
def test_a_kind_of_content_is_answered_as_by_the_route(service, monkeypatch, content_type):
    client, app = service
    fast, routed = both(app, monkeypatch, post(client, "good", content_type))
    assert fast == routed
    assert fast[0][0] == (200 if "json" in content_type else 422)


@pytest.mark.parametrize("authorization", ["Bearer x", "Bearer ", "Basic dTp4", "bearer", "x" * 9000])
def test_a_token_is_refused_as_by_the_route(service, monkeypatch, authorization):
    client, app = service
    fast, routed = both(app, monkeypatch, post(client, "good", authorization=authorization))
    assert fast == routed
    assert fast[0][0] == 401


def test_a_picture_is_answered_as_by_the_route(service, monkeypatch):
    client, app = service
    _, _, body = answers(app, post(client, "good"))[0]
    first, placeholder = (item["url"].removeprefix(golden.ORIGIN) for item in json.loads(body)["items"])
    forged = placeholder[:-1] + ("A" if placeholder[-1] != "A" else "B")
    etag = answers(app, ("GET", placeholder, None, {}))[0][1]["etag"]
    requests = [
        (method, url, None, headers)
        for method in ("GET", "HEAD")
        for url, headers in (
            (placeholder, {}), (first, {}), (forged, {}), (placeholder.replace(".webp", ".exe"), {}),
            (placeholder, {"If-None-Match": etag}), (placeholder, {"Range": "bytes=0-3"}), (placeholder, {"Range": "bytes=999999-"}),
        )
    ]  # fmt: skip
    fast, routed = both(app, monkeypatch, *requests)
    assert fast == routed
    assert [status for status, _, _ in fast[:7]] == [200, 200, 404, 404, 304, 206, 416]
    assert [status for status, _, _ in fast[7:14]] == [200, 200, 404, 404, 304, 200, 200]
    assert "content-range" not in fast[12][1]


def test_what_is_in_memory_is_decided_without_the_thread_pool(service, monkeypatch):
    client, app = service
    services = app.state.services
    services.change_feed.poll()
    _, _, first = answers(app, post(client, "good"))[0]
    monkeypatch.setattr(DecisionService, "decide", lambda *_args, **_named: pytest.fail("the catalogue was asked"))
    services.change_feed.poll()
    status, _, again = answers(app, post(client, "good"))[0]
    assert (status, again) == (200, first)


def test_who_is_refused_was_not_read(service):
    _, app = service

    async def asked():
        sent, scope = [], {
            "type": "http", "method": "POST", "path": "/v1/decisions", "raw_path": b"/v1/decisions", "query_string": b"",
            "headers": [(b"content-type", JSON.encode())], "http_version": "1.1", "scheme": "http", "root_path": "",
        }  # fmt: skip

        async def receive():
            pytest.fail("the body was read")

        async def send(message):
            sent.append(message)

        await app(scope, receive, send)
        return sent[0]["status"]

    assert asyncio.run(asked()) == 401
