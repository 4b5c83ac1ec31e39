"""Deciding inside the platform's own process, over a running Nightlight: what changes there counts here."""

import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from nightlight.cli import key_commands
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_folder
from nightlight.policy.signing import SigningKey
from nightlight_client import NightlightClient, Problem
from nightlight_client.local_client import LocalClient, Terms
from nightlight_core.decisions.relation_proofs import issue_proof
from tests.support import pictures
from tests.support.proxy import Proxy
from tests.support.stacks import ROOT, STACKS
from tests.support.waiting import HANG_S, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

CLOSER = ("at_most: {tier: medium, cache_s: 300, per_hour: 600}", "at_most: {tier: low, cache_s: 300, per_hour: 600}")


@pytest.fixture(scope="module", params=sorted(STACKS))
def stack(request, tmp_path_factory):
    settings = {
        "NIGHTLIGHT_POLICY_COUNTER_FLUSH_S": "0.2",
        "NIGHTLIGHT_POLICY_COUNTER_THRESHOLD": "1",
        "NIGHTLIGHT_POLICY_POLL_S": "0.1",
        "NIGHTLIGHT_QUOTAS_PROFILES_PER_HOUR": "30",
    }
    with STACKS[request.param](tmp_path_factory.mktemp("local"), **settings) as started:
        yield started


@pytest.fixture(scope="module")
def publisher(stack):
    return SigningKey.read(stack.folder / "keys/publisher.private.jwk.json")


@pytest.fixture(scope="module")
def client(stack, publisher):
    with stack.client() as connected:
        connected.activate(build_bundle(compile_folder(ROOT / "policies"), 1, publisher))
        for profile_id in ("teen", "friend"):
            connected.declare(profile_id, band="age_13_15", assurance="verified", region="eu")
            image = connected.upload(profile_id, pictures.photograph("coffee.png"))
            assert connected.wait(image.image_id).state == "ready"
        yield connected


@pytest.fixture
def line(stack):
    """The way to the service, which can be cut."""
    host, port = stack.url.removeprefix("http://").split(":")
    proxy = Proxy(host, int(port))
    yield proxy
    proxy.close()


@contextmanager
def deciding(stack, publisher, line, **terms):
    token = key_commands.token(stack.folder, scopes=["local", "decide"], subject="backend", hours=12)
    agreed = Terms(relation_keys=key_commands.relation_keys(stack.folder), poll_s=0.1, **terms)
    with (
        NightlightClient(f"http://127.0.0.1:{line.port}", token=token, budget_s=HANG_S) as lender,
        LocalClient(lender, publisher.public_keys, agreed) as local_client,
    ):
        eventually(local_client.poll)
        yield local_client


@pytest.fixture
def local(stack, client, publisher, line):
    with deciding(stack, publisher, line, stale_s=HANG_S) as local_client:
        yield local_client


def shown(local, stack, profile_id="teen", relation="connection", viewer_id="somebody"):
    """What a viewer is given, as (edge of the picture, URL): 128 for the placeholder, 0 where it needs no service."""
    proof = issue_proof(key_commands.relation_keys(stack.folder), viewer_id, profile_id, relation, now=int(time.time()))
    (decision,) = local.decide("peer", "profile", [(profile_id, relation, proof)], viewer_id=viewer_id)
    if decision.fallback:
        return 0, decision.url
    answer = httpx.get(decision.url)
    if answer.status_code == 404:  # revoked, and this process has not heard of it yet
        return 404, decision.url
    return pictures.opened(answer.content).size[0], decision.url


def test_urls_are_the_services_own_and_are_served(local, client, stack):
    def service_url(*item):
        (asked,) = client.decide("peer", "profile", [item], viewer_id="somebody")
        return asked.url

    # Asked at two times, the same URL may live till another time: asked again, it does not.
    eventually(lambda: shown(local, stack) == (320, service_url("teen", "connection")))
    for item in (("teen", "stranger"), ("nobody", "stranger")):
        eventually(
            lambda item=item: (
                [decision.url for decision in local.decide("peer", "profile", [item])] == [service_url(*item)]
            )
        )


