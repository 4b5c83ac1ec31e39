"""AuthZEN's searches: their pages and tokens, and what they must not say."""

import json

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
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


def ids(answer):
    return [result["id"] for result in answer["results"]]


def test_a_search_needs_its_own_scope(certified, certified_platform):
    assert certified_platform
    token = key_commands.token(certified.folder, scopes=["decide", "explain"], subject="pep", hours=1)
    for path in (fixture.SUBJECT, fixture.RESOURCE, fixture.ACTION):
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.post(
            f"{certified.url}/access/v1/{path}", json=request_of(ALICE, READ, RECORD_1), headers=headers
        )
        assert answer.status_code == 403


def pages(certified_search, path, body, **page):
    """All results of a search, a page after another; and how many pages there were."""
    results, token, number = [], None, 0
    while True:
        asked = {**body, "page": {**page, **({"token": token} if token else {})}}
        answer = certified_search(path, asked)
        results += ids(answer)
        number += 1
        assert answer["page"]["count"] == len(answer["results"])
        assert set(answer["page"]) == {"next_token", "count"}
        if not (token := answer["page"]["next_token"]):
            return results, number


@pytest.mark.parametrize(("path", "body"), [(fixture.SUBJECT, request_of(USERS, READ, RECORD_1)), (fixture.RESOURCE, request_of(ALICE, READ, RECORDS))])  # fmt: skip
def test_pages_lead_to_the_end(certified_search, path, body):
    whole = ids(certified_search(path, body))
    assert whole == sorted(whole)
    assert len(whole) >= 2
    assert pages(certified_search, path, body, limit=1) == (whole, len(whole))
    assert pages(certified_search, path, body, limit=10**9) == (whole, 1)
    first = certified_search(path, {**body, "page": {"limit": 1}})
    # As the specification's own example has it: the second request need not say the limit again.
    second = certified_search(path, {**body, "page": {"token": first["page"]["next_token"]}})
    assert ids(second) == whole[1:2]
    nothing = certified_search(path, {**body, "page": {"limit": 0}})
    assert nothing["results"] == []
    assert nothing["page"]["next_token"]


def test_a_token_goes_with_its_own_search_alone(certified, certified_http, certified_search):
    body = request_of(USERS, READ, RECORD_1, page={"limit": 1})
    token = certified_search(fixture.SUBJECT, body)["page"]["next_token"]
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
    assert certified_search(fixture.SUBJECT, request_of(USERS, READ, RECORD_1, page=page))["page"]["count"] == 1
    for path, asked in other:
        assert certified_http.post(f"/access/v1/{path}", json=asked).status_code == 400, asked
    somebody = key_commands.token(certified.folder, scopes=["search"], subject="another", hours=1)
    headers = {"Authorization": f"Bearer {somebody}"}
    asked = request_of(USERS, READ, RECORD_1, page=page)
    assert httpx.post(f"{certified.url}/access/v1/search/subject", json=asked, headers=headers).status_code == 400


def test_what_was_found_is_decided_so(certified_http, certified_search):
    """A result is an evaluation that permits, and what is not found is one that does not (of accounts, as strangers)."""
    for action in (READ, WRITE):
        for subject in (ALICE, BOB):
            results = set(ids(certified_search(fixture.RESOURCE, request_of(subject, action, RECORDS))))
            resources = [
                {"resource": {"type": "record", "id": item}} for item in ("record-1", "record-2", "alice", "bob")
            ]
            answer = certified_http.post(
                "/access/v1/evaluations", json=request_of(subject, action, evaluations=resources)
            ).json()
            permitted = {
                item["resource"]["id"]
                for item, decided in zip(resources, answer["evaluations"], strict=True)
                if decided["decision"]
            }
            assert permitted == results & {"record-1", "record-2", "alice", "bob"}


def test_a_search_takes_nothing_of_quotas_and_gives_no_url(certified_http, certified_search):
    before = certified_http.post("/access/v1/evaluation", json=request_of(BOB, READ, RECORD_1)).json()["decision"]
    for _ in range(150):  # an adult stranger is given 120 pictures an hour
        answer = certified_search(fixture.RESOURCE, request_of(BOB, READ, RECORDS))
        assert "url" not in json.dumps(answer)
    assert (
        before
        is certified_http.post("/access/v1/evaluation", json=request_of(BOB, READ, RECORD_2)).json()["decision"]
        is True
    )


def test_blocked_erased_and_deactivated_people_are_not_found_and_canaries_neither(
    certified, certified_platform, certified_search
):
    token = key_commands.token(certified.folder, scopes=None, subject="platform", hours=1)
    headers = {"Authorization": f"Bearer {token}"}
    for person in ("carol", "dave", "erin", "fay"):
        certified_platform.declare(person, band="adult", assurance="verified", region="eu")
    everybody = {"alice", "bob", "carol", "dave", "erin", "fay"}
    readers = request_of(USERS, READ, RECORD_2)
    assert everybody <= set(ids(certified_search(fixture.SUBJECT, readers)))
    certified_platform.block("record-2", "carol")
    certified_platform.deactivate("dave")
    certified_platform.delete_profile("erin")
    assert httpx.post(f"{certified.url}/v1/canaries", json={"profile_id": "fay"}, headers=headers).is_success
    left = {"alice", "bob"}

    def seen():
        return set(ids(certified_search(fixture.SUBJECT, readers))) & everybody == left

    eventually(seen)
    for person in ("dave", "erin", "fay"):
        subject = {"type": "user", "id": person}
        assert certified_search(fixture.RESOURCE, request_of(subject, READ, RECORDS))["results"] == []
        assert certified_search(fixture.ACTION, request_of(subject, None, RECORD_1))["results"] == []
    carol = {"type": "user", "id": "carol"}
    assert ids(certified_search(fixture.RESOURCE, request_of(carol, READ, RECORDS))) == ["record-1"]
    assert certified_search(fixture.ACTION, request_of(carol, None, RECORD_2))["results"] == []


def test_no_search_of_an_outsider_follows_an_age(certified_platform, certified_search, bands):
    """Whatever age is declared, of the person in the picture or of who looks: an outsider's searches find the same."""
    certified_platform.declare("minor", band="adult", assurance="verified", region="eu", choice="connections")
    image_id = certified_platform.upload("minor", pictures.photograph("rocket.jpg"), crop=(0, 0, 300, 300)).image_id
    assert certified_platform.wait(image_id).state == "ready"
    somebody = {"type": "record", "id": "minor"}
    answers = set()
    for band in bands:
        certified_platform.declare("minor", band=band, assurance="verified", region="eu", choice="connections")
        results = (
            certified_search(fixture.RESOURCE, request_of(BOB, READ, RECORDS)),
            certified_search(fixture.RESOURCE, request_of(BOB, WRITE, RECORDS)),
            certified_search(fixture.SUBJECT, request_of(USERS, READ, somebody)),
            certified_search(fixture.SUBJECT, request_of(USERS, WRITE, somebody)),
            certified_search(fixture.ACTION, request_of(BOB, None, somebody)),
            certified_search(fixture.ACTION, request_of({"type": "user", "id": "minor"}, None, RECORD_1)),
        )
        answers.add(json.dumps(results, sort_keys=True))
    assert len(answers) == 1
    assert [answer["page"]["count"] > 0 for answer in json.loads(answers.pop())] == [
        True, False, True, False, True, True,
    ]  # fmt: skip
