"""AuthZEN's certification scenarios against a running service with the fixture that they ask for; and what they do not.

The table is in tests/support/authzen_scenarios.py, and in docs/api/authzen.md.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from nightlight.cli import key_commands
from tests.support import authzen_scenarios as fixture
from tests.support import pictures
from tests.support.authzen_scenarios import (
    ALICE,
    BOB,
    READ,
    RECORD_1,
    RECORD_2,
    RECORDS,
    USERS,
    WRITE,
    request_of,
    with_,
)
from tests.support.hostile_ids import IDS
from tests.support.stacks import STACKS
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

JSON = {"Content-Type": "application/json"}
RESULT_KEYS = {fixture.SUBJECT: "id", fixture.RESOURCE: "id", fixture.ACTION: "name"}


class _Graph(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        pairs = [(asked["viewer_id"], item["profile_id"]) for item in asked["items"]]
        relations = ["connection" if pair in fixture.CONNECTIONS else "stranger" for pair in pairs]
        body = json.dumps({"relations": relations}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def social_graph():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Graph)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module", params=sorted(STACKS))
def certified(request, tmp_path_factory):
    with social_graph() as url:
        settings = {
            **fixture.SETTINGS,
            "NIGHTLIGHT_RELATIONS_PROVIDER_URL": url,
            "NIGHTLIGHT_RELATIONS_PROVIDER_TIMEOUT_S": "10",
        }
        with STACKS[request.param](tmp_path_factory.mktemp(f"authzen-{request.param}"), **settings) as stack:
            yield stack


@pytest.fixture(scope="module")
def platform(certified):
    with certified.client() as client:
        for person in ("alice", "bob"):
            client.declare(person, band="adult", assurance="verified", region="eu")
        for record in ("record-1", "record-2"):
            client.declare(record, band="adult", assurance="verified", region="eu", choice="connections")
            image_id = client.upload(record, pictures.photograph("coffee.png"), crop=(0, 0, 200, 200)).image_id
            assert client.wait(image_id).state == "ready"
        yield client


@pytest.fixture(scope="module")
def http(certified, platform):
    assert platform
    token = key_commands.token(certified.folder, scopes=["decide", "search"], subject="pep", hours=12)
    with httpx.Client(base_url=certified.url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def search(http):
    def results(path, body):
        answer = http.post(f"/access/v1/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return results


def ids(answer):
    return [result["id"] for result in answer["results"]]


@pytest.mark.parametrize(
    "scenario", fixture.SCENARIOS, ids=lambda scenario: f"{scenario.number} {scenario.path} {scenario.what}"
)
def test_a_scenario(http, scenario):
    content = json.dumps(scenario.body).encode() if scenario.content is None else scenario.content
    answer = http.post(f"/access/v1/{scenario.path}", content=content, headers=scenario.headers)
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
def test_a_request_id_comes_back(http, path, request_id):
    raw = request_id.encode("latin-1")
    for content in (json.dumps(request_of(ALICE, READ, RECORD_1)).encode(), b"{"):
        headers = [(b"x-request-id", raw), (b"content-type", b"application/json")]
        answer = http.post(f"/access/v1/{path}", content=content, headers=headers)
        assert answer.status_code == (400 if content == b"{" else 200)
        assert [value for name, value in answer.headers.raw if name.lower() == b"x-request-id"] == [raw]


def test_a_request_id_comes_back_without_a_token_too(certified):
    answer = httpx.post(f"{certified.url}/access/v1/evaluation", json={}, headers={"X-Request-ID": "no token"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (401, "no token")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_same_request_is_decided_alike(http):
    for action, wanted in ((READ, True), (WRITE, False)):
        body = request_of(BOB, action, RECORD_1)
        answers = [http.post("/access/v1/evaluation", json=body).json()["decision"] for _ in range(10)]
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


def test_whatever_is_wrong_with_an_evaluation_denies_that_one_alone(http):
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
    answer = http.post("/access/v1/evaluations", json=body)
    assert answer.status_code == 200
    answers = answer.json()["evaluations"]
    assert [item["decision"] for item in answers] == [True, False] * len(wrong)
    for number, item in enumerate(answers[1::2]):
        assert set(item["context"]) == {"error"}
        assert item["context"]["error"]["status"] in {400, 404}
        assert item["context"]["error"]["pointer"].startswith(f"/evaluations/{2 * number + 1}")
        assert len(json.dumps(item)) < 400


def test_a_profile_that_is_not_there_is_answered_like_any_refusal(http):
    """Whoever is not there, and whoever may not be seen, are answered in one shape: the placeholder, and no reason."""
    evaluations = [
        {"resource": {"type": "record", "id": "not-there"}},
        {"resource": with_(RECORD_1, relation="blocked")}, {"resource": {"type": "record", "id": "a\u0000b"}},
    ]  # fmt: skip
    answers = http.post("/access/v1/evaluations", json=request_of(ALICE, READ, evaluations=evaluations)).json()[
        "evaluations"
    ]
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
def test_a_batch_that_is_wrong_as_a_whole_is_refused_as_a_whole(http, change):
    body = request_of(ALICE, READ, RECORD_1, evaluations=[{}])
    answer = http.post("/access/v1/evaluations", json={**body, **change})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.json()["errors"][0]["pointer"].startswith("/")


def test_null_is_as_nothing_and_options_may_be_more(http):
    body = request_of(ALICE, READ, RECORD_1)
    body |= {"context": None, "page": None, "options": {"another": 1, "evaluations_semantic": None}}
    body["evaluations"] = [{"subject": None, "action": None, "resource": None, "context": None}]
    assert [item["decision"] for item in http.post("/access/v1/evaluations", json=body).json()["evaluations"]] == [True]


@pytest.mark.parametrize(
    ("semantic", "wanted"),
    [
        ("execute_all", [True, False, True, True, False]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ],
)
def test_an_evaluation_that_is_wrong_counts_as_denied_for_the_end_of_a_batch(http, semantic, wanted):
    evaluations = [{"resource": RECORD_1}, {}, {"resource": RECORD_1}, {"resource": RECORD_2}, {"action": WRITE}]
    body = request_of(ALICE, READ, evaluations=evaluations, options={"evaluations_semantic": semantic})
    answer = http.post("/access/v1/evaluations", json=body).json()
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
def test_hostile_bodies_are_refused(http, path, content):
    answer = http.post(f"/access/v1/{path}", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("path", [fixture.EVALUATION, fixture.EVALUATIONS, *RESULT_KEYS])
def test_hostile_ids_find_nothing_and_touch_nothing(http, path):
    for hostile in (item for item in IDS if isinstance(item, str)):
        for body in (
            request_of({**ALICE, "id": hostile}, READ, RECORD_1),
            request_of(ALICE, READ, {**RECORD_1, "id": hostile}),
        ):
            try:
                content = json.dumps(body, ensure_ascii=False).encode()
            except UnicodeEncodeError:
                content = json.dumps(body).encode()
            answer = http.post(f"/access/v1/{path}", content=content, headers=JSON)
            assert answer.status_code in {200, 400}
            sought = (path == fixture.SUBJECT and body["subject"]["id"] == hostile) or path == fixture.RESOURCE
            if answer.status_code == 200 and path in RESULT_KEYS and not sought:
                assert answer.json()["results"] == []


def test_a_search_needs_its_own_scope(certified, platform):
    assert platform
    token = key_commands.token(certified.folder, scopes=["decide", "explain"], subject="pep", hours=1)
    for path in RESULT_KEYS:
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.post(
            f"{certified.url}/access/v1/{path}", json=request_of(ALICE, READ, RECORD_1), headers=headers
        )
        assert answer.status_code == 403


def pages(search, path, body, **page):
    """All results of a search, a page after another; and how many pages there were."""
    results, token, number = [], None, 0
    while True:
        asked = {**body, "page": {**page, **({"token": token} if token else {})}}
        answer = search(path, asked)
        results += ids(answer)
        number += 1
        assert answer["page"]["count"] == len(answer["results"])
        assert set(answer["page"]) == {"next_token", "count"}
        if not (token := answer["page"]["next_token"]):
            return results, number


@pytest.mark.parametrize(("path", "body"), [(fixture.SUBJECT, request_of(USERS, READ, RECORD_1)), (fixture.RESOURCE, request_of(ALICE, READ, RECORDS))])  # fmt: skip
def test_pages_lead_to_the_end(search, path, body):
    whole = ids(search(path, body))
    assert whole == sorted(whole)
    assert len(whole) >= 2
    assert pages(search, path, body, limit=1) == (whole, len(whole))
    assert pages(search, path, body, limit=10**9) == (whole, 1)
    first = search(path, {**body, "page": {"limit": 1}})
    # As the specification's own example has it: the second request need not say the limit again.
    second = search(path, {**body, "page": {"token": first["page"]["next_token"]}})
    assert ids(second) == whole[1:2]
    nothing = search(path, {**body, "page": {"limit": 0}})
    assert nothing["results"] == []
    assert nothing["page"]["next_token"]


def test_a_token_goes_with_its_own_search_alone(certified, http, search):
    body = request_of(USERS, READ, RECORD_1, page={"limit": 1})
    token = search(fixture.SUBJECT, body)["page"]["next_token"]
    assert "alice" not in token
    page = {"token": token}
    other = (
        (fixture.SUBJECT, request_of(USERS, READ, RECORD_2, page=page)),
        (fixture.SUBJECT, request_of(USERS, WRITE, RECORD_1, page=page)),
        (fixture.SUBJECT, request_of(with_(USERS, viewer="peer"), READ, RECORD_1, page=page)),
        (fixture.SUBJECT, request_of(USERS, READ, RECORD_1, context={"time": "later"}, page=page)),
        (fixture.SUBJECT, request_of(USERS, READ, RECORD_1, page={**page, "limit": 2})),
        (fixture.SUBJECT, request_of(USERS, READ, RECORD_1, page={**page, "properties": {"order": "name"}})),
        (fixture.RESOURCE, request_of(ALICE, READ, RECORD_1, page=page)),
        (fixture.ACTION, request_of(ALICE, None, RECORD_1, page=page)),
        (fixture.SUBJECT, request_of(USERS, READ, RECORD_1, page={"token": token[:-4] + "AAAA"})),
        (fixture.SUBJECT, request_of(USERS, READ, RECORD_1, page={"token": "\u00e9"})),
        (fixture.SUBJECT, request_of(USERS, READ, RECORD_1, page={"token": "t" * 5000})),
        (fixture.SUBJECT, request_of(USERS, READ, RECORD_1, page={"token": ""})),
        (fixture.SUBJECT, request_of(USERS, READ, RECORD_1, page={"token": 1})),
        (fixture.SUBJECT, request_of(USERS, READ, RECORD_1, page={"limit": -1})),
        (fixture.SUBJECT, request_of(USERS, READ, RECORD_1, page={"limit": True})),
        (fixture.SUBJECT, request_of(USERS, READ, RECORD_1, page={"limit": "1"})),
        (fixture.SUBJECT, request_of(USERS, READ, RECORD_1, page=[])),
    )
    assert search(fixture.SUBJECT, request_of(USERS, READ, RECORD_1, page=page))["page"]["count"] == 1
    for path, asked in other:
        assert http.post(f"/access/v1/{path}", json=asked).status_code == 400, asked
    somebody = key_commands.token(certified.folder, scopes=["search"], subject="another", hours=1)
    headers = {"Authorization": f"Bearer {somebody}"}
    asked = request_of(USERS, READ, RECORD_1, page=page)
    assert httpx.post(f"{certified.url}/access/v1/search/subject", json=asked, headers=headers).status_code == 400


def test_what_was_found_is_decided_so(http, search):
    """A result is an evaluation that permits, and what is not found is one that does not (of accounts, as strangers)."""
    for action in (READ, WRITE):
        for subject in (ALICE, BOB):
            results = set(ids(search(fixture.RESOURCE, request_of(subject, action, RECORDS))))
            resources = [
                {"resource": {"type": "record", "id": item}} for item in ("record-1", "record-2", "alice", "bob")
            ]
            answer = http.post("/access/v1/evaluations", json=request_of(subject, action, evaluations=resources)).json()
            permitted = {
                item["resource"]["id"]
                for item, decided in zip(resources, answer["evaluations"], strict=True)
                if decided["decision"]
            }
            assert permitted == results & {"record-1", "record-2", "alice", "bob"}


def test_a_search_takes_nothing_of_quotas_and_gives_no_url(http, search):
    before = http.post("/access/v1/evaluation", json=request_of(BOB, READ, RECORD_1)).json()["decision"]
    for _ in range(150):  # an adult stranger is given 120 pictures an hour
        answer = search(fixture.RESOURCE, request_of(BOB, READ, RECORDS))
        assert "url" not in json.dumps(answer)
    assert before is http.post("/access/v1/evaluation", json=request_of(BOB, READ, RECORD_2)).json()["decision"] is True


def test_blocked_erased_and_deactivated_people_are_not_found_and_canaries_neither(certified, platform, search):
    token = key_commands.token(certified.folder, scopes=None, subject="platform", hours=1)
    headers = {"Authorization": f"Bearer {token}"}
    for person in ("carol", "dave", "erin", "fay"):
        platform.declare(person, band="adult", assurance="verified", region="eu")
    everybody = {"alice", "bob", "carol", "dave", "erin", "fay"}
    readers = request_of(USERS, READ, RECORD_2)
    assert everybody <= set(ids(search(fixture.SUBJECT, readers)))
    platform.block("record-2", "carol")
    platform.deactivate("dave")
    platform.delete_profile("erin")
    assert httpx.post(f"{certified.url}/v1/canaries", json={"profile_id": "fay"}, headers=headers).is_success
    left = {"alice", "bob"}

    def seen():
        return set(ids(search(fixture.SUBJECT, readers))) & everybody == left

    eventually(seen)
    for person in ("dave", "erin", "fay"):
        subject = {"type": "user", "id": person}
        assert search(fixture.RESOURCE, request_of(subject, READ, RECORDS))["results"] == []
        assert search(fixture.ACTION, request_of(subject, None, RECORD_1))["results"] == []
    carol = {"type": "user", "id": "carol"}
    assert ids(search(fixture.RESOURCE, request_of(carol, READ, RECORDS))) == ["record-1"]
    assert search(fixture.ACTION, request_of(carol, None, RECORD_2))["results"] == []


def test_no_search_of_an_outsider_follows_an_age(platform, search, bands):
    """Whatever age is declared, of the person in the picture or of who looks: an outsider's searches find the same."""
    platform.declare("minor", band="adult", assurance="verified", region="eu", choice="connections")
    image_id = platform.upload("minor", pictures.photograph("rocket.jpg"), crop=(0, 0, 300, 300)).image_id
    assert platform.wait(image_id).state == "ready"
    somebody = {"type": "record", "id": "minor"}
    answers = set()
    for band in bands:
        platform.declare("minor", band=band, assurance="verified", region="eu", choice="connections")
        results = (
            search(fixture.RESOURCE, request_of(BOB, READ, RECORDS)),
            search(fixture.RESOURCE, request_of(BOB, WRITE, RECORDS)),
            search(fixture.SUBJECT, request_of(USERS, READ, somebody)),
            search(fixture.SUBJECT, request_of(USERS, WRITE, somebody)),
            search(fixture.ACTION, request_of(BOB, None, somebody)),
            search(fixture.ACTION, request_of({"type": "user", "id": "minor"}, None, RECORD_1)),
        )
        answers.add(json.dumps(results, sort_keys=True))
    assert len(answers) == 1
