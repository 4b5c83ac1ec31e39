"""AuthZEN's certification scenarios against a running service with the fixture that they ask for; and hostile requests.

The table is in tests/support/authzen_scenarios.py, and in docs/api/authzen.md.
"""

import json

import httpx
import pytest

from tests.support import authzen_scenarios as fixture
from tests.support.authzen_scenarios import ALICE, BOB, READ, RECORD_1, RECORD_2, WRITE, request_of, with_
from tests.support.hostile_ids import IDS

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

JSON = {"Content-Type": "application/json"}
RESULT_KEYS = {fixture.SUBJECT: "id", fixture.RESOURCE: "id", fixture.ACTION: "name"}


@pytest.mark.parametrize(
    "scenario", fixture.SCENARIOS, ids=lambda scenario: f"{scenario.number} {scenario.path} {scenario.what}"
)
def test_a_scenario(certified_http, scenario):
    content = json.dumps(scenario.body).encode() if scenario.content is None else scenario.content
    answer = certified_http.post(f"/access/v1/{scenario.path}", content=content, headers=scenario.headers)
    assert answer.status_code == scenario.status, answer.text
    assert answer.headers["x-request-id"]
    if scenario.status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.json()["code"], answer.json()["status"]) == ("bad_request", scenario.status)
        return
    assert answer.headers["content-type"] == "application/json"
    fits(scenario, answer.json())


def fits(scenario, answer):
    expected = scenario.expected
    if scenario.path in RESULT_KEYS:
        results = [result[RESULT_KEYS[scenario.path]] for result in answer["results"]]
        assert set(results) >= expected if isinstance(expected, set) else tuple(results) == expected
        searched = {fixture.SUBJECT: "subject", fixture.RESOURCE: "resource"}.get(scenario.path)
        if searched:
            assert {result["type"] for result in answer["results"]} <= {scenario.body[searched]["type"]}
        assert isinstance(answer["page"]["next_token"], str)
        return
    if isinstance(expected, list):
        assert "decision" not in answer
        decisions = [item["decision"] for item in answer["evaluations"]]
        assert len(decisions) == len(expected)
        assert all(type(decision) is bool for decision in decisions)
        assert all(want in (fixture.ANY, decision) for want, decision in zip(expected, decisions, strict=True))
        assert all(isinstance(item["context"], dict) for item in answer["evaluations"])
        return
    assert answer["decision"] is expected
    assert isinstance(answer["context"], dict)


@pytest.mark.parametrize(
    "request_id", ["bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "x", "a b\tc", 'trace:1;{"a":[]}', "\u00e9\u00ff", "q" * 4000]
)  # fmt: skip
@pytest.mark.parametrize("path", [fixture.EVALUATION, fixture.EVALUATIONS, fixture.SUBJECT, fixture.ACTION])
def test_a_request_id_comes_back(certified_http, path, request_id):
    raw = request_id.encode("latin-1")
    for content in (json.dumps(request_of(ALICE, READ, RECORD_1)).encode(), b"{"):
        headers = [(b"x-request-id", raw), (b"content-type", b"application/json")]
        answer = certified_http.post(f"/access/v1/{path}", content=content, headers=headers)
        assert answer.status_code == (400 if content == b"{" else 200)
        assert [value for name, value in answer.headers.raw if name.lower() == b"x-request-id"] == [raw]


def test_a_request_id_comes_back_without_a_token_too(certified):
    answer = httpx.post(f"{certified.url}/access/v1/evaluation", json={}, headers={"X-Request-ID": "no token"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (401, "no token")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_same_request_is_decided_alike(certified_http):
    for action, wanted in ((READ, True), (WRITE, False)):
        body = request_of(BOB, action, RECORD_1)
        answers = [certified_http.post("/access/v1/evaluation", json=body).json()["decision"] for _ in range(10)]
        assert answers == [wanted] * 10


def test_the_metadata_say_where_everything_is(certified):
    answer = httpx.get(f"{certified.url}/.well-known/authzen-configuration")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "public, max-age=3600"
    base = fixture.PUBLIC_URL
    assert answer.json() == {
        "policy_decision_point": base,
        "access_evaluation_endpoint": f"{base}/access/v1/evaluation",
        "access_evaluations_endpoint": f"{base}/access/v1/evaluations",
        "search_subject_endpoint": f"{base}/access/v1/search/subject",
        "search_resource_endpoint": f"{base}/access/v1/search/resource",
        "search_action_endpoint": f"{base}/access/v1/search/action",
    }
    elsewhere = httpx.get(f"{certified.url}/.well-known/authzen-configuration/tenant1")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, "not_found")


def test_whatever_is_wrong_with_an_evaluation_denies_that_one_alone(certified_http):
    wrong = [
        7, None, "text", [], {"resource": "record-1"}, {"resource": {"type": "record"}}, {"resource": {"id": "record-1"}},
        {"resource": {"type": 1, "id": "record-1"}}, {"resource": {"type": "record", "id": ""}},
        {"resource": {"type": "record", "id": "i" * 257}}, {"resource": with_(RECORD_1, relation=5)},
        {"resource": with_(RECORD_1, proof="p" * 100_000)}, {"resource": {**RECORD_1, "properties": "x"}},
        {"resource": RECORD_1, "subject": {"type": "user", "id": "a\nb"}}, {"resource": RECORD_1, "action": {}},
        {"resource": RECORD_1, "subject": with_(ALICE, viewer="friend")}, {"resource": RECORD_1, "context": []},
        {"resource": RECORD_1, "context": {"context": "moon"}}, {"resource": RECORD_1, "context": {"context": 5}},
        {"resource": RECORD_1, "action": {"name": "launch"}}, {"resource": {"type": "spaceship", "id": "1"}},
        {"resource": RECORD_1, "subject": {"type": "spaceship", "id": "1"}},
    ]  # fmt: skip
    body = request_of(ALICE, READ, evaluations=[item for each in wrong for item in ({"resource": RECORD_1}, each)])
    answer = certified_http.post("/access/v1/evaluations", json=body)
    assert answer.status_code == 200
    answers = answer.json()["evaluations"]
    assert [item["decision"] for item in answers] == [True, False] * len(wrong)
    for number, item in enumerate(answers[1::2]):
        assert set(item["context"]) == {"error"}
        assert item["context"]["error"]["status"] in {400, 404}
        assert item["context"]["error"]["pointer"].startswith(f"/evaluations/{2 * number + 1}")
        assert len(json.dumps(item)) < 400


def test_a_profile_that_is_not_there_is_answered_like_any_refusal(certified_http):
    """Whoever is not there, and whoever may not be seen, are answered in one shape: the placeholder, and no reason."""
    evaluations = [
        {"resource": {"type": "record", "id": "not-there"}},
        {"resource": with_(RECORD_1, relation="blocked")}, {"resource": {"type": "record", "id": "a\u0000b"}},
    ]  # fmt: skip
    answers = certified_http.post(
        "/access/v1/evaluations", json=request_of(ALICE, READ, evaluations=evaluations)
    ).json()["evaluations"]
    assert {item["decision"] for item in answers} == {False}
    assert len({json.dumps({**item["context"], "profile_id": ""}) for item in answers}) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "alice"}, {"subject": {"type": "user"}}, {"context": 5}, {"evaluations": {}}, {"evaluations": "all"},
        {"evaluations": [{}] * 501}, {"options": []}, {"options": {"evaluations_semantic": "some"}}, {"action": []},
        {"options": {"evaluations_semantic": 1}}, {"subject": {"type": "t" * 257, "id": "a"}},
    ],
)  # fmt: skip
def test_a_batch_that_is_wrong_as_a_whole_is_refused_as_a_whole(certified_http, change):
    body = request_of(ALICE, READ, RECORD_1, evaluations=[{}])
    answer = certified_http.post("/access/v1/evaluations", json={**body, **change})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.json()["errors"][0]["pointer"].startswith("/")


