"""``nightlight webhooks``: what it prints, how it ends, and what a schedule then delivers; and a key that is rotated."""

import base64
import json
from datetime import timedelta

import pytest

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.sql_roles import SqlRole
from nightlight.settings import Settings
from nightlight.wiring.live_keys import LiveKeys
from nightlight.wiring.webhooks import webhook_delivery
from nightlight_client.webhooks import WebhookReceiver, public_keys_of
from nightlight_core.clock import system_clock
from nightlight_core.errors import SettingsRefused
from nightlight_core.ids import ProfileId
from tests.support.command import run_command
from tests.support.databases import postgres_database, roles_of
from tests.support.receiver import receiving
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def hooks():
    with receiving() as server:
        yield server


class Commands:
    """The command under the operator's role, and a schedule under its own."""

    def __init__(self, urls, hooks, monkeypatch, **more):
        self.catalogue = Catalogue(urls[SqlRole.SCHEDULE])
        self.environment = {
            "NIGHTLIGHT_CATALOGUE_URL": urls[SqlRole.OPERATOR],
            "NIGHTLIGHT_DELIVERY_WEBHOOK_URL": f"{hooks.url}/events?for=us",
            "NIGHTLIGHT_DELIVERY_WEBHOOK_SECRET": SECRET,
            "NIGHTLIGHT_DELIVERY_HOOK_TIMEOUT_S": str(min(HANG_S, 60)),
            "NIGHTLIGHT_DELIVERY_WEBHOOK_DISABLE_FAILURES": "1",
            **more,
        }
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        self.keys = LiveKeys()
        self.deliver = webhook_delivery(Settings(), self.catalogue, self.keys, system_clock)

    def run(self, *arguments, code=0):
        done = run_command(["webhooks", *arguments], {**self.environment, "COLUMNS": "300"})
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if "--json" in arguments else done.stdout

    def event(self, profile):
        with self.catalogue.transaction() as tx:
            tx.events.add(ProfileId(profile), system_clock() - timedelta(seconds=1))


@pytest.fixture(params=["sqlite", "postgres"])
def webhooks(request, tmp_path, hooks, monkeypatch):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'c.sqlite3'}"
        catalogue = Catalogue(url)
        migrate.upgrade(catalogue.engine)
        catalogue.close()
        commands = Commands(dict.fromkeys(SqlRole, url), hooks, monkeypatch)
        yield commands
        commands.catalogue.close()
        return
    with postgres_database() as url:
        catalogue = Catalogue(url)
        migrate.upgrade(catalogue.engine)
        catalogue.close()
        with roles_of(url) as urls:
            commands = Commands(urls, hooks, monkeypatch)
            yield commands
            commands.catalogue.close()


def test_a_list_a_replay_and_an_endpoint_that_is_disabled_and_enabled_again(webhooks, hooks):
    assert "no endpoint" in webhooks.run("list")
    webhooks.event("u-1")
    assert webhooks.deliver.run_once() == 1
    listed = webhooks.run("list", "--json")
    ((endpoint,), (event,)) = listed["endpoints"], listed["events"]
    assert (endpoint["url"], endpoint["state"], endpoint["last_status"]) == (f"{hooks.url}/events", "enabled", 204)
    assert (event["profile_id"], event["state"], event["last_outcome"], event["next_at"]) == (
        "u-1",
        "taken",
        "taken",
        None,
    )
    assert listed["counts"] == {"waiting": 0, "given_up": 0}
    hooks.usual = 410
    webhooks.event("u-2")
    assert webhooks.deliver.run_once() == 0
    printed = webhooks.run("list", code=2)
    assert all(word in printed for word in ("disabled", "gone 410", "1 event waiting", "u-2"))
    (waiting,) = webhooks.run("list", "--state", "waiting", "--json", code=2)["events"]
    assert waiting["profile_id"] == "u-2"
    assert webhooks.run("replay", "--event", event["event_id"], "--json") == {"events": 1, "disabled": True}
    assert "webhooks enable" in webhooks.run("replay", "--since", "2026-01-01T00:00:00")
    assert webhooks.deliver.run_once() == 0
    hooks.usual, asked = 204, len(hooks.sent)
    assert "is enabled; 2 events will be sent" in webhooks.run("enable")
    assert webhooks.deliver.run_once() == 2
    assert event["event_id"] in {headers["webhook-id"] for _, headers, _ in hooks.sent[asked:]}
    assert webhooks.run("enable", "--json") == {"enabled": [], "events": 0}
    assert "no endpoint is disabled" in webhooks.run("enable")
    assert "no such event" in webhooks.run("replay", "--event", "0" * 32, code=2)
    with webhooks.catalogue.reading() as tx:
        assert tx.audit.last_detail("webhooks.replayed") == {"events": 2}


