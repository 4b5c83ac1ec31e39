"""A running Nightlight tells a platform of changes, is turned away, is enabled again by command, and sends all of it."""

import base64
import json
from datetime import datetime, timedelta

import httpx
import pytest

from nightlight.cli import key_commands
from nightlight_client import MemorySeen, WebhookReceiver, WebhookRefused, WebhookReplayed
from nightlight_client.webhooks import public_keys_of
from tests.support.command import run_command
from tests.support.receiver import receiving
from tests.support.services import token
from tests.support.stacks import STACKS, Embedded
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PATH = "/hooks/nightlight"


@pytest.fixture(scope="module")
def hooks():
    with receiving() as server:
        yield server


@pytest.fixture(scope="module", params=sorted(STACKS))
def stack(request, tmp_path_factory, hooks):
    settings = {
        "NIGHTLIGHT_DELIVERY_WEBHOOK_URL": hooks.url + PATH,
        "NIGHTLIGHT_DELIVERY_WEBHOOK_SECRET": SECRET,
        "NIGHTLIGHT_DELIVERY_WEBHOOK_KEY": "whsk_" + base64.b64encode(bytes(32)).decode(),
    }
    with STACKS[request.param](tmp_path_factory.mktemp("webhooks"), **settings) as started:
        yield started


def command(stack, *arguments, code=0):
    done = run_command([*arguments, "--json"], stack.as_role("operator"))
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def metric(stack, name):
    page = httpx.get(f"http://127.0.0.1:{stack.environment['NIGHTLIGHT_WORKER_SCHEDULE_HEALTH_PORT']}/metrics").text
    return [line.rpartition(" ")[2] for line in page.splitlines() if line.startswith(f"{name} ")]


def test_from_a_change_to_an_endpoint_that_is_disabled_and_back(stack, hooks):
    who = f"webhooks-{token()}"
    seen = MemorySeen()

    def about():
        return [(headers, body) for path, headers, body in list(hooks.sent) if path == PATH and who.encode() in body]

    with stack.client() as client:
        client.declare(who, band="age_13_15", assurance="verified", region="eu")
        client.block(who, "mallory")
        (headers, body), *_ = eventually(lambda: about() or None)
        jwks = httpx.get(f"{stack.url}/.well-known/nightlight-webhooks.jwks.json").json()
        for keys in ({"secrets": [SECRET]}, {"public_keys": public_keys_of(jwks)}):
            assert WebhookReceiver(**keys).verify(body, headers).profile_id == who
        assert metric(stack, "nightlight_webhooks_disabled") == ["0.0"]
        hooks.usual = 410
        client.revoke(who)
        eventually(lambda: metric(stack, "nightlight_webhooks_disabled") == ["1.0"])
        asked = len(hooks.sent)
        client.revoke(who)
    (endpoint,) = command(stack, "webhooks", "list", code=2)["endpoints"]
    assert (endpoint["state"], endpoint["reason"]) == ("disabled", "gone")
    assert any("webhooks enable" in problem for problem in command(stack, "status", "--no-buckets", code=2)["problems"])
    assert command(stack, "webhooks", "test", code=2)["outcome"] == "gone"
    hooks.usual = 204
    assert command(stack, "webhooks", "test")["outcome"] == "taken"
    assert len([body for _, _, body in hooks.sent[asked:] if who.encode() in body]) == 0
    assert command(stack, "webhooks", "enable")["events"] >= 2
    eventually(lambda: len({headers["webhook-id"] for headers, _ in about()}) == 3 or None)
    eventually(lambda: command(stack, "webhooks", "list")["counts"] == {"waiting": 0, "given_up": 0} or None)
    receiver = WebhookReceiver(secrets=[SECRET], seen=seen)
    taken = {receiver.verify(body, headers).event_id for headers, body in about()[-2:]}
    before = len(about())
    assert command(stack, "webhooks", "replay", "--since", "2026-01-01T00:00:00")["events"] >= 3
    eventually(lambda: len(about()) >= before + 3 or None)
    again = [headers["webhook-id"] for headers, _ in about()[before:]]
    assert taken < set(again)
    for headers, body in about()[before:]:
        if headers["webhook-id"] in taken:
            with pytest.raises(WebhookReplayed):
                receiver.verify(body, headers)


@pytest.fixture
def rotating(tmp_path, hooks):
    """A stack whose secret is in a file."""
    path = key_commands.init(tmp_path) / "secrets/nightlight_delivery_webhook_secret"
    path.write_text(SECRET)
    path.chmod(0o600)
    with Embedded(tmp_path, NIGHTLIGHT_DELIVERY_WEBHOOK_URL=hooks.url + PATH) as started:
        yield started, path


def test_a_secret_is_rotated_on_a_running_stack(rotating, hooks):
    stack, path = rotating
    schedule = f"http://127.0.0.1:{stack.environment['NIGHTLIGHT_WORKER_SCHEDULE_HEALTH_PORT']}"
    hooks.usual = 204

    def delivered():
        who = f"rotated-{token()}"
        with stack.client() as client:
            client.declare(who, band="adult", assurance="verified", region="eu")
            client.revoke(who)
        return eventually(lambda: next(((h, body) for _, h, body in list(hooks.sent) if who.encode() in body), None))

    def rotate(code=0):
        arguments = ["keys", "rotate", "webhook-secret", "--process", schedule, "--json"]
        done = run_command(arguments, stack.environment)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    assert [rotate()["step"], rotate()["step"]] == ["add", "promote"]
    new, old = path.read_text().split(",")
    headers, body = delivered()
    for secret in (new, old):
        assert WebhookReceiver(secrets=[secret]).verify(body, headers)
    assert "may be in use until" in rotate(code=2)["refused"]
    record = path.with_name("rotations.json")
    moments = json.loads(record.read_text())
    for known in moments["webhook-secret"].values():
        known.update({what: (datetime.fromisoformat(at) - timedelta(days=8)).isoformat() for what, at in known.items()})
    record.write_text(json.dumps(moments))
    assert (rotate()["step"], path.read_text()) == ("retire", new)

    def forgotten():
        headers, body = delivered()
        assert WebhookReceiver(secrets=[new]).verify(body, headers)
        try:
            return not WebhookReceiver(secrets=[old]).verify(body, headers)
        except WebhookRefused:
            return True

    eventually(forgotten)
