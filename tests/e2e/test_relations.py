"""What a viewer is to a profile, over HTTP: proved, or a stranger; blocked, whatever is proved."""

import time

import httpx
import pytest

from nightlight.cli import key_commands
from nightlight_client import NightlightClient, Problem
from nightlight_core.decisions.relation_proofs import issue_proof
from tests.support import pictures
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PROFILE = "related"


@pytest.fixture(scope="module")
def ready(client):
    client.declare(PROFILE, band="age_16_17", assurance="verified", region="eu")
    assert (
        client.wait(client.upload(PROFILE, pictures.photograph("rocket.jpg"), crop=(0, 0, 300, 300)).image_id).state
        == "ready"
    )


@pytest.fixture(scope="module")
def token(stack):
    return key_commands.token(stack.folder, scopes=["decide", "explain"], subject="platform", hours=12)


@pytest.fixture(scope="module")
def explained(stack, token):
    """What counts and why, of one item that is sent as it is."""

    def ask(item, **body):
        answer = httpx.post(
            f"{stack.url}/v1/explain",
            json={"viewer": "peer", "context": "profile", "items": [{"profile_id": PROFILE, **item}], **body},
            headers={"Authorization": f"Bearer {token}"},
        )
        (answered,) = answer.raise_for_status().json()["items"]
        return answered["inputs"]["relation"], answered["tier"], answered["relation_because"]

    return ask


def proof_of(stack, viewer_id="v", profile_id=PROFILE, relation="connection", ahead=0, **how):
    how = {"now": int(time.time()) + ahead, **how}
    return issue_proof(key_commands.relation_keys(stack.folder), viewer_id, profile_id, relation, **how)


@pytest.mark.usefixtures("ready")
def test_a_connection_is_one_that_is_proved(stack, explained):
    claim = {"relation": "connection"}
    assert explained({**claim, "proof": proof_of(stack)}, viewer_id="v") == ("connection", "medium", "proof")
    assert explained(claim, viewer_id="v") == ("stranger", "tiny", "no proof")
    assert explained(claim) == ("stranger", "tiny", "no viewer_id to prove it for")
    assert explained({}) == ("stranger", "tiny", "own word")


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(
    "how",
    [
        {"viewer_id": "another"},
        {"profile_id": "another"},
        {"relation": "self"},
        {"relation": "blocked"},
        {"now": 0},
        {"ahead": -1200},
        {"ahead": 1200, "life_s": 3600},
    ],
)
def test_a_proof_of_something_else_or_of_another_time_proves_nothing(stack, explained, how):
    if how.get("now") == 0:
        how = {"now": 1_000_000_000}
    item = {"relation": "connection", "proof": proof_of(stack, **how)}
    assert explained(item, viewer_id="v") == ("stranger", "tiny", "the proof is not good for this")


@pytest.mark.usefixtures("ready")
def test_a_forged_proof_proves_nothing(stack, explained):
    forged = issue_proof({"r1": bytes(32)}, "v", PROFILE, "connection", now=int(time.time()))
    assert explained({"relation": "connection", "proof": forged}, viewer_id="v")[0] == "stranger"
    for proof in ("x", "r1.9999999999." + "A" * 22, "a" * 64):
        assert explained({"relation": "self", "proof": proof}, viewer_id="v")[0] == "stranger"


@pytest.mark.usefixtures("ready")
def test_a_block_counts_at_once_for_one_viewer_alone_and_until_it_is_taken_away(stack, client):
    def shown(viewer_id, relation="connection"):
        (decision,) = client.decide("peer", "profile", [(PROFILE, relation)], viewer_id=viewer_id)
        return decision.url.split("?")[0]

    (nobody,) = client.decide("peer", "profile", [("no-such-profile", "stranger")])
    placeholder = nobody.url.split("?")[0]
    assert shown("mallory") != placeholder
    client.block(PROFILE, "mallory")
    client.block(PROFILE, "mallory")
    for relation in ("connection", "self", "guardian", "stranger", "blocked"):
        assert shown("mallory", relation) == placeholder
    eventually(lambda: shown("friend") != placeholder)
    (why,) = client.explain("peer", "profile", [(PROFILE, "connection")], viewer_id="mallory")["items"]
    assert (why["inputs"]["relation"], why["claimed"], why["relation_because"]) == ("blocked", "connection", "block")
    client.unblock(PROFILE, "mallory")
    client.unblock(PROFILE, "mallory")
    assert shown("mallory") != placeholder