@pytest.mark.parametrize("arguments", [("replay",), ("replay", "--event", "x", "--since", "2026-01-01")])
def test_a_replay_says_which_events(webhooks, arguments):
    done = run_command(["webhooks", *arguments], webhooks.environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--event ID, or --since MOMENT" in done.stderr


def test_a_test_is_signed_and_says_what_came_back(webhooks, hooks):
    result = webhooks.run("test", "--json")
    assert (result["outcome"], result["status"], result["signatures"]) == ("taken", 204, ["v1"])
    _, headers, body = hooks.sent[-1]
    event = WebhookReceiver(secrets=[SECRET]).verify(body, headers)
    assert (event.event_id, event.type, event.data) == (result["event_id"], "webhook.test", {})
    hooks.usual = 500
    printed = webhooks.run("test", code=2)
    assert "status: answered 500, which is no 2xx" in printed
    assert "for=us" not in printed
    assert webhooks.run("list", "--json")["endpoints"] == []  # a test is written down nowhere


def test_a_secret_in_a_file_is_rotated_while_a_receiver_with_either_takes_every_event(
    webhooks, hooks, tmp_path, monkeypatch
):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "nightlight_delivery_webhook_secret").write_text(SECRET)
    (folder / "nightlight_delivery_webhook_key").write_text("whsk_" + base64.b64encode(bytes(32)).decode())
    monkeypatch.delenv("NIGHTLIGHT_DELIVERY_WEBHOOK_SECRET")
    del webhooks.environment["NIGHTLIGHT_DELIVERY_WEBHOOK_SECRET"]
    monkeypatch.setenv("NIGHTLIGHT_SECRETS_DIR", str(folder))
    elapsed = [0.0]
    live = LiveKeys(lambda: elapsed[0])
    deliver = webhook_delivery(Settings(), webhooks.catalogue, live, system_clock)

    def event():
        elapsed[0] += 2
        live.look()
        webhooks.event("u-1")
        assert deliver.run_once() == 1
        return hooks.sent[-1]

    def rotated(name):
        environment = {**webhooks.environment, "NIGHTLIGHT_SECRETS_DIR": str(folder)}
        done = run_command(["keys", "rotate", name, "--json", "--wait", "0", "--folder", folder], environment)
        assert done.returncode in {0, 2}, done.stderr
        return json.loads(done.stdout)

    receiver = WebhookReceiver(secrets=[SECRET])
    _, headers, body = event()
    assert receiver.verify(body, headers)
    for name, kind in (("webhook-secret", "webhook_secret"), ("webhook-key", "webhook_key")):
        added = rotated(name)
        assert (added["step"], added["done"], len(added["keys"])) == ("add", True, 2)
        _, headers, body = event()
        assert receiver.verify(body, headers)
        assert live.loaded()[kind] == list(added["keys"])
        assert rotated(name)["step"] == "promote"
        assert not rotated(name)["done"]  # no process was named that signs
    _, headers, body = event()
    new = (folder / "nightlight_delivery_webhook_secret").read_text().split(",")
    assert new[1] == SECRET
    with webhooks.catalogue.reading() as tx:
        served = tx.webhooks.public_keys()
    assert len(served) == 2
    for key in public_keys_of({"keys": [{"crv": "Ed25519", "x": x} for x in served.values()]}):
        assert WebhookReceiver(public_keys=[key]).verify(body, headers)
    for secret in new:
        assert WebhookReceiver(secrets=[secret]).verify(body, headers)


def test_an_endpoint_without_keys_is_refused(monkeypatch):
    monkeypatch.setenv("NIGHTLIGHT_DELIVERY_WEBHOOK_URL", "https://example.com/hook")
    with pytest.raises(SettingsRefused, match="WEBHOOK_KEY or"):
        webhook_delivery(Settings(), None, LiveKeys(), system_clock)
