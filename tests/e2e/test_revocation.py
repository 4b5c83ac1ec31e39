"""Revocation over HTTP and two service processes: new decisions change at once, old URLs die everywhere."""

import base64
import os
import re
import subprocess
import sys
import time
from itertools import pairwise

import httpx
import pytest

from nightlight.cli.embedded import free_port
from nightlight_client import Problem, WebhookReceiver
from nightlight_client.webhooks import public_keys_of
from nightlight_core.decisions.placeholder import placeholder_bytes
from tests.support import pictures
from tests.support.receiver import receiving
from tests.support.stacks import ROOT, Embedded
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
PLACEHOLDER = placeholder_bytes()


@pytest.fixture(scope="module")
def hooks():
    with receiving() as server:
        yield server


@pytest.fixture(scope="module")
def stack(tmp_path_factory, hooks):
    settings = {
        "NIGHTLIGHT_DELIVERY_PURGE_URL": f"{hooks.url}/purge",
        "NIGHTLIGHT_DELIVERY_PURGE_TOKEN": "purge-secret",
        "NIGHTLIGHT_DELIVERY_EDGE_LIST_S": "1",
        "NIGHTLIGHT_DELIVERY_WEBHOOK_URL": f"{hooks.url}/events",
        "NIGHTLIGHT_DELIVERY_WEBHOOK_KEY": "whsk_" + base64.b64encode(KEY).decode(),
        "NIGHTLIGHT_DELIVERY_WEBHOOK_SECRET": SECRET,
    }
    with Embedded(tmp_path_factory.mktemp("revoked"), **settings) as started:
        yield started


@pytest.fixture(scope="module")
def client(stack):
    with stack.client() as connected:
        yield connected


@pytest.fixture(scope="module")
def second(stack):
    """Another service process over the same catalogue and store; its URL."""
    port = free_port()
    environment = {**os.environ, **stack.environment, "NIGHTLIGHT_SERVICE_PORT": str(port)}
    with subprocess.Popen([sys.executable, "-m", "service"], cwd=ROOT, env=environment) as process:
        try:  # a process that is not ended here would be waited for without end
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: _answers(url))
            yield url
        finally:
            process.terminate()


def _answers(url):
    try:
        return httpx.get(f"{url}/healthz").status_code == 200 or None
    except httpx.HTTPError:
        return None


def shown(client, profile_id, relation="connection", viewer_id="friend"):
    (decision,) = client.decide("peer", "profile", [(profile_id, relation)], viewer_id=viewer_id)
    return decision.url


def named(url):
    return url.split("?")[0].rsplit("/", 1)[1]


@pytest.fixture
def profile(client, request):
    profile_id = re.sub(r"[^a-z_]", "-", request.node.name)[:100]
    client.declare(profile_id, band="age_16_17", assurance="verified", region="eu")
    assert client.wait(client.upload(profile_id, pictures.photograph("coffee.png")).image_id).state == "ready"
    return profile_id


@pytest.fixture
def placeholder(client):
    return named(shown(client, "no-such-profile"))


def dies(url):
    """Return how many seconds it took until ``url`` was refused, or gave the placeholder to be kept by nobody."""
    begin = time.monotonic()

    def dead():
        answer = httpx.get(url)
        gone = (answer.content, answer.headers.get("cache-control")) == (PLACEHOLDER, "no-store")
        return answer.status_code == 404 or gone

    eventually(dead)
    return time.monotonic() - begin


def test_a_deactivated_account_is_shown_to_nobody_on_any_node_and_comes_back_without_an_upload(
    stack, client, second, hooks, profile, placeholder
):
    before = shown(client, profile)
    elsewhere = before.replace(stack.url, second)
    assert httpx.get(before).status_code == httpx.get(elsewhere).status_code == 200
    client.deactivate(profile)
    for relation, viewer_id in (("self", profile), ("connection", "friend"), ("stranger", "somebody")):
        assert named(shown(client, profile, relation, viewer_id)) == placeholder
    dies(before)
    dies(elsewhere)
    with pytest.raises(Problem) as problem:
        client.upload(profile, pictures.jpeg(200, 200))
    assert (problem.value.status, problem.value.code) == (409, "profile_deactivated")
    eventually(lambda: any(f"/a/{named(before)}" in body["paths"] for body in hooks.bodies("/purge")) or None)
    client.reactivate(profile)
    after = eventually(lambda: (url := shown(client, profile)) and named(url) != placeholder and url)
    assert named(after) != named(before)
    assert httpx.get(after).status_code == 200
    client.deactivate(profile)
    client.delete_profile(profile)
    dies(after)