def test_a_relation_without_a_proof_is_a_strangers(local, client):
    (asked,) = client.decide("peer", "profile", [("teen", "stranger")])
    (decision,) = local.decide("peer", "profile", [("teen", "connection")], viewer_id="somebody")
    assert decision.url.split("?")[0] == asked.url.split("?")[0]


def test_blocks_revocations_and_new_declarations_come_by_the_feed(local, client, stack):
    assert shown(local, stack, "friend")[0] == 320
    before = shown(local, stack, "friend")[1]
    client.block("friend", "mallory")
    eventually(lambda: shown(local, stack, "friend", viewer_id="mallory")[0] == 128 or None)
    after = eventually(lambda: (seen := shown(local, stack, "friend"))[0] == 320 and seen[1])
    assert after.split("?")[0] != before.split("?")[0]
    client.unblock("friend", "mallory")
    eventually(lambda: shown(local, stack, "friend", viewer_id="mallory")[0] == 320 or None)
    client.set_report_flag("friend", "reported")
    eventually(lambda: shown(local, stack, "friend")[0] == 128 or None)
    client.set_report_flag("friend", "clear")
    eventually(lambda: shown(local, stack, "friend")[0] == 320 or None)


def test_whoever_is_new_is_seen_as_soon_as_there_is_a_picture(local, client, stack):
    profile_id = "newcomer"
    assert shown(local, stack, profile_id)[0] == 128
    client.declare(profile_id, band="age_16_17", assurance="verified", region="eu")
    client.upload(profile_id, pictures.photograph("rocket.jpg"))
    eventually(lambda: shown(local, stack, profile_id)[0] == 320 or None)
    client.delete_profile(profile_id)
    eventually(lambda: shown(local, stack, profile_id)[0] == 128 or None)


def test_without_the_service_strangers_pictures_then_placeholders_and_then_all_is_well_again(local, stack, line):
    eventually(lambda: shown(local, stack)[0] == 320 or None)
    former_terms = local._terms
    line.cut()
    eventually(lambda: local.problem)
    for terms, edge in [({"stale_s": 0.05}, 96), ({"stale_s": 0.05, "outsider_s": 0.1}, 0)]:
        local._terms = replace(former_terms, **terms)
        eventually(lambda edge=edge: shown(local, stack)[0] == edge)
    assert local.age_s > 0.1
    local._terms = former_terms
    line.mend()
    eventually(lambda: shown(local, stack)[0] == 320 and local.problem is None)


def test_who_was_never_asked_for_is_not_shown_while_the_service_is_away(local, stack, line, client):
    client.declare("unseen", band="adult", assurance="verified", region="eu", choice="everyone")
    line.cut()
    assert shown(local, stack, "unseen")[0] == 128
    line.mend()


def test_what_was_decided_here_is_counted_there_and_scrapers_are_told_of(stack, client, publisher):
    cell = "age_13_15,verified,stranger,eu,adult,export,connections,clear"
    before = client.policy_counters(1)["cells"].get(cell, 0)
    client.declare("lure", band="age_13_15", assurance="verified", region="eu")
    client.plant("lure")
    with LocalClient(client, publisher.public_keys, Terms(poll_s=0.1)) as local:
        for _ in range(5):
            local.decide("adult", "export", [("teen", "stranger")], viewer_id="walker", network="net-1")
        local.decide("peer", "list", [(f"nobody-{number}", "stranger") for number in range(40)], viewer_id="walker")
        local.decide("peer", "list", [("lure", "stranger")], viewer_id="walker")
    assert eventually(lambda: client.policy_counters(1)["cells"].get(cell, 0) == before + 5 or None)

    def seen():
        with stack.catalogue.reading() as tx:
            signals = tx.abuse_signals.report(datetime.now(UTC) - timedelta(hours=1))
        return {(signal.who, signal.reason) for signal in signals}

    assert eventually(lambda: seen() >= {("walker", "many-profiles"), ("walker", "canary")} or None)


