"""What a client is given: what cannot work is refused when it is made, and nothing of it is sent."""

import base64
import io
import json
import math

import pytest

from nightlight_client import (
    AsyncNightlightClient,
    CallReport,
    ClientMisconfigured,
    HttpOptions,
    InvalidId,
    NightlightClient,
    NightlightError,
    NotNightlight,
    Problem,
    ServiceUnreachable,
    StillPending,
)
from nightlight_client.multipart_body import Form, form_body
from nightlight_client.options import key_map
from nightlight_client.responses import Response, raise_for

URL = "https://nightlight.internal"
KINDS = pytest.mark.parametrize("kind", [NightlightClient, AsyncNightlightClient])


class Scripted:
    """Carries requests in place of HTTP: what each is answered with is given beforehand."""

    def __init__(self, *answers):
        self.answers, self.sent = list(answers), []

    def send(self, attempt, headers):
        self.sent.append((attempt.request, headers))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    fetch = None


@KINDS
@pytest.mark.parametrize(
    "url",
    [
        "", "nightlight.internal", "nightlight.internal:8000", "ftp://nightlight", "https://", "https:///v1", 7, None,
        "https://host?x=1", "https://host#x", "https://me:secret@host", "https://ho st", "https://host:99999",
        "https://[::1", "https://host\n", "javascript:alert(1)", "https://h\u00f6st",
    ],
)  # fmt: skip
def test_an_address_that_can_be_none_is_refused(kind, url):
    with pytest.raises(ClientMisconfigured) as refused:
        kind(url, token="t")
    assert "secret" not in str(refused.value)


@KINDS
@pytest.mark.parametrize("url", [URL, URL + "/", "http://127.0.0.1:8000", "https://[::1]:8000/nightlight/"])
def test_an_address_may_have_a_port_and_a_path(kind, url):
    assert kind(url, token="t").base_url == url.rstrip("/")


@KINDS
@pytest.mark.parametrize("token", ["", " ", "a b", "a\n", "Bearer\tx", "\u00e9", "x" * 10_000, None, 7, b"x"])
def test_a_token_that_no_header_can_carry_is_refused_at_once_or_when_it_is_given(kind, token):
    with pytest.raises(ClientMisconfigured):
        kind(URL, token=token)
    carrier = Scripted()
    with (
        NightlightClient(URL, token=lambda: token, options=HttpOptions(carrier=carrier)) as client,
        pytest.raises(ClientMisconfigured),
    ):
        client.decide("peer", "list", [("p", "stranger")])
    assert carrier.sent == []


@KINDS
@pytest.mark.parametrize("budget_s", [-1, math.nan, math.inf, 4000])
def test_a_budget_is_a_time(kind, budget_s):
    with pytest.raises(ClientMisconfigured):
        kind(URL, token="t", budget_s=budget_s)


@KINDS
@pytest.mark.parametrize("viewer_id", ["", "a\nb", ".", "x" * 300])
def test_a_viewer_is_an_account(kind, viewer_id):
    with pytest.raises(InvalidId):
        kind(URL, token="t", viewer_id=viewer_id)


@KINDS
@pytest.mark.parametrize("ring", ["", "r1", "r1:", "r1:AAAA", "key:" + "A" * 44, "r1:!" + "A" * 43])
def test_a_ring_that_is_none_is_refused_without_its_text(kind, ring):
    with pytest.raises(ClientMisconfigured) as refused:
        kind(URL, token="t", relation_keys=ring)
    assert "AAAA" not in str(refused.value)


def test_keys_are_the_text_of_a_ring_or_a_map_as_it_is():
    keys = {"r1": b"1" * 32, "r2": b"2" * 40}
    text = ",".join(f"{name}:{base64.b64encode(key).decode()}" for name, key in keys.items())
    assert key_map(text) == keys
    assert key_map(keys) is keys
    assert key_map(None) == {}


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"Authorization": "Bearer x"}}, {"headers": {"X-A": "b\r\nX-C: d"}}, {"headers": {"X A": "b"}},
        {"headers": {"X-A": "\u00e9"}}, {"headers": {"": "b"}}, {"proxy": "proxy:3128"}, {"proxy": "socks5://proxy"},
        {"connect_s": 0}, {"step_s": math.nan}, {"first_pause_s": -1}, {"connections": 0}, {"most_attempts": 0},
    ],
)  # fmt: skip
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(ClientMisconfigured):
        HttpOptions(**options)


