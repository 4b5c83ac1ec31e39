"""A deactivated account is answered as a profile that was never declared: byte for byte, by the service and locally."""

import json

import httpx
import pytest

from nightlight_client import Problem
from nightlight_client.local_client import LocalClient, Terms
from nightlight_core.decisions.relation_proofs import issue_proof
from tests.support import golden, pictures
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration
# As long as each other, so that bodies can be compared byte for byte.
ACCOUNT, UNKNOWN = "teen", "nnen"
RELATIONS = ("self", "guardian", "connection", "mutual", "stranger")
WORDS = [("peer", "profile"), ("adult", "list"), ("unverified", "search"), ("peer", "export")]


@pytest.fixture(scope="module")
def over_http():
    with (
        pytest.MonkeyPatch.context() as patch,
        golden.served(patch, "ingest", "report") as (client, publisher, services),
    ):
        patch.setattr(client, "_budget_s", HANG_S)
        yield client, publisher, services


@pytest.fixture
def local(over_http):
    client, publisher, _ = over_http
    terms = Terms(relation_keys=golden.RELATION_KEYS, poll_s=HANG_S, stale_s=2 * HANG_S)
    with LocalClient(client, publisher.public_keys, terms, clock=lambda: golden.NOW) as local_client:
        yield local_client


@pytest.fixture
def deactivated(over_http):
    client, _, services = over_http
    picture = seen(client, ACCOUNT)
    assert picture != seen(client, UNKNOWN)
    client.deactivate(ACCOUNT)
    yield picture
    back(client, services)


def back(client, services):
    """Reactivate it; no worker runs here that would rename its pictures, so their names count again."""
    client.reactivate(ACCOUNT)
    with services.catalogue.transaction() as tx:
        (image,) = tx.images.of_profile(ACCOUNT)
        tx.revocations.drop(image.image_id, [name for name, _ in tx.revocations.of_image(image.image_id)])
        tx.profiles.raise_generation(ACCOUNT)  # so that the feed tells of it
    services.change_feed.poll()


def items(profile_id, viewer_id):
    for relation in RELATIONS:
        proof = issue_proof(golden.RELATION_KEYS, viewer_id, profile_id, relation, now=golden.NOW, life_s=600)
        yield {"profile_id": profile_id, "relation": relation, "proof": proof}


def seen(decides, profile_id, viewer_id=golden.VIEWER):
    """What everybody is given: every answer of every relation, viewer and context."""
    asked = [(item["profile_id"], item["relation"], item["proof"]) for item in items(profile_id, viewer_id)]
    return [
        [(given.url, given.expires_at) for given in decides.decide(viewer, context, asked, viewer_id=viewer_id)]
        for viewer, context in WORDS
    ]


def raw(client, profile_id, viewer_id, viewer, context):
    """The answer's body and headers as they came over the wire, without what is of the moment or the request."""
    body = {"viewer": viewer, "context": context, "viewer_id": viewer_id, "items": list(items(profile_id, viewer_id))}
    with httpx.Client(base_url=client.base_url) as http:
        answer = http.post("/v1/decisions", json=body, headers={"Authorization": f"Bearer {client._token()}"})
    assert answer.status_code == 200
    ignored = {"date", "x-request-id"}
    headers = {name: value for name, value in answer.headers.items() if name not in ignored}
    return answer.content.replace(profile_id.encode(), b"----"), headers


def test_the_answer_of_the_service_is_that_of_a_profile_that_was_never_declared(over_http, deactivated):
    client, _, services = over_http
    for ask in (lambda: None, services.change_feed.poll):  # from the node's own change on, and once the feed told it
        ask()
        assert seen(client, ACCOUNT) == seen(client, UNKNOWN)
        for viewer, context in WORDS:
            known = raw(client, ACCOUNT, golden.VIEWER, viewer, context)
            unknown = raw(client, UNKNOWN, golden.VIEWER, viewer, context)
            assert known == unknown


def test_its_owner_sees_no_more_than_others(over_http, deactivated):
    client, _, _ = over_http
    assert seen(client, ACCOUNT, ACCOUNT) == seen(client, UNKNOWN, UNKNOWN)


def test_the_local_client_answers_the_same(over_http, local, deactivated):
    client, _, _ = over_http
    assert local.poll()
    assert seen(local, ACCOUNT) == seen(local, UNKNOWN) == seen(client, ACCOUNT)


def test_what_it_reads_of_the_account_is_what_it_reads_of_an_unknown_one(over_http, deactivated):
    client, _, _ = over_http
    views = client.views([ACCOUNT, UNKNOWN])["profiles"]
    texts = [json.dumps(view, sort_keys=True).replace(view["profile_id"], "-") for view in views]
    assert texts[0] == texts[1]
    assert not views[0]["known"]


def test_a_local_client_that_had_the_picture_in_memory_hears_of_it(over_http, local):
    client, _, services = over_http
    before = seen(local, ACCOUNT)
    client.deactivate(ACCOUNT)
    try:
        assert local.poll()
        assert seen(local, ACCOUNT) == seen(local, UNKNOWN) != before
    finally:
        back(client, services)
    assert local.poll()
    assert seen(local, ACCOUNT) == seen(client, ACCOUNT)


def test_an_explanation_tells_callers_no_more_than_of_an_unknown_profile(over_http, deactivated):
    client, _, _ = over_http
    answers = []
    for profile_id in (ACCOUNT, UNKNOWN):
        body = {"viewer": "peer", "context": "profile", "viewer_id": "v", "items": [{"profile_id": profile_id}]}
        with httpx.Client(base_url=client.base_url) as http:
            answer = http.post("/v1/explain", json=body, headers={"Authorization": f"Bearer {client._token()}"})
        answers.append((answer.status_code, answer.text.replace(profile_id, "-")))
    assert answers[0] == answers[1]


def test_the_platform_is_told_what_it_said(over_http, deactivated):
    client, _, _ = over_http
    with httpx.Client(base_url=client.base_url, headers={"Authorization": f"Bearer {client._token()}"}) as http:
        body = {"band": "age_13_15", "assurance": "verified", "region": "eu"}
        answer = http.put(f"/v1/profiles/{ACCOUNT}", json=body)
        assert answer.status_code == 200
        assert answer.json()["deactivated_at"].startswith("2027-01-15T")
        again = http.put(f"/v1/profiles/{ACCOUNT}/deactivation")
        assert (again.status_code, again.content) == (204, b"")
        assert int(again.headers["nightlight-consistency"]) > 0
        for method in ("PUT", "DELETE"):
            assert http.request(method, "/v1/profiles/nobody-at-all/deactivation").status_code == 404
    assert seen(client, ACCOUNT) == seen(client, UNKNOWN)


def test_an_upload_is_refused_with_a_conflict_that_says_why(over_http, deactivated):
    client, _, _ = over_http
    with pytest.raises(Problem) as problem:
        client.upload(ACCOUNT, pictures.jpeg(200, 200))
    assert (problem.value.status, problem.value.code) == (409, "profile_deactivated")