def test_a_block_takes_effect_at_once_for_decisions_and_soon_for_urls_on_every_node(
    stack, client, second, hooks, profile, placeholder, record_property
):
    before = shown(client, profile, viewer_id="mallory")
    elsewhere = before.replace(stack.url, second)
    assert httpx.get(before).status_code == httpx.get(elsewhere).status_code == 200
    begin = time.monotonic()
    client.block(profile, "mallory")
    assert named(shown(client, profile, viewer_id="mallory")) == placeholder
    record_property("first_placeholder_s", time.monotonic() - begin)
    record_property("url_dead_s", dies(before))
    record_property("url_dead_elsewhere_s", dies(elsewhere))
    after = eventually(lambda: (url := shown(client, profile)) and named(url) != placeholder and url)
    assert named(after) != named(before)
    assert httpx.get(after).status_code == 200
    assert httpx.get(after.replace(stack.url, second)).status_code == 200
    assert named(shown(client, profile, viewer_id="mallory")) == placeholder
    eventually(lambda: any(f"/a/{named(before)}" in body["paths"] for body in hooks.bodies("/purge")) or None)
    (headers,) = {headers["Authorization"] for path, headers, _ in hooks.sent if path == "/purge"}
    assert headers == "Bearer purge-secret"


def test_the_edge_is_confirmed_again_and_again_and_its_list_is_complete(client, hooks, profile):
    before = shown(client, profile)
    client.revoke(profile)
    eventually(lambda: any(f"/a/{named(before)}" in body["paths"] for body in hooks.bodies("/purge")) or None)
    bodies = eventually(lambda: len(times := [body for body in hooks.bodies("/purge") if "at" in body]) > 2 and times)
    assert "since" not in bodies[0]
    assert all(later["since"] == earlier["at"] for earlier, later in pairwise(bodies))
    assert abs(bodies[-1]["at"] - time.time()) < 30


@pytest.mark.parametrize("change", ["unfriended", "reported", "hidden", "another band", "deleted", "closed"])
def test_every_change_kills_what_was_given_out(client, profile, placeholder, change, record_property):
    before = shown(client, profile)
    assert named(before) != placeholder
    assertion = {"band": "age_16_17", "assurance": "verified", "region": "eu"}
    if change == "unfriended":
        client.revoke(profile)
    elif change == "reported":
        client.set_report_flag(profile, "reported")
    elif change == "hidden":
        client.declare(profile, **assertion, choice="hidden")
    elif change == "another band":
        client.declare(profile, **{**assertion, "band": "under_13"})
    elif change == "deleted":
        image = client.wait(client.upload(profile, pictures.photograph("rocket.jpg")).image_id)
        before = shown(client, profile)
        client.delete_image(image.image_id)
    else:
        client.delete_profile(profile)
    assert named(shown(client, profile)) != named(before)
    record_property("url_dead_s", dies(before))


def test_the_platform_is_told_of_each_change_and_not_of_its_cause(stack, client, hooks, profile):
    def events():
        return [
            (headers, body)
            for path, headers, body in list(hooks.sent)
            if path == "/events" and profile.encode() in body
        ]

    hooks.statuses["/events"] = [500]
    before = int(time.time())
    client.block(profile, "mallory")
    eventually(lambda: len(events()) >= 1 or None)
    client.revoke(profile)
    client.set_report_flag(profile, "reported")
    eventually(lambda: len({headers["webhook-id"] for headers, _ in events()}) == 3 or None)
    jwks = httpx.get(f"{stack.url}/.well-known/nightlight-webhooks.jwks.json")
    assert (jwks.headers["content-type"], jwks.headers["cache-control"]) == (
        "application/jwk-set+json",
        "public, max-age=300",
    )
    for keys in ({"secrets": [SECRET]}, {"public_keys": public_keys_of(jwks.json())}):
        receiver = WebhookReceiver(**keys)
        for headers, body in events():
            event = receiver.verify(body, headers)
            assert (event.type, event.profile_id) == ("picture.changed", profile)
            assert before <= event.sent_at.timestamp() <= time.time()
    for event in hooks.bodies("/events"):
        assert set(event) == {"type", "timestamp", "data"}
        assert event["type"] == "picture.changed"
        assert set(event["data"]) == {"profile_id"}


def test_an_event_that_was_not_taken_comes_again(client, hooks, profile):
    def ids():
        return [
            headers["webhook-id"] for path, headers, body in list(hooks.sent)
            if path == "/events" and profile.encode() in body
        ]  # fmt: skip

    hooks.statuses["/events"] = [503]
    client.revoke(profile)
    eventually(lambda: len(ids()) == 2 or None)
    assert len(set(ids())) == 1


def test_a_revocation_needs_its_scope_and_a_profile(stack, client):
    from nightlight_client import Problem

    with pytest.raises(Problem) as nobody:
        client.revoke("nobody-at-all")
    assert nobody.value.status == 404
    with stack.client("decide", "report") as other, pytest.raises(Problem) as refused:
        other.revoke("nobody-at-all")
    assert refused.value.status == 403