def test_every_error_is_in_one_tree():
    errors = [
        ClientMisconfigured("x"), ServiceUnreachable("tls", "x"), StillPending("x"), Problem(503, "unavailable", "x"),
        InvalidId("profile_id", "x"), NotNightlight(200, "x"),
    ]  # fmt: skip
    assert all(isinstance(error, NightlightError) for error in errors)
    assert [error.retryable for error in errors] == [False, True, True, True, False, False]
    assert isinstance(errors[0], ValueError)
    assert isinstance(errors[2], TimeoutError)


@pytest.mark.parametrize(
    ("listed", "pointer"),
    [
        ([{"pointer": "/items/3/relation", "detail": "too long"}], "/items/3/relation"),
        ([], None), (None, None), ("x", None), ([7, {"pointer": "/a", "detail": "b"}], "/a"), ({"pointer": "/a"}, None),
        ([{"pointer": ["/a"]}], "['/a']"), ([{"pointer": "/" + "x" * 9000}], "/" + "x" * 499),
    ],
)  # fmt: skip
def test_a_problem_says_where_the_request_is_at_fault(listed, pointer):
    body = {"code": "invalid_input", "detail": "no", "errors": listed}
    with pytest.raises(Problem) as refused:
        raise_for(Response(422, json.dumps(body).encode(), {"content-type": "application/problem+json"}))
    assert refused.value.pointer == pointer
    assert (refused.value.code, refused.value.detail) == ("invalid_input", "no")
    if pointer == "/items/3/relation":
        assert str(refused.value) == "422 invalid_input: no (/items/3/relation: too long)"


GOOD = Response(
    200, b'{"items": [{"profile_id": "p", "url": "u", "expires_at": 1, "blurhash": "b", "capture": "allow"}]}', {}
)
IMAGE = b'{"image_id": "%s", "profile_id": "p", "state": "%s", "reason": null}'


def scripted(*answers, **options):
    carrier, reports = Scripted(*answers), []
    given = HttpOptions(carrier=carrier, on_call=reports.append, first_pause_s=0.001, **options)
    return NightlightClient(URL, token="t", options=given, budget_s=60.0), carrier, reports


def test_every_call_is_reported_as_it_ends_and_names_nobody():
    cut, busy = ServiceUnreachable("cut", "x"), Response(503, b"", {})
    refused = Response(422, b'{"code": "invalid_input", "detail": "no"}', {})
    client, _, reports = scripted(cut, busy, GOOD, refused, cut, Response(204, b"", {}), Response(200, b"<html>", {}))
    client.decide("peer", "list", [("p", "stranger")])
    for failing in (lambda: client.decide("x", "y", [("p", "stranger")]), lambda: client.block("p", "v")):
        with pytest.raises(NightlightError):
            failing()
    client.block("p", "v")
    with pytest.raises(NotNightlight):
        client.image("0" * 32)
    assert [(report.operation, report.outcome, report.status, report.attempts) for report in reports] == [
        ("decide", "ok", 200, 3), ("decide", "invalid_input", 422, 1), ("block", "cut", 0, 1), ("block", "ok", 204, 1),
        ("image", "not_nightlight", 200, 1),
    ]  # fmt: skip
    assert all(report.seconds >= 0 for report in reports)
    assert set(CallReport.__slots__) == {"operation", "outcome", "status", "seconds", "attempts"}


def test_placeholders_for_want_of_an_answer_are_reported_as_such():
    client, carrier, reports = scripted(*[ServiceUnreachable("unreachable", "x")] * 3, most_attempts=3)
    assert client.decide("peer", "list", [("p", "stranger")])[0].fallback
    assert [(report.outcome, report.status, report.attempts) for report in reports] == [("fallback", 0, 3)]
    assert len(carrier.sent) == 3


def test_a_hook_that_fails_is_no_reason_to_show_nothing(caplog):
    def failing(_report):
        raise LookupError("the platform's own")

    with NightlightClient(URL, token="t", options=HttpOptions(carrier=Scripted(GOOD), on_call=failing)) as client:
        assert client.decide("peer", "list", [("p", "stranger")])[0].url == "u"
    assert "on_call failed" in caplog.text


def test_who_waits_goes_on_waiting_through_an_outage():
    pending = Response(200, IMAGE % (b"0" * 32, b"pending"), {})
    ready = Response(200, IMAGE % (b"0" * 32, b"ready"), {})
    client, _, _ = scripted(pending, ServiceUnreachable("cut", "x"), Response(503, b"", {}), ready)
    assert client.wait("0" * 32).state == "ready"
    client, _, _ = scripted(Response(404, b'{"code": "not_found", "detail": "no"}', {}))
    with pytest.raises(Problem):
        client.wait("0" * 32)
    client, _, _ = scripted(ServiceUnreachable("cut", "x"))
    with pytest.raises(ServiceUnreachable):
        client.wait("0" * 32, timeout_s=0.0)


