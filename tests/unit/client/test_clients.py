"""The two clients have the same methods, which send the same requests."""

import asyncio
import inspect
import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nightlight_client import AsyncNightlightClient, InvalidId, NightlightClient
from nightlight_client.requests import Request, Retry, takedowns

IMAGE = {"image_id": "0" * 32, "profile_id": "p", "state": "ready", "reason": None}
TRACE = {"trace_id": "0" * 32, "state": "done", "reason": None, "progress": 100, "copy_kept": False, "result": None}
EXPORT = {"export_id": "0" * 32, "state": "ready", "reason": None, "sha256": "0" * 64, "expires_at": None}
TAKEDOWN = {
    "takedown_id": "0" * 32, "state": "in_force", "reason": None, "kind": "other", "reference": "r", "image_id": None,
    "hidden": 2, "received_at": "t", "due_at": "t", "dark_at": "t", "undone_at": None, "matches": [{"image_id": "0"}],
}  # fmt: skip
REVIEW = {
    "takedown_id": "0" * 32, "state": "in_force", "kind": "other", "reference": "r", "picture": None, "matches": [],
}  # fmt: skip
ARCHIVE = {"headers": {"repr-digest": "sha-256=:AAAA:"}, "content": b"PK"}
DECISION = {"profile_id": "p", "url": "https://x/a", "expires_at": 1, "blurhash": "b", "capture": "allow"}
BUNDLE = {"headers": {"content-type": "application/json", "etag": '"1"'}, "content": b"{}"}
ANY = {"json": {"a": 1}}
NOTHING = {"status_code": 204}
CHANGED = {"headers": {"Nightlight-Consistency": "17"}}
CHANGE = {**NOTHING, **CHANGED}
PROFILE = {
    "profile_id": "p", "band": "adult", "assurance": "verified", "region": "eu", "choice": "everyone",
    "report_flag": "clear", "deactivated_at": None, "lapses_at": "t",
}  # fmt: skip
CALLER = {"subject": "s", "scopes": ["decide"], "now": 1.0, "relation_keys": [], "leeway_s": 5}
CALLS = {
    "decide": (["peer", "list", [("p", "stranger")]], {"network": "net"}, {"json": {"items": [DECISION]}}),
    "explain": (["peer", "list", [("p", "stranger")]], {"viewer_id": "v"}, ANY),
    "check": (["decide"], {}, {"json": CALLER}),
    "declare": (["p"], {"band": "adult", "assurance": "verified"}, {"json": PROFILE, **CHANGED}),
    "delete_profile": (["p"], {}, NOTHING),
    "deactivate": (["p"], {}, CHANGE),
    "reactivate": (["p"], {}, CHANGE),
    "set_report_flag": (["p", "reported"], {}, CHANGE),
    "revoke": (["p"], {}, CHANGE),
    "plant": (["p"], {}, NOTHING),
    "block": (["p", "v"], {}, CHANGE),
    "unblock": (["p", "v"], {}, CHANGE),
    "upload": (["p", b"picture"], {"idempotency_key": "k", "crop": (1, 2, 3, 4)}, {"json": IMAGE}),
    "image": (["0" * 32], {}, {"json": IMAGE}),
    "wait": (["0" * 32], {}, {"json": IMAGE}),
    "receipts": (["0" * 32], {}, {"json": []}),
    "delete_image": (["0" * 32], {}, NOTHING),
    "trace": ([b"copy"], {"keep": True}, {"json": TRACE}),
    "trace_status": (["0" * 32], {}, {"json": TRACE}),
    "wait_trace": (["0" * 32], {}, {"json": TRACE}),
    "delete_trace": (["0" * 32], {}, NOTHING),
    "export_profile": (["p"], {"seal_to": "age1x"}, {"json": EXPORT}),
    "export_status": (["p"], {}, {"json": EXPORT}),
    "wait_export": (["p"], {}, {"json": EXPORT}),
    "export_file": (["p"], {}, ARCHIVE),
    "delete_export": (["p"], {}, NOTHING),
    "place_takedown": ([b"found"], {"kind": "other", "reference": "r"}, {"json": TAKEDOWN}),
    "takedown_status": (["0" * 32], {}, {"json": TAKEDOWN}),
    "wait_takedown": (["0" * 32], {}, {"json": TAKEDOWN}),
    "confirm_takedown": (["0" * 32, "1" * 32], {}, NOTHING),
    "clear_takedown": (["0" * 32, "1" * 32], {}, NOTHING),
    "undo_takedown": (["0" * 32], {"why": "another picture"}, {"json": TAKEDOWN}),
    "ask_takedown_review": (["0" * 32], {}, {"json": REVIEW}),
    "takedown_review": (["0" * 32], {}, {"json": REVIEW}),
    "review_picture": (["0" * 32, "1" * 32], {}, {"content": b"x", "headers": {"content-type": "image/webp"}}),
    "feed": (["cursor"], {}, ANY),
    "views": ([["p"]], {}, ANY),
    "delegated_keys": ([], {}, ANY),
    "bundle_in_use": ([1], {}, BUNDLE),
    "report": ([{"cell": 1}, []], {}, NOTHING),
    "policy_status": ([], {}, ANY),
    "policy_bundle": (['"0"'], {}, BUNDLE),
    "policy_version": ([1], {}, BUNDLE),
    "activate": ([b"bundle", {"approver": "a"}], {}, ANY),
    "candidate": ([b"bundle"], {"permille": 5}, ANY),
    "withdraw_candidate": ([], {}, NOTHING),
    "withdraw_version": ([1], {}, NOTHING),
    "emergency": ([b"bundle", b"after"], {"until": 1_800_000_000}, ANY),
    "policy_progress": ([], {}, ANY),
    "policy_counters": ([3], {}, ANY),
    "explain_policy": ([{"region": "eu"}], {}, ANY),
}
# They send nothing of their own, or what the caller gives them.
APART = {"close", "send", "fetch"}


