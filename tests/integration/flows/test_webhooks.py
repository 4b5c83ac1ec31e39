"""Events are delivered to a real receiver, whatever it does: kept until it takes them, and sent again when asked for."""

import base64
import hashlib
import hmac
import json
import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from nightlight import metrics
from nightlight.catalogue.events import GIVEN_UP, RESTORED, TAKEN, WAITING
from nightlight.catalogue.webhooks import DISABLED, ENABLED
from nightlight.flows.retention.expiry import Expiry
from nightlight.flows.webhooks import manage
from nightlight.flows.webhooks.dispatch import RETRY_S, DeliverWebhooks, EndpointLimits
from nightlight.flows.webhooks.manage import ManageWebhooks
from nightlight.flows.webhooks.post import Endpoint
from nightlight.flows.webhooks.public_keys import LIFE_S, WebhookPublicKeys
from nightlight.flows.webhooks.signing import EventSigner
from nightlight.flows.webhooks.trial import SendTrialEvent
from nightlight_core.errors import SettingsRefused
from nightlight_core.ids import ImageId, ProfileId
from tests.support.flow_container import HASHER, Clock
from tests.support.receiver import Answer, receiving
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SECRETS = (b"first secret of 32 bytes, or so.", b"another that is rotated to, soon")
PATH = "/hooks"
DAY = timedelta(days=1)


@pytest.fixture
def hooks():
    with receiving() as server:
        yield server


@pytest.fixture
def clock():
    return Clock()


class World:
    """A catalogue with a schedule that delivers to a receiver."""

    def __init__(self, catalogue, clock, url, **limits):
        self.catalogue, self.clock = catalogue, clock
        signer = EventSigner(lambda: SECRETS, lambda: (PRIVATE,))
        self.deliver = DeliverWebhooks(
            catalogue,
            Endpoint(url),
            signer,
            HANG_S,
            clock,
            EndpointLimits(**({"failures": 3, "failing_s": 600} | limits)),
        )
        self.manage = ManageWebhooks(catalogue, clock)

    def event(self, profile="u-1", **more):
        with self.catalogue.transaction() as tx:
            tx.events.add(ProfileId(profile), self.clock(), **more)

    def events(self):
        return self.manage.overview(limit=100).events

    def states(self):
        return [event.state for event in self.events()]

    @property
    def endpoint(self):
        (endpoint,) = self.manage.overview(limit=0).endpoints
        return endpoint

    def until_tried(self, times):
        """Let time pass until the receiver was asked so often."""
        for _ in range(times):
            self.deliver.run_once()
            self.clock.forward(seconds=100_000)


@pytest.fixture
def world(fresh, clock, hooks):
    return World(fresh, clock, hooks.url + PATH)


def test_an_event_is_signed_with_every_key_and_says_whose_picture_it_is(world, hooks):
    world.event(kind=RESTORED, image_id=ImageId("i" * 32))
    assert world.deliver.run_once() == 1
    ((_, headers, body),) = hooks.sent
    lower = {name.lower(): value for name, value in headers.items()}
    signed = f"{lower['webhook-id']}.{lower['webhook-timestamp']}.".encode() + body
    signatures = [signature.partition(",") for signature in lower["webhook-signature"].split(" ")]
    assert [version for version, _, _ in signatures] == ["v1", "v1", "v1a"]
    macs = [base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in SECRETS]
    assert [text for _, _, text in signatures[:2]] == macs
    PRIVATE.public_key().verify(base64.b64decode(signatures[2][2]), signed)
    assert lower["content-type"] == "application/json"
    assert json.loads(body) == {
        "type": "picture.restored",
        "timestamp": world.clock().isoformat(),
        "data": {"profile_id": "u-1", "image_id": "i" * 32},
    }


def test_an_event_that_was_taken_is_kept_and_not_sent_again(world, hooks):
    world.event()
    assert world.deliver.run_once() == 1
    world.clock.forward(days=2)
    assert world.deliver.run_once() == 0
    (event,) = world.events()
    assert (event.state, event.attempts, event.last_outcome, event.last_status) == (TAKEN, 0, "taken", 204)
    assert len(hooks.sent) == 1
    with world.catalogue.reading() as tx:
        assert tx.backlog.events().count == 0


