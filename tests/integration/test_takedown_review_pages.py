"""Reviews over HTTP, as an API and as pages: who may see what, and what a form of another site can do."""

import hashlib
import io
import re

import httpx
import pytest

from nightlight.catalogue import images, takedowns
from nightlight.catalogue.schema import images as images_table
from nightlight.catalogue.takedown_reviews import READY
from nightlight.catalogue.takedowns import LIST
from nightlight.store.local import LocalStore
from nightlight_core.clock import system_clock
from service.console.session import COOKIE
from tests.support import golden
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration

API = "/v1/takedowns"
IMAGE, OTHER, SECOND = f"{1:032x}", f"{2:032x}", f"{3:032x}"
PICTURE = b"RIFF softened"


@pytest.fixture(scope="module")
def served():
    with pytest.MonkeyPatch.context() as monkeypatch, golden.served(monkeypatch, "review", "takedown") as parts:
        yield parts


@pytest.fixture
def service(served):
    return served[2]


@pytest.fixture(scope="module")
def token(served):
    return served[0]._token()


@pytest.fixture
def http(served):
    with httpx.Client(base_url=served[0].base_url, timeout=HANG_S) as client:
        yield client


@pytest.fixture
def notice(http, token, service):
    """A notice that stands, with two matches; softened pictures of the first and of the notice's image are there."""
    bearer = {"Authorization": f"Bearer {token}"}
    body = {"image_id": IMAGE, "kind": "other", "reference": "<b>case</b>"}
    takedown_id = http.post(API, json=body, headers=bearer).json()["takedown_id"]
    now = system_clock()
    with service.catalogue.transaction() as tx:
        tx.takedowns.set(takedown_id, state=takedowns.IN_FORCE)
        for image_id in (OTHER, SECOND):
            tx.takedown_matches.add(image_id, [(LIST, takedown_id, 7)], now)
            tx.connection.execute(
                images_table.update().where(images_table.c.image_id == image_id).values(state=images.QUARANTINED)
            )
    review = http.post(f"{API}/{takedown_id}/review", headers=bearer).json()
    assert [match["picture"]["state"] for match in review["matches"]] == ["pending", "pending"]
    with service.catalogue.transaction() as tx:
        prepared = [row for row in tx.takedown_reviews.of_notice(takedown_id) if row.image_id != SECOND]
        for row in prepared:
            expires_at = service.review_softened.clock().replace(year=2090)
            tx.takedown_reviews.set(row.review_id, state=READY, made_at=now, expires_at=expires_at)
    return takedown_id


@pytest.fixture
def softened(service):
    """The exports' bucket as the service sees it, with the pictures that a worker would have put."""
    store = LocalStore(service.settings.general.data_dir.resolve() / "objects/exports")
    store.ready()

    def put(takedown_id):
        with service.catalogue.reading() as tx:
            rows = [row for row in tx.takedown_reviews.of_notice(takedown_id) if row.state == READY]
        for row in rows:
            sha256 = hashlib.sha256(PICTURE).hexdigest()
            store.replace(row.object_key, io.BytesIO(PICTURE), sha256=sha256, content_type="image/webp")
        return rows

    return put


def signed_in(http, token):
    answer = http.post("/review/sign-in", data={"token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/review/takedowns")
    http.headers["cookie"] = answer.headers["set-cookie"].partition(";")[0]  # it is for TLS: httpx would not send it
    return answer


def form_token(page):
    return re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text).group(1)


def test_the_api_gives_softened_pictures_to_reviewers_and_names_no_profile(http, token, notice, softened):
    rows = softened(notice)
    bearer = {"Authorization": f"Bearer {token}"}
    review = http.get(f"{API}/{notice}/review", headers=bearer)
    assert "profile" not in review.text
    first = next(match for match in review.json()["matches"] if match["image_id"] == OTHER)
    picture = http.get(first["picture"]["path"], headers=bearer)
    assert (picture.content, picture.headers["content-type"]) == (PICTURE, "image/webp")
    assert picture.headers["cache-control"] == "no-store"
    assert http.get(first["picture"]["path"]).status_code == 401
    assert http.get(f"{API}/{'f' * 32}/review/pictures/{rows[0].review_id}", headers=bearer).status_code == 404


def test_with_the_scope_takedown_alone_no_picture_is_seen(monkeypatch):
    with golden.served(monkeypatch, "takedown", "ingest", "trace") as (client, _, _):
        bearer = {"Authorization": f"Bearer {client._token()}"}
        for method, path in (("GET", "review"), ("POST", "review"), ("GET", f"review/pictures/{'a' * 32}")):
            answer = httpx.request(method, f"{client.base_url}{API}/{'a' * 32}/{path}", headers=bearer)
            assert answer.status_code == 403
        page = httpx.post(f"{client.base_url}/review/sign-in", data={"token": client._token()})
        assert (page.status_code, "set-cookie" in page.headers) == (403, False)