def test_null_is_as_nothing_and_options_may_be_more(certified_http):
    body = request_of(ALICE, READ, RECORD_1)
    body |= {"context": None, "page": None, "options": {"another": 1, "evaluations_semantic": None}}
    body["evaluations"] = [{"subject": None, "action": None, "resource": None, "context": None}]
    assert [
        item["decision"] for item in certified_http.post("/access/v1/evaluations", json=body).json()["evaluations"]
    ] == [True]


@pytest.mark.parametrize(
    ("semantic", "wanted"),
    [
        ("execute_all", [True, False, True, True, False]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ],
)
def test_an_evaluation_that_is_wrong_counts_as_denied_for_the_end_of_a_batch(certified_http, semantic, wanted):
    evaluations = [{"resource": RECORD_1}, {}, {"resource": RECORD_1}, {"resource": RECORD_2}, {"action": WRITE}]
    body = request_of(ALICE, READ, evaluations=evaluations, options={"evaluations_semantic": semantic})
    answer = certified_http.post("/access/v1/evaluations", json=body).json()
    assert [item["decision"] for item in answer["evaluations"]] == wanted


@pytest.mark.parametrize(
    "content",
    [
        b"[]", b"null", b"1", b'"x"', b"{", b"\xff\xfe{}", b"{}" * 2, b"[" * 100_000, b'{"subject":' * 5_000, b"\x00",
        b'{"subject":{"type":"user","id":"\\ud800"},"action":{"name":"read"},"resource":{"type":"record","id":"r"}}',
    ],
    ids=range(11),
)  # fmt: skip
@pytest.mark.parametrize("path", [fixture.EVALUATION, fixture.EVALUATIONS, *RESULT_KEYS])
def test_hostile_bodies_are_refused(certified_http, path, content):
    answer = certified_http.post(f"/access/v1/{path}", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("path", [fixture.EVALUATION, fixture.EVALUATIONS, *RESULT_KEYS])
def test_hostile_ids_find_nothing_and_touch_nothing(certified_http, path):
    for hostile in (item for item in IDS if isinstance(item, str)):
        for body in (
            request_of({**ALICE, "id": hostile}, READ, RECORD_1),
            request_of(ALICE, READ, {**RECORD_1, "id": hostile}),
        ):
            try:
                content = json.dumps(body, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                content = json.dumps(body).encode()
            answer = certified_http.post(f"/access/v1/{path}", content=content, headers=JSON)
            assert answer.status_code in {200, 400}
            sought = (path == fixture.SUBJECT and body["subject"]["id"] == hostile) or path == fixture.RESOURCE
            if answer.status_code == 200 and path in RESULT_KEYS and not sought:
                assert answer.json()["results"] == []