def test_profiles_may_come_from_anything_that_can_be_iterated():
    client, carrier, _ = scripted(GOOD, Response(200, b"{}", {}))
    (decision,) = client.decide("peer", "list", ((name, "stranger") for name in ["p"]), consistency="17")
    assert decision.url == "u"
    client.views(name for name in ("p", "q"))
    assert carrier.sent[0][0].json["consistency"] == "17"
    assert carrier.sent[1][0].json == {"profile_ids": ["p", "q"]}


@pytest.mark.parametrize("content", [b'{"items": ["x"]}', b'{"items": [null]}', b"[" * 200_000, b'{"items": [[]]}'])
def test_an_answer_of_whatever_shape_is_the_placeholder_in_time(content):
    client, _, _ = scripted(*[Response(200, content, {})] * 2, most_attempts=2)
    assert client.decide("peer", "list", [("p", "stranger")])[0].fallback
    assert client.failures.counts == {"not_nightlight": 2}


def test_what_a_foreign_problem_says_is_kept_in_part():
    with pytest.raises(Problem) as refused:
        raise_for(Response(422, json.dumps({"code": "x" * 10**6, "detail": "y" * 10**6}).encode(), {}))
    assert len(str(refused.value)) < 3_000


@pytest.mark.parametrize("budget_s", [-1.0, math.nan, math.inf])
def test_a_budget_of_one_call_is_a_time_too(budget_s):
    client, carrier, _ = scripted()
    with pytest.raises(ClientMisconfigured):
        client.decide("peer", "list", [("p", "stranger")], budget_s=budget_s)
    with pytest.raises(ClientMisconfigured):
        client.wait("0" * 32, timeout_s=math.nan)
    assert carrier.sent == []


@pytest.mark.parametrize("relation", ["a\nb", 7, None, "\ud800"])
def test_a_relation_is_a_word(relation):
    client, carrier, _ = scripted()
    with pytest.raises(InvalidId):
        client.decide("peer", "list", [("p", relation)], viewer_id="v")
    assert carrier.sent == []


def test_what_is_given_is_sent_though_it_is_empty():
    client, carrier, _ = scripted(GOOD)
    client.decide("peer", "list", [("p", "stranger", None, "")], at_most="")
    body = carrier.sent[0][0].json
    assert (body["at_most"], body["items"][0]["at_most"]) == ("", "")
    with pytest.raises(InvalidId):
        client.decide("peer", "list", [("p", "stranger")], viewer_id="")


def test_a_picture_is_bytes_or_a_file_of_bytes(tmp_path):
    class Later:
        async def read(self, _size=-1):
            return b""

    client, carrier, _ = scripted(*[Response(202, IMAGE % (b"0" * 32, b"pending"), {})] * 3)
    for picture in (b"x", bytearray(b"x"), memoryview(b"x")):
        client.upload("p", picture)
        assert b"".join(carrier.sent[-1][0].content()[0]).count(b"\r\n\r\nx\r\n") == 1
    (tmp_path / "text").write_bytes(b"\xe9" * 100)
    with (tmp_path / "text").open(encoding="latin-1") as text:
        for picture in (text, Later(), tmp_path / "text", 7, None):
            with pytest.raises(ClientMisconfigured):
                client.upload("p", picture)
    for name in ('a"\r\nX-Evil: 1', "", "a b"):
        with pytest.raises(ClientMisconfigured):
            Form(name, b"x")
        with pytest.raises(ClientMisconfigured):
            Form("a", b"x", {name: "y"})


class Grows(io.BytesIO):
    def read(self, size=-1):
        return super().read(size) or (self.more.pop() if self.more else b"")


@pytest.mark.parametrize("more", [[b"and more"], []])
def test_a_file_that_gives_another_length_than_it_said_breaks_off(more):
    file = Grows(b"x" * 10)
    file.more = more
    pieces, headers = Form("picture", file) and form_body(Form("picture", file))
    if more:
        with pytest.raises(ClientMisconfigured):
            b"".join(pieces)
        return
    assert len(b"".join(pieces)) == int(headers["Content-Length"])
    file.seek(0)
    pieces, _ = form_body(Form("picture", file))
    file.truncate(3)
    with pytest.raises(ClientMisconfigured):
        b"".join(pieces)
