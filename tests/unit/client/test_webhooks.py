"""The receiver of webhooks takes what our own signer signs, and nothing else."""

import base64
import builtins
import json
import re
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given as given_
from hypothesis import strategies as st

from nightlight.catalogue import events
from nightlight.flows.webhooks.dispatch import payload
from nightlight.flows.webhooks.signing import EventSigner, jwks, parse_private_keys, parse_secrets
from nightlight_client import ClientMisconfigured
from nightlight_client.webhook_seen import MemorySeen, WebhookRefused, WebhookReplayed
from nightlight_client.webhooks import MAX_BYTES, WebhookReceiver, public_keys_of
from nightlight_core.errors import SettingsRefused
from service.webhook_events import EVENTS
from tests.conftest import ROOT
from tests.support import webhook_vectors

NOW = 1_795_338_000
HAPPENED = datetime(2026, 11, 22, 9, tzinfo=UTC)
OLD, NEW = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
(PUBLIC,) = public_keys_of(jwks(EventSigner(private_keys=lambda: [PRIVATE]).public_keys()))
BODY = payload(events.CHANGED, HAPPENED, {"profile_id": "u-81"})


def signer(*secrets, private=()):
    return EventSigner(lambda: parse_secrets(",".join(secrets), "x") if secrets else (), lambda: private)


def sent(body=BODY, event_id="event-1", moment=NOW, by=None):
    return body, (by or signer(OLD, private=[PRIVATE])).headers(event_id, moment, body)


def receiver(*, now=NOW, **given):
    return WebhookReceiver(**({"secrets": [OLD]} | given), clock=lambda: now)


def refused(code, call, *given):
    with pytest.raises(WebhookRefused) as error:
        call(*given)
    assert error.value.code == code
    return error.value


@pytest.mark.parametrize("given", [{"secrets": [OLD]}, {"secrets": [], "public_keys": [PUBLIC]}, {"secrets": OLD},
                                   {"secrets": [NEW], "public_keys": [PUBLIC]}, {"secrets": iter([NEW, OLD])}])  # fmt: skip
def test_an_event_that_one_of_the_keys_signed_is_read(given):
    event = receiver(**given).verify(*sent())
    assert (event.event_id, event.type, event.profile_id, event.image_id) == (
        "event-1",
        "picture.changed",
        "u-81",
        None,
    )
    assert (event.happened_at, event.sent_at) == (HAPPENED, datetime.fromtimestamp(NOW, UTC))


def test_every_type_that_the_document_names_is_read():
    for kind, (_, data, _) in EVENTS.items():
        event = receiver().verify(*sent(payload(kind, HAPPENED, data)))
        assert (event.type, event.data) == (kind, data)
    assert {events.CHANGED, events.TAKEN_DOWN, events.RESTORED, events.SET_ASIDE} < EVENTS.keys()


def test_the_example_of_the_specification_verifies():
    """The signature that its text and its libraries' tests give for this message."""
    body, event_id, moment = b'{"test": 2432232314}', "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
    text = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    headers = {"webhook-id": event_id, "webhook-timestamp": str(moment), "webhook-signature": text}
    given = receiver(secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], now=moment)
    assert refused("webhook_malformed", given.verify, body, headers).status == 400  # signed, and no event
    headers["webhook-signature"] = text.replace("g0h", "g0i")
    refused("webhook_unsigned", given.verify, body, headers)


@pytest.mark.parametrize("header", ["webhook-id", "Webhook-Id", "WEBHOOK_ID", "HTTP_WEBHOOK_ID"])
def test_headers_are_found_however_a_framework_writes_them(header):
    body, headers = sent()
    written = {header if name == "webhook-id" else name: value for name, value in headers.items()}
    assert receiver().verify(body, {"host": "x", **written}).event_id == "event-1"
    assert receiver().verify(body.decode(), written).profile_id == "u-81"


@pytest.mark.parametrize("change", ["body", "webhook-id", "webhook-timestamp", "webhook-signature"])
def test_whatever_is_changed_on_the_way_is_refused(change):
    body, headers = sent()
    if change == "body":
        body += b" "
    elif change == "webhook-timestamp":
        headers[change] = str(NOW + 1)
    elif change == "webhook-id":
        headers[change] += "x"
    else:
        headers[change] = re.sub(",(.)", lambda first: ",A" if first[1] != "A" else ",B", headers[change])
    for given in ({}, {"secrets": [], "public_keys": [PUBLIC]}):
        refused("webhook_unsigned", receiver(**given).verify, body, headers)