def test_what_fails_is_tried_again_later_with_the_same_id_and_a_new_timestamp(world, hooks):
    world.event()
    hooks.statuses[PATH] = [500, Answer(302, {"Location": "http://127.0.0.1:1/"}), 204]
    assert world.deliver.run_once() == 0
    (event,) = world.events()
    assert (event.state, event.attempts, event.last_outcome, event.last_status) == (WAITING, 1, "status", 500)
    assert RETRY_S[0] <= (event.next_at - world.clock()).total_seconds() <= 1.1 * RETRY_S[0]
    assert world.deliver.run_once() == 0  # not due yet
    world.clock.forward(seconds=6)
    assert world.deliver.run_once() == 0
    assert world.events()[0].last_outcome == "redirect"
    world.clock.forward(seconds=331)
    assert world.deliver.run_once() == 1
    ids, moments = zip(*((h["webhook-id"], h["webhook-timestamp"]) for _, h, _ in hooks.sent), strict=True)
    assert (len(set(ids)), len(set(moments))) == (1, 3)


@pytest.mark.parametrize(("header", "least_s"), [("120", 120), ("999999", 3600), ("Tue, 01 Dec", 5), ("-5", 5)])
def test_a_receiver_that_asks_to_be_left_alone_is_for_an_hour_at_most(world, hooks, header, least_s):
    world.event()
    world.event("u-2")
    hooks.statuses[PATH] = [Answer(503, {"Retry-After": header})] * 2
    world.deliver.run_once()
    waits = [(event.next_at - world.clock()).total_seconds() for event in world.events()]
    assert all(least_s <= wait <= max(least_s, 1.1 * RETRY_S[0]) for wait in waits)
    world.event("u-3")
    asked = len(hooks.sent)
    world.deliver.run_once()
    assert len(hooks.sent) == asked + (least_s == 5)  # nobody else is sent to it meanwhile
    world.clock.forward(seconds=least_s + 1)
    assert world.deliver.run_once() == 2 + (least_s > 5)


@pytest.mark.parametrize("answer", [Answer(429, {"Retry-After": "60"}), Answer(410)])
def test_the_rest_of_a_batch_is_not_sent_to_a_receiver_that_asked_for_nothing_more(world, hooks, answer):
    hooks.usual = answer
    for number in range(12):
        world.event(f"u-{number}")
    world.deliver.run_once()
    assert len(hooks.sent) == 5
    assert sorted(event.attempts for event in world.events()) == [0] * 7 + [1] * 5
    hooks.usual = 204
    world.clock.forward(seconds=70)
    world.manage.enable(actor="t")
    assert world.deliver.run_once() == 12


def test_after_its_retries_an_event_is_given_up_and_can_be_sent_again(fresh, clock, hooks):
    world = World(fresh, clock, hooks.url + PATH, failures=1000)
    hooks.usual = 400
    world.event()
    world.until_tried(len(RETRY_S) + 3)
    assert len(hooks.sent) == len(RETRY_S) + 1
    (event,) = world.events()
    assert (event.state, world.manage.overview(limit=0).counts) == (GIVEN_UP, {WAITING: 0, GIVEN_UP: 1})
    hooks.usual = 204
    assert world.manage.replay(event_ids=[event.event_id], actor="t") == 1
    assert world.deliver.run_once() == 1
    assert hooks.sent[-1][1]["webhook-id"] == event.event_id


def test_an_endpoint_that_fails_for_too_long_is_disabled_for_every_process_and_nothing_is_lost(world, fresh, hooks):
    other = World(fresh, world.clock, hooks.url + PATH)
    hooks.usual = 500
    for number in range(4):
        world.event(f"u-{number}")
    world.deliver.run_once()
    assert (world.endpoint.state, world.endpoint.failures) == (ENABLED, 4)  # often enough, and not for long enough
    assert not metrics.WEBHOOKS_DISABLED._value.get()
    world.clock.forward(seconds=601)
    world.deliver.run_once()
    assert (world.endpoint.state, world.endpoint.reason) == (DISABLED, "failing")
    asked = len(hooks.sent)
    world.event("u-late")
    world.clock.forward(days=5)
    assert other.deliver.run_once() == world.deliver.run_once() == 0
    assert len(hooks.sent) == asked
    assert metrics.WEBHOOKS_DISABLED._value.get() == 1
    hooks.usual = 204
    enabled, due = world.manage.enable(actor="op")
    assert ([endpoint.state for endpoint in enabled], due) == ([ENABLED], 5)
    assert other.deliver.run_once() == 5
    assert set(world.states()) == {TAKEN}
    assert other.deliver.run_once() == 0
    assert metrics.WEBHOOKS_DISABLED._value.get() == 0
    with fresh.reading() as tx:
        assert tx.audit.last_detail("webhooks.enabled") == {"events": 5}
    assert world.manage.enable(actor="op") == ([], 0)