def methods(client):
    return {name: method for name, method in inspect.getmembers(client, inspect.isfunction) if not name.startswith("_")}


def test_both_have_the_same_methods_with_the_same_parameters_and_answers():
    sync, later = methods(NightlightClient), methods(AsyncNightlightClient)
    assert sync.keys() == later.keys() == CALLS.keys() | APART
    for name, method in sync.items():
        assert inspect.signature(method) == inspect.signature(later[name]), name
        assert method.__doc__ == later[name].__doc__
        assert inspect.iscoroutinefunction(later[name])


class _Recorder(BaseHTTPRequestHandler):
    """Takes what clients send, as it comes, and answers every request alike."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        boundary = self.headers.get("content-type", "").partition("boundary=")[2]
        headers = {name.lower(): value for name, value in self.headers.items()}
        headers = {name: headers[name].replace(boundary or "-", "-") for name in SAME & headers.keys()}
        self.server.requests.append((self.command, self.path, headers, body.replace(boundary.encode() or b"-", b"-")))
        given = self.server.answer
        content = given.get("content", json.dumps(given["json"]).encode() if "json" in given else b"")
        self.send_response(given.get("status_code", 200))
        for name, value in given.get("headers", {}).items():
            self.send_header(name, value)
        if given.get("status_code") not in {204, 304}:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - what the base class calls

    def log_message(self, *_):
        pass


# The headers that both clients have to send alike; the others are their HTTP libraries' own.
SAME = {"authorization", "content-type", "content-length", "user-agent", "idempotency-key", "if-none-match", "x-more"}


@contextmanager
def recording(answer):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Recorder) as server:
        server.daemon_threads = True
        server.requests, server.answer = [], answer
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield server
        finally:
            server.shutdown()


def sync_and_async(name, arguments, named, answer, **settings):
    """What both return, and what both sent."""
    settings = {"token": "t", "viewer_id": "me", **settings}
    with recording(answer) as server:
        with NightlightClient(server.url, **settings) as client:
            result = getattr(client, name)(*arguments, **named)
        sent, server.requests = server.requests, []

        async def call():
            async with AsyncNightlightClient(server.url, **settings) as client:
                return await getattr(client, name)(*arguments, **named)

        return (result, sent), (asyncio.run(call()), server.requests)


@pytest.mark.parametrize("name", CALLS)
def test_both_send_the_same_and_return_the_same(name, socket_enabled):
    now, later = sync_and_async(name, *CALLS[name])
    assert now == later
    ((method, path, headers, _),) = now[1]
    assert headers["authorization"] == "Bearer t"
    assert (method, path.split("/")[1]) in {(verb, "v1") for verb in ("GET", "POST", "PUT", "DELETE")}


def test_an_upload_is_a_form_with_its_file_its_crop_and_its_key(socket_enabled):
    (_, ((method, path, headers, body),)), _ = sync_and_async("upload", *CALLS["upload"])
    assert (method, path, headers["idempotency-key"]) == ("POST", "/v1/profiles/p/image", "k")
    assert b'name="crop"\r\n\r\n1,2,3,4\r\n' in body
    assert b'name="file"; filename="picture"\r\nContent-Type: application/octet-stream\r\n\r\npicture\r\n' in body


def test_a_declaration_says_all_its_words(socket_enabled):
    (_, ((_, _, _, body),)), _ = sync_and_async("declare", *CALLS["declare"])
    assert json.loads(body) == {
        "band": "adult", "assurance": "verified", "region": "unknown", "choice": "connections",
        "earlier_pictures": "keep_ceiling",
    }  # fmt: skip


def test_a_notice_is_on_a_picture_or_on_an_image_and_says_when_it_was_received(socket_enabled):
    words = {"kind": "other", "reference": "r", "received_at": datetime(2026, 11, 30, tzinfo=UTC)}
    (placed, ((_, path, _, body),)), _ = sync_and_async("place_takedown", [b"found"], words, {"json": TAKEDOWN})
    assert (path, placed.hidden, placed.matches) == ("/v1/takedowns", 2, [{"image_id": "0"}])
    assert b'{"kind": "other", "reference": "r", "received_at": "2026-11-30T00:00:00+00:00"}' in body
    plain = {name: value for name, value in TAKEDOWN.items() if name != "matches"}
    (placed, ((_, _, _, body),)), _ = sync_and_async(
        "place_takedown", [], {**words, "image_id": "1" * 32}, {"json": plain}
    )
    assert (json.loads(body)["image_id"], placed.matches) == ("1" * 32, None)
    for picture, image_id in ((None, None), (b"found", "1" * 32)):
        with pytest.raises(InvalidId):
            takedowns.place_takedown(picture, kind="other", reference="r", image_id=image_id)


def test_a_verdict_is_on_a_match_of_a_notice(socket_enabled):
    for name, verdict in (("confirm_takedown", "confirmed"), ("clear_takedown", "cleared")):
        (_, ((_, path, _, body),)), _ = sync_and_async(name, *CALLS[name])
        assert path == f"/v1/takedowns/{'0' * 32}/matches/{'1' * 32}"
        assert json.loads(body) == {"verdict": verdict}


def test_no_bundle_is_active_or_it_is_still_the_known_one(socket_enabled):
    for answer in ({"status_code": 304}, {"status_code": 404, "json": {"code": "not_found"}}):
        now, later = sync_and_async("policy_bundle", ['"1"'], {}, answer)
        assert now[0] is later[0] is None


def test_a_request_is_sent_once_by_the_clients_timeouts_unless_it_says_otherwise():
    request = Request(method="GET", path="/", read=lambda response: response.status)
    assert request.retry is Retry.NEVER
    assert (request.target, request.content()) == ("/", (None, {}))