@pytest.mark.parametrize("signature", [
    "", "v1", "v1,", "v2,AAAA", "v1,!!!!", "v1a,AAAA", "v1a,!!!", ",", "  ", "v1,\u00e9", "v1," + "A" * 5000,
    " ".join(["v1,AAAA"] * 17),
])  # fmt: skip
def test_what_is_no_signature_is_refused(signature):
    body, headers = sent()
    headers["webhook-signature"] = signature
    with pytest.raises(WebhookRefused) as error:
        receiver(public_keys=[PUBLIC]).verify(body, headers)
    assert error.value.status in {400, 401}


def test_a_signature_of_one_kind_does_not_stand_for_the_other():
    body, headers = sent()
    v1, v1a = headers["webhook-signature"].split()
    headers["webhook-signature"] = f"v1a,{v1.partition(',')[2]} v1,{v1a.partition(',')[2]}"
    refused("webhook_unsigned", receiver(public_keys=[PUBLIC]).verify, body, headers)


@pytest.mark.parametrize(
    ("late", "code"), [(300, None), (301, "webhook_expired"), (-300, None), (-301, "webhook_expired")]
)
def test_what_is_too_old_or_of_the_future_is_refused(late, code):
    given = receiver(now=NOW + late)
    if code is None:
        given.verify(*sent())
    else:
        assert refused(code, given.verify, *sent()).status == 401


@pytest.mark.parametrize("body", [b"[]", b"{}", b"nonsense", b"\xff", b"[" * 60_000, b'{"type":1,"data":{},"timestamp":"2026-01-01"}',
                                  b'{"type":"x","data":[],"timestamp":"2026-01-01"}', b'{"type":"x","data":{},"timestamp":"soon"}',
                                  b'{"type":"x","data":{"profile_id":1},"timestamp":"2026-01-01T00:00:00Z"}'])  # fmt: skip
def test_what_is_signed_and_no_event_is_refused(body):
    refused("webhook_malformed", receiver().verify, *sent(body))


def test_what_is_too_large_or_has_no_headers_is_refused():
    assert refused("webhook_too_large", receiver().verify, *sent(b"x" * (MAX_BYTES + 1))).status == 413
    body, headers = sent()
    for name in headers:
        refused("webhook_malformed", receiver().verify, body, {key: headers[key] for key in headers if key != name})
    for value in ("a.b", "", "x" * 129, "a b", "\u00e9"):
        refused("webhook_malformed", receiver().verify, body, {**headers, "webhook-id": value})
    for value in ("1.5", "-1", "1e9", "9" * 13, "\u0661"):
        refused("webhook_malformed", receiver().verify, body, {**headers, "webhook-timestamp": value})


def test_a_replay_is_refused_for_as_long_as_its_timestamp_counts():
    elapsed = [0.0]
    given = receiver(seen=MemorySeen(elapsed=lambda: elapsed[0]))
    given.verify(*sent())
    again = refused("webhook_replayed", given.verify, *sent())
    assert isinstance(again, WebhookReplayed)
    assert again.status == 204
    elapsed[0] = 600
    refused("webhook_replayed", given.verify, *sent())
    assert given.verify(*sent(event_id="event-2")).event_id == "event-2"


def test_an_event_whose_taking_failed_may_come_again():
    given = receiver(seen=MemorySeen())
    with pytest.raises(ZeroDivisionError), given.receive(*sent()):
        raise ZeroDivisionError
    with given.receive(*sent()) as event:
        assert event.profile_id == "u-81"
    with pytest.raises(WebhookReplayed), given.receive(*sent()):
        pytest.fail("it was taken before")
    with pytest.raises(WebhookReplayed):
        given.verify(*sent())


def test_while_an_event_is_being_taken_the_same_one_is_to_come_later():
    """Its sender would believe it taken, and taking it may still fail."""
    given, inside, go_on = receiver(seen=MemorySeen()), threading.Event(), threading.Event()

    def take():
        with given.receive(*sent()):
            inside.set()
            go_on.wait(60)

    thread = threading.Thread(target=take)
    thread.start()
    inside.wait(60)
    with pytest.raises(WebhookRefused) as busy, given.receive(*sent()):
        pytest.fail("two at a time")
    assert (busy.value.status, busy.value.code) == (503, "webhook_busy")
    go_on.set()
    thread.join(60)
    with pytest.raises(WebhookReplayed), given.receive(*sent()):
        pytest.fail("it was taken before")


def test_what_is_remembered_is_bounded_and_a_full_memory_refuses():
    elapsed = [0.0]
    seen = MemorySeen(most=3, elapsed=lambda: elapsed[0])
    given = receiver(seen=seen)
    for number in range(3):
        given.verify(*sent(event_id=f"e{number}"))
    assert refused("webhook_busy", given.verify, *sent(event_id="e3")).status == 503
    refused("webhook_replayed", given.verify, *sent(event_id="e0"))
    elapsed[0] = 602
    given.verify(*sent(event_id="e3"))