def test_one_success_ends_a_row_of_failures(world, hooks):
    hooks.statuses[PATH] = [500, 500, 204, 500]
    for _ in range(4):
        world.event()
        world.deliver.run_once()
        world.clock.forward(seconds=601)
    assert (world.endpoint.state, world.endpoint.failures) == (ENABLED, 0)


def test_a_receiver_that_is_gone_is_disabled_at_once(world, hooks):
    hooks.statuses[PATH] = [410]
    world.event()
    world.deliver.run_once()
    assert (world.endpoint.state, world.endpoint.reason, world.states()) == (DISABLED, "gone", [WAITING])


def test_another_url_is_another_endpoint_and_the_first_is_forgotten(world, fresh, hooks):
    hooks.statuses[PATH] = [410]
    world.event()
    world.deliver.run_once()
    other = World(fresh, world.clock, f"{hooks.url}/other?token=secret")
    world.clock.forward(minutes=1)
    assert other.deliver.run_once() == 1
    assert (other.endpoint.state, other.endpoint.url) == (ENABLED, f"{hooks.url}/other")


def test_without_an_endpoint_events_are_dropped(world, fresh):
    world.event()
    nobody = DeliverWebhooks(fresh, None, EventSigner(), 1, world.clock)
    assert nobody.run_once() == 0
    assert (world.events(), world.manage.overview(limit=0).endpoints) == ([], [])


def test_where_nothing_answers_the_rest_is_not_tried_and_not_counted(fresh, clock):
    with receiving() as gone:
        world = World(fresh, clock, gone.url + PATH)
    for number in range(12):
        world.event(f"u-{number}")
    world.deliver.run_once()
    assert sorted(event.attempts for event in world.events()) == [0] * 7 + [1] * 5
    assert {event.last_outcome for event in world.events()} == {"refused", None}
    assert all(event.next_at <= clock() + timedelta(seconds=6) for event in world.events())


def test_a_receiver_that_drips_or_never_ends_holds_nobody_up(fresh, clock, hooks):
    slow = DeliverWebhooks(fresh, Endpoint(hooks.url + PATH), EventSigner(lambda: SECRETS), 0.5, clock)
    world = World(fresh, clock, hooks.url + PATH)
    hooks.statuses[PATH] = [
        Answer(200, body=b"x" * 600, drip_s=0.1),
        Answer(200, wait_s=3),
        Answer(200, body=b"x" * 10**7),
    ]
    for outcome in ("timeout", "timeout", "taken"):
        world.event()
        began = time.monotonic()
        slow.run_once()
        assert time.monotonic() - began < 3
        assert world.events()[0].last_outcome == outcome
        clock.forward(seconds=1)


def test_events_since_a_moment_are_sent_again_and_older_ones_are_not(world, hooks):
    world.event("u-old")
    world.clock.forward(hours=1)
    moment = world.clock()
    for profile in ("u-2", "u-3"):
        world.event(profile)
    assert world.deliver.run_once() == 3
    hooks.sent.clear()
    assert world.manage.replay(since=moment, actor="t") == 2
    assert world.deliver.run_once() == 2
    assert {body["data"]["profile_id"] for body in hooks.bodies(PATH)} == {"u-2", "u-3"}
    assert world.manage.replay(event_ids=["0" * 32], actor="t") == 0


def test_many_events_are_sent_again_in_batches_each_of_them_once(world, monkeypatch):
    monkeypatch.setattr(manage, "_BATCH", 3)
    for moment in range(3):  # several of one moment, and a batch that ends in the middle of them
        for number in range(3 + moment):
            world.event(f"u-{moment}-{number}")
        world.clock.forward(seconds=1)
    since = world.clock() - timedelta(seconds=2)
    while world.deliver.run_once():
        pass
    assert world.manage.replay(since=since, actor="t") == 9
    assert world.states().count(WAITING) == 9
    assert world.manage.replay(since=world.clock() + timedelta(days=1), actor="t") == 0


