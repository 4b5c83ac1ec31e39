"""AuthZEN's endpoints give the decisions of /v1/decisions, in its words."""

import httpx
import pytest

from nightlight.cli import key_commands
from nightlight_core.decisions.relation_proofs import issue_proof
from tests.support import pictures

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

PROFILE = "authzen"
USER = {"type": "user", "id": "zen", "properties": {"viewer": "peer"}}
VIEW = {"name": "view"}


@pytest.fixture(scope="module")
def ready(client):
    client.declare(PROFILE, band="age_16_17", assurance="verified", region="eu")
    assert (
        client.wait(client.upload(PROFILE, pictures.photograph("coffee.png"), crop=(0, 0, 200, 200)).image_id).state
        == "ready"
    )


@pytest.fixture(scope="module")
def ask(stack):
    token = key_commands.token(stack.folder, scopes=["decide"], subject="gateway", hours=12)

    def post(body, path="evaluations"):
        return httpx.post(f"{stack.url}/access/v1/{path}", json=body, headers={"Authorization": f"Bearer {token}"})

    return post


def profile(stack, profile_id=PROFILE, relation="connection"):
    import time

    proof = issue_proof(key_commands.relation_keys(stack.folder), "zen", profile_id, relation, now=int(time.time()))
    return {"type": "profile", "id": profile_id, "properties": {"relation": relation, "proof": proof}}


NOBODY = {"type": "profile", "id": "no-such-profile"}


@pytest.mark.usefixtures("ready")
def test_a_batch_answers_as_decisions_do(stack, client, ask):
    body = {
        "subject": USER, "action": VIEW,
        "evaluations": [{"resource": profile(stack)}, {"resource": NOBODY}, {"resource": {"type": "profile", "id": PROFILE}}],
    }  # fmt: skip
    answers = ask(body).raise_for_status().json()["evaluations"]
    assert [answer["decision"] for answer in answers] == [True, False, True]
    asked = [(PROFILE, "connection"), ("no-such-profile", "stranger"), (PROFILE, "stranger")]
    decisions = client.decide("peer", "profile", asked, viewer_id="zen")
    for answer, decision in zip(answers, decisions, strict=True):
        assert answer["context"]["url"].split("?")[0] == decision.url.split("?")[0]
        assert set(answer["context"]) == {"profile_id", "url", "expires_at", "blurhash", "capture"}
        assert answer["context"]["capture"] == decision.capture
        assert httpx.get(answer["context"]["url"]).status_code == 200


@pytest.mark.usefixtures("ready")
def test_one_question_is_answered_as_one_by_both(stack, ask):
    body = {"subject": USER, "action": VIEW, "resource": profile(stack)}
    for path in ("evaluation", "evaluations"):
        assert ask(body, path).raise_for_status().json()["decision"] is True


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(
    ("semantic", "wanted"),
    [("execute_all", [True, False, True]), ("deny_on_first_deny", [True, False]), ("permit_on_first_permit", [True])],
)
def test_the_batch_ends_where_it_was_asked_to(stack, ask, semantic, wanted):
    body = {
        "subject": USER, "action": VIEW, "options": {"evaluations_semantic": semantic},
        "evaluations": [{"resource": profile(stack)}, {"resource": NOBODY}, {"resource": profile(stack)}],
    }  # fmt: skip
    assert [evaluation["decision"] for evaluation in ask(body).raise_for_status().json()["evaluations"]] == wanted


@pytest.mark.usefixtures("ready")
def test_each_question_may_have_its_own_viewer_and_place(stack, ask):
    body = {
        "subject": USER, "action": VIEW, "resource": profile(stack),
        "evaluations": [
            {}, {"context": {"context": "export"}},
            {"subject": {"type": "user", "id": "other", "properties": {"viewer": "signed_out"}}}, {},
        ],
    }  # fmt: skip
    evaluations = ask(body).raise_for_status().json()["evaluations"]
    assert [evaluation["decision"] for evaluation in evaluations] == [True, False, False, True]


@pytest.mark.parametrize(
    "change",
    [
        {"action": {"name": "delete"}}, {"subject": {"type": "robot", "id": "zen"}},
        {"resource": {"type": "account", "id": PROFILE}},
    ],
)  # fmt: skip
def test_what_has_no_meaning_here_is_denied(stack, ask, change):
    body = {"subject": USER, "action": VIEW, "resource": profile(stack), **change}
    for path in ("evaluation", "evaluations"):
        answer = ask(body, path).raise_for_status().json()
        assert (answer["decision"], answer["context"]["error"]["status"]) == (False, 404)


def test_the_metadata_say_the_url_of_pictures_where_no_other_is_set(stack):
    answer = httpx.get(f"{stack.url}/.well-known/authzen-configuration")
    assert answer.json()["policy_decision_point"] == stack.url


def test_crawlers_are_asked_to_stay_away(stack):
    robots = httpx.get(f"{stack.url}/robots.txt")
    assert "Disallow: /" in robots.text
    assert "train-ai=n" in robots.text
    reserved = httpx.get(f"{stack.url}/.well-known/tdmrep.json")
    assert reserved.json() == [{"location": "/*", "tdm-reservation": 1}]
    assert reserved.headers["content-type"] == "application/json"