def test_a_reviewer_gives_verdicts_and_places_nothing(monkeypatch):
    with golden.served(monkeypatch, "review") as (client, _, _):
        bearer = {"Authorization": f"Bearer {client._token()}"}
        body = {"image_id": IMAGE, "kind": "other", "reference": "case"}
        assert httpx.post(f"{client.base_url}{API}", json=body, headers=bearer).status_code == 403
        verdict = httpx.post(
            f"{client.base_url}{API}/{'a' * 32}/matches/{OTHER}", json={"verdict": "cleared"}, headers=bearer
        )
        assert verdict.status_code == 404


@pytest.mark.parametrize(
    "path", ["/review/takedowns", f"/review/takedowns/{'a' * 32}", f"/review/takedowns/{'a' * 32}/pictures/{'b' * 32}"]
)
@pytest.mark.parametrize("cookie", ["", f"{COOKIE}=forged"])
def test_without_a_session_every_page_is_the_sign_in(http, path, cookie):
    answer = http.get(path, headers={"cookie": cookie})
    assert answer.status_code == 401
    assert 'action="/review/sign-in"' in answer.text


def test_the_cookie_goes_to_this_host_alone_and_to_no_script(http, token):
    cookie = signed_in(http, token).headers["set-cookie"].lower()
    assert cookie.startswith("__host-")
    for word in ("secure", "httponly", "samesite=strict", "path=/"):
        assert word in cookie
    assert "domain" not in cookie


def test_the_page_has_both_pictures_beside_one_another_and_nothing_runs_on_it(http, token, notice, softened):
    softened(notice)
    signed_in(http, token)
    assert "&lt;b&gt;case&lt;/b&gt;" in http.get("/review/takedowns").text
    page = http.get(f"/review/takedowns/{notice}")
    assert "&lt;b&gt;case&lt;/b&gt;" in page.text
    assert "<script" not in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; img-src 'self'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["cache-control"] == "no-store"
    sources = re.findall(r'<img src="([^"]+)"', page.text)
    assert len(sources) == 3  # the notice's twice, beside each match, and the match that is ready
    for source in sources:
        picture = http.get(source)
        assert (picture.content, picture.headers["cache-control"]) == (PICTURE, "no-store")
    assert "is being prepared" in page.text
    assert "profile" not in page.text


def test_a_verdict_is_given_by_the_page_s_own_form(http, token, notice, service):
    signed_in(http, token)
    page = f"/review/takedowns/{notice}"
    fields = {"form_token": form_token(http.get(page)), "verdict": "confirmed"}
    answer = http.post(f"{page}/matches/{OTHER}", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    verdicts = {match.image_id: match.verdict for match in service.takedown_review.status(notice).matches}
    assert verdicts == {OTHER: "confirmed", SECOND: "open"}
    assert http.post(f"{page}/prepare", data={"form_token": fields["form_token"]}).status_code == 303
    assert http.post(f"{page}/matches/{OTHER}", data={**fields, "verdict": "else"}).status_code == 422


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({}, {}),
        ({}, {"form_token": "0" * 64}),
        ({"sec-fetch-site": "cross-site"}, None),
        ({"sec-fetch-site": "same-site"}, None),
        ({"content-type": "text/plain"}, None),
    ],
    ids=["no token", "another's token", "another site", "another host of the site", "a form as text"],
)
def test_a_form_of_another_site_does_nothing(http, token, notice, service, headers, fields):
    signed_in(http, token)
    page = f"/review/takedowns/{notice}"
    fields = {"form_token": form_token(http.get(page))} if fields is None else fields
    answer = http.post(f"{page}/matches/{OTHER}", data={**fields, "verdict": "cleared"}, headers=headers)
    assert answer.status_code in {403, 422}
    assert {match.verdict for match in service.takedown_review.status(notice).matches} == {"open"}


def test_a_form_of_another_session_does_nothing(http, token, notice, monkeypatch):
    signed_in(http, token)
    page = f"/review/takedowns/{notice}"
    own_token = form_token(http.get(page))
    with golden.served(monkeypatch, "review") as (client, _, _), httpx.Client(base_url=client.base_url) as other:
        signed_in(other, client._token())
        assert other.post("/review/sign-out", data={"form_token": own_token}).status_code == 403


def test_signing_out_ends_the_session_and_a_wrong_token_begins_none(http, token):
    assert http.post("/review/sign-in", data={"token": "nothing"}).status_code == 401
    assert (
        http.post("/review/sign-in", data={"token": token}, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    )
    signed_in(http, token)
    fields = {"form_token": form_token(http.get("/review/takedowns"))}
    gone = http.post("/review/sign-out", data=fields)
    assert (gone.status_code, "max-age=0" in gone.headers["set-cookie"].lower()) == (303, True)


def test_what_does_not_work_is_said_on_a_page(http, token):
    signed_in(http, token)
    answer = http.get(f"/review/takedowns/{'e' * 32}")
    assert (answer.status_code, "This did not work" in answer.text) == (404, True)