def test_an_event_whose_schedule_died_over_it_is_delivered_by_another(world, hooks):
    world.event()
    assert len(world.deliver._due()) == 1  # claimed, and then nothing more is heard of it
    assert world.deliver.run_once() == 0
    world.clock.forward(seconds=10 * HANG_S + 61)
    assert world.deliver.run_once() == 1


def test_events_are_forgotten_after_their_days_taken_or_not(world, hooks, fresh):
    world.event("u-taken")
    world.deliver.run_once()
    hooks.usual = 500
    world.event("u-failed")
    world.deliver.run_once()
    expiry = Expiry(fresh, 24, 30, world.clock, HASHER)
    world.clock.forward(days=14)
    expiry.run_once()
    assert len(world.events()) == 2
    world.clock.forward(seconds=1)
    expiry.run_once()
    assert world.events() == []


def test_public_keys_are_published_and_those_that_went_are_not(world, fresh):
    elapsed = iter([0.0, 1.0, LIFE_S + 1]).__next__
    served = WebhookPublicKeys(fresh, elapsed)
    world.deliver.run_once()
    (key,) = json.loads(served.document())["keys"]
    raw = base64.urlsafe_b64decode(key["x"] + "=")
    assert raw == PRIVATE.public_key().public_bytes_raw()
    assert set(key) == {"kty", "crv", "use", "alg", "kid", "x"}
    rotated = EventSigner(private_keys=lambda: (Ed25519PrivateKey.generate(),))
    DeliverWebhooks(fresh, Endpoint("http://127.0.0.1:1/"), rotated, 1, world.clock).run_once()
    assert json.loads(served.document())["keys"] == [key]  # for a few seconds
    assert key not in json.loads(served.document())["keys"]


def certificate(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver.test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - DAY).not_valid_after(now + DAY).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "c.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM) + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "c.pem")
    return context


def tried(url, timeout_s=HANG_S):
    return SendTrialEvent(Endpoint(url), EventSigner(lambda: SECRETS), timeout_s, lambda: datetime.now(UTC)).run()


def test_a_trial_says_in_plain_words_what_is_wrong(hooks, tmp_path):
    hooks.statuses[PATH] = [204, 404, Answer(307, {"Location": "/x"}), Answer(wait_s=2)]
    words = [(result.delivery.outcome, result.delivery.detail) for result in (
        tried(hooks.url + PATH), tried(hooks.url + PATH), tried(hooks.url + PATH), tried(hooks.url + PATH, 0.3),
        tried("http://127.0.0.1:1/"), tried("http://no-such-host.invalid/"),
    )]  # fmt: skip
    assert words[0] == ("taken", "taken with 204")
    assert words[1] == ("status", "answered 404, which is no 2xx")
    assert words[2][0] == "redirect"
    assert "not followed" in words[2][1]
    assert words[3] == ("timeout", "no answer within 0.3 s")
    assert words[4] == ("refused", "nothing listens there: the connection was refused")
    assert words[5] == ("name", "the host's name does not resolve")
    with receiving(certificate(tmp_path)) as server:
        result = tried(server.url)
    assert result.delivery.outcome == "tls"
    assert "certificate is not accepted: self-signed certificate" in result.delivery.detail
    assert tried(f"https{hooks.url.removeprefix('http')}/").delivery.outcome == "tls"
    body = hooks.bodies(PATH)[0]
    assert (body["type"], body["data"]) == ("webhook.test", {})


@pytest.mark.parametrize(
    "url", ["ftp://h/", "http://user:pass@h/", "https:///x", "nonsense", "http://h/#a", "http://[::1/", "http://h:0/"]
)
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(SettingsRefused, match="WEBHOOK"):
        Endpoint.parse(url, "WEBHOOK")


def test_the_public_key_that_is_published_verifies(world, hooks):
    world.event()
    world.deliver.run_once()
    with world.catalogue.reading() as tx:
        ((_, x),) = tx.webhooks.public_keys().items()
    headers = {name.lower(): value for name, value in hooks.sent[0][1].items()}
    signature = headers["webhook-signature"].rpartition("v1a,")[2]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + hooks.sent[0][2]
    Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=")).verify(base64.b64decode(signature), signed)