def test_another_policy_counts_once_it_is_verified_and_an_older_or_foreign_one_never(
    stack, client, publisher, local, tmp_path, monkeypatch
):
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    rules = tmp_path / "p/rules.yaml"
    assert CLOSER[0] in rules.read_text()
    rules.write_text(rules.read_text().replace(*CLOSER, 1))
    for case in (tmp_path / "p/cases").glob("*.yaml"):
        case.unlink()
    closer = compile_folder(tmp_path / "p")
    version = client.policy_status()["highest_version"] + 1

    def decided():
        ids = [f"share-{number}" for number in range(40)]
        return [
            profile_id.url.split("?")[0]
            for profile_id in client.decide("peer", "list", [(decision, "stranger") for decision in ids])
        ], [
            profile_id.url.split("?")[0]
            for profile_id in local.decide("peer", "list", [(decision, "stranger") for decision in ids])
        ]

    client.candidate(build_bundle(closer, version, publisher), permille=500)
    eventually(lambda: local._state.policy.candidate is not None or None)
    service_urls, here = decided()
    assert service_urls == here
    client.withdraw_candidate()
    eventually(lambda: local._state.policy.candidate is None or None)
    assert shown(local, stack)[0] == 320
    client.activate(build_bundle(closer, version + 1, publisher))
    eventually(lambda: shown(local, stack)[0] == 160 or None)

    table = local._state.policy.table
    read_bundle = NightlightClient.bundle_in_use
    safety = SigningKey.read(stack.folder / "keys/safety.private.jwk.json")
    forged = [build_bundle(closer, version + 2, safety), build_bundle(closer, 1, publisher), b"garbage", b""]
    monkeypatch.setattr(NightlightClient, "bundle_in_use", lambda *_args: forged[0])
    client.activate(build_bundle(closer, version + 2, publisher))
    for bad in forged:
        monkeypatch.setattr(NightlightClient, "bundle_in_use", lambda *_args, bad=bad: bad)
        eventually(lambda: local.problem)
        assert not local.poll()
        assert local._state.policy.table is table
    monkeypatch.setattr(NightlightClient, "bundle_in_use", read_bundle)
    eventually(lambda: local.poll() or None)
    feed_page = client.feed()
    monkeypatch.setattr(NightlightClient, "feed", lambda *_args: {**feed_page, "active": 1})
    assert not local.poll()
    assert "older" in local.problem


def test_the_feed_needs_its_scope_and_answers_bad_input_like_any_route(stack, client):
    with stack.client("decide") as other:
        for call in (other.feed, other.delegated_keys, lambda: other.views(["teen"]), lambda: other.bundle_in_use(1)):
            with pytest.raises(Problem) as refused:
                call()
            assert refused.value.status == 403
    for wrong in ("x", "1", "1.1.1", "-1.1", "9" * 40):
        with pytest.raises(Problem) as refused:
            client.feed(wrong)
        assert refused.value.status == 422
    for wrong in (["x"] * 501, [""], ["y" * 257]):
        with pytest.raises(Problem) as refused:
            client.views(wrong)
        assert refused.value.status == 422
    for counts, signals in [
        ({"x": 0}, []), ({"x" * 301: 1}, []), ({}, [{"kind": "viewer", "who": "a\nb", "reason": "canary"}]),
        ({}, [{"kind": "viewer", "who": "a", "reason": "dislike"}]),
    ]:  # fmt: skip
        with pytest.raises(Problem) as refused:
            client.report(counts, signals)
        assert refused.value.status == 422
    client.report({"words,that,are,none": 3, "age_13_15,stranger": 1}, [])
    assert "words,that,are,none" not in client.policy_counters(1)["cells"]
    with pytest.raises(Problem) as refused:
        client.bundle_in_use(10**6)
    assert refused.value.status == 404
    answer = httpx.get(f"{stack.url}/v1/feed/keys", headers={"Authorization": f"Bearer {client._token()}"})
    assert answer.headers["cache-control"] == "no-store"