def test_a_block_may_come_before_its_profile_and_goes_with_it(client):
    client.block("not-yet", "mallory")
    client.declare("not-yet", band="adult", assurance="verified", region="eu", choice="everyone")
    (why,) = client.explain("peer", "profile", [("not-yet", "stranger")], viewer_id="mallory")["items"]
    assert why["relation_because"] == "block"
    client.delete_profile("not-yet")
    client.declare("not-yet", band="adult", assurance="verified", region="eu", choice="everyone")
    (why,) = client.explain("peer", "profile", [("not-yet", "stranger")], viewer_id="mallory")["items"]
    assert why["relation_because"] == "own word"


@pytest.mark.parametrize(
    ("profile_id", "viewer_id"), [("a", "a"), ("", "b"), ("a", "b\n"), ("a" * 257, "b"), ("a\u200b", "b")]
)
def test_a_block_of_what_is_no_id_is_refused(client, profile_id, viewer_id):
    with pytest.raises(Problem) as refused:
        client.block(profile_id, viewer_id)
    assert (refused.value.status, refused.value.code) == (422, "invalid_input")


def test_blocks_need_their_scope(stack):
    with stack.client("decide", "ingest", "report") as other:
        for call in (lambda: other.block("a", "b"), lambda: other.unblock("a", "b")):
            with pytest.raises(Problem) as refused:
                call()
            assert refused.value.status == 403


@pytest.mark.usefixtures("ready")
def test_a_client_without_keys_vouches_for_nobody(stack, token, client):
    with NightlightClient(stack.url, token=token, viewer_id="v") as keyless:
        (why,) = keyless.explain("peer", "profile", [(PROFILE, "self")])["items"]
    assert why["inputs"]["relation"] == "stranger"
    (why,) = client.explain("peer", "profile", [(PROFILE, "self")])["items"]
    assert why["inputs"]["relation"] == "self"


@pytest.mark.usefixtures("ready")
def test_a_decision_sees_at_least_the_change_whose_token_it_is_given(stack, client):
    token = key_commands.token(
        stack.folder, scopes=["decide", "relate", "ingest", "report"], subject="platform", hours=12
    )
    headers = {"Authorization": f"Bearer {token}"}

    def call(method, path, **body):
        return httpx.request(method, f"{stack.url}{path}", json=body or None, headers=headers).raise_for_status()

    assertion = {"band": "adult", "assurance": "verified", "region": "eu"}
    changes = [
        call("PUT", "/v1/profiles/consistent", **assertion),
        call("POST", "/v1/profiles/consistent/revocations"),
        call("PUT", "/v1/profiles/consistent/report-flag", report_flag="reported"),
        call("POST", "/v1/blocks", profile_id="consistent", viewer_id="v"),
        call("DELETE", "/v1/blocks/consistent/v"),
    ]
    numbers = [int(change.headers["nightlight-consistency"]) for change in changes]
    assert numbers == sorted(set(numbers))

    def shown(consistency):
        body = {"viewer": "peer", "items": [{"profile_id": PROFILE}], "consistency": consistency}
        (item,) = call("POST", "/v1/decisions", **body).json()["items"]
        return item["url"].split("?")[0]

    placeholder = client.decide("peer", "profile", [("no-such-profile", "stranger")])[0].url.split("?")[0]
    eventually(lambda: shown(str(numbers[-1])) != placeholder)
    assert shown(str(10**17)) == placeholder
    for wrong in ("0", "-1", "x", "1" * 19, ""):
        body = {"items": [], "consistency": wrong}
        assert httpx.post(f"{stack.url}/v1/decisions", json=body, headers=headers).status_code == 422