@pytest.mark.parametrize("given", [
    {"secrets": []}, {"secrets": ["whsec_"]}, {"secrets": ["nonsense"]}, {"secrets": [OLD.removeprefix("whsec_")]},
    {"secrets": ["whsec_" + base64.b64encode(b"x" * 23).decode()]}, {"secrets": ["whsec_" + base64.b64encode(b"x" * 65).decode()]},
    {"public_keys": ["whpk_AAAA"]}, {"public_keys": [OLD]}, {"secrets": [OLD] * 9}, {"tolerance_s": 0},
])  # fmt: skip
def test_keys_that_are_none_are_refused_without_being_printed(given):
    with pytest.raises(ClientMisconfigured) as error:
        receiver(**given)
    assert OLD.removeprefix("whsec_") not in str(error.value)


@pytest.mark.parametrize("jwks_", [{}, {"keys": 1}, {"keys": [{"crv": "Ed25519"}]}, {"keys": ["x"]}, []])
def test_what_is_no_jwks_is_refused(jwks_):
    with pytest.raises(ClientMisconfigured):
        public_keys_of(jwks_)


def test_secrets_need_no_cryptography_and_public_keys_say_what_they_need(monkeypatch):
    real = builtins.__import__

    def without(name, *more):
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *more)

    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    assert receiver().verify(*sent()).type == "picture.changed"
    with pytest.raises(ClientMisconfigured, match=r"nightlight-client\[local\]"):
        receiver(public_keys=[PUBLIC])


@pytest.mark.parametrize("text", ["", "whsec_AAAA", f"{OLD},{OLD}", ",".join([OLD, NEW] * 3), f"{OLD} nonsense"])
def test_our_own_secrets_are_read_as_strictly(text):
    with pytest.raises(SettingsRefused, match="VARIABLE"):
        parse_secrets(text, "VARIABLE")
    with pytest.raises(SettingsRefused, match="VARIABLE"):
        parse_private_keys(text, "VARIABLE")


def test_an_event_says_nothing_but_what_it_is_about():
    assert json.loads(BODY) == {
        "type": "picture.changed", "timestamp": "2026-11-22T09:00:00+00:00", "data": {"profile_id": "u-81"},
    }  # fmt: skip


def test_the_vectors_for_other_languages_are_up_to_date():
    assert webhook_vectors.PATH.read_text("utf-8") == webhook_vectors.written()


@pytest.mark.parametrize("case", webhook_vectors.vectors()["cases"], ids=lambda case: case["name"])
def test_the_vectors_for_other_languages_are_ours(case):
    known = webhook_vectors.vectors()
    assert public_keys_of(known["jwks"]) == known["public_keys"]
    given = receiver(secrets=known["secrets"], public_keys=known["public_keys"], now=case["now"])
    if case["result"] == "ok":
        given.verify(case["body"], case["headers"])
    else:
        refused(case["result"], given.verify, case["body"], case["headers"])


BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/webhooks.md").read_text("utf-8"), re.DOTALL)


def test_the_pages_receiver_does_what_it_says(monkeypatch):
    forgotten = []
    names = {"forget_cached_urls": forgotten.append}
    exec(BLOCKS[0], names)
    by = EventSigner(lambda: [bytes(range(32))])
    body, headers = sent(moment=int(time.time()), by=by)
    assert [names["hook"](body, headers), names["hook"](body, headers), names["hook"](body + b" ", headers)] == [
        204,
        204,
        401,
    ]
    assert forgotten == ["u-81"]


def test_the_pages_ten_lines_verify():
    names = {}
    exec(BLOCKS[1], names)
    assert len(BLOCKS[1].partition("def")[2].strip().splitlines()) <= 10
    body, headers = sent(moment=int(time.time()))
    assert names["is_ours"](body, headers, OLD)
    assert not names["is_ours"](body, headers, NEW)
    assert not names["is_ours"](body + b" ", headers, OLD)
    assert not names["is_ours"](*sent(moment=int(time.time()) - 301), OLD)


@given_(
    st.binary(max_size=300),
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x"]), st.text(max_size=200)
    ),
    st.booleans(),
)
def test_whatever_comes_is_refused_by_our_own_error_alone(body, headers, as_sent):
    """Also where the signature is good and the body is anything."""
    receiving = receiver(public_keys=[PUBLIC], seen=MemorySeen())
    given_headers = sent(body)[1] if as_sent else headers
    with pytest.raises(WebhookRefused):
        receiving.verify(body, given_headers)
