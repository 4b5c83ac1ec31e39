"""The way of one picture: uploaded, rendered, decided on, fetched; for every relation and age band."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from ruamel.yaml import YAML

from nightlight.settings import Settings
from nightlight.wiring.service_container import build_service
from nightlight_core.decisions.placeholder import PLACEHOLDER_BLURHASH
from tests.support import pictures
from tests.support.stacks import ROOT
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

TIERS = YAML(typ="safe").load(ROOT / "policies/tiers.yaml")["tiers"]
PLACEHOLDER = 128
RELATIONS = ("self", "guardian", "connection", "mutual", "stranger", "blocked")
VIEWERS = ("peer", "adult", "unverified", "signed_out")


def edges(client, viewer, relation, people):
    """{band: longest side of what arrives}, asked and fetched over HTTP."""
    items = [(profile_id, relation) for profile_id, _ in people.values()]
    decisions = client.decide(viewer, "profile", items)
    sizes = {}
    for band, decision in zip(people, decisions, strict=True):
        answer = client.fetch(decision.url)
        assert answer.status == 200
        sizes[band] = max(pictures.opened(answer.content).size), answer.content
    return sizes


@pytest.mark.parametrize("viewer", VIEWERS)
@pytest.mark.parametrize("relation", RELATIONS)
def test_what_arrives_is_at_most_what_the_policy_says(client, people, relation, viewer):
    items = [(profile_id, relation) for profile_id, _ in people.values()]
    explained = client.explain(viewer, "profile", items)["items"]
    for (edge, _), why in zip(edges(client, viewer, relation, people).values(), explained, strict=True):
        allowed = TIERS[why["tier"]]["edge"] if why["tier"] != "none" else PLACEHOLDER
        assert edge <= allowed, why


@pytest.mark.parametrize("context", ["profile", "list", "search", "suggest", "message", "export"])
@pytest.mark.parametrize("relation", ["mutual", "stranger"])
def test_an_outsider_never_gets_more_than_tiny_or_the_placeholder(client, people, relation, context):
    for viewer in ("peer", "adult", "unverified", "signed_out"):
        items = [(profile_id, relation) for profile_id, _ in people.values()]
        for decision in client.decide(viewer, context, items):
            data = client.fetch(decision.url).content
            image = pictures.opened(data)
            assert image.size == (PLACEHOLDER, PLACEHOLDER) or max(image.size) <= TIERS["tiny"]["edge"]


def test_outsiders_get_the_same_picture_and_headers_for_every_age(client, people):
    """Alike but for the invisible watermark, whose number is a keyed hash of the image and knows no age."""
    decisions = client.decide("adult", "profile", [(profile_id, "stranger") for profile_id, _ in people.values()])
    answers = [client.fetch(decision.url) for decision in decisions]
    shown = [pictures.opened(answer.content).convert("RGB") for answer in answers]
    assert min(pictures.psnr(shown[0], picture) for picture in shown[1:]) > 28
    lengths = [len(answer.content) for answer in answers]
    assert max(lengths) - min(lengths) <= 0.2 * max(lengths)
    volatile = {"date", "cache-control", "content-length", "etag"}
    headers = [{k: v for k, v in answer.headers.items() if k not in volatile} for answer in answers]
    assert all(header_set == headers[0] for header_set in headers)
    shapes = {re.sub(r"\d", "0", answer.headers["cache-control"]) for answer in answers}
    assert len(shapes) == 1
    assert len({len(decision.url) for decision in decisions}) == 1


def test_a_connection_sees_more_of_an_adult_than_of_a_minor(client, people):
    sizes = edges(client, "peer", "connection", people)
    assert sizes["adult"][0] == 512  # the photograph's own size, under the tier's 1024
    assert sizes["age_13_15"][0] == TIERS["medium"]["edge"]
    assert sizes["under_13"][0] == TIERS["tiny"]["edge"]
    assert sizes["unknown"][0] == TIERS["tiny"]["edge"]


def test_the_owner_sees_the_picture_that_was_uploaded(client, people):
    profile_id, _ = people["age_13_15"]
    (decision,) = client.decide("peer", "profile", [(profile_id, "self")])
    shown = pictures.opened(client.fetch(decision.url).content)
    assert pictures.psnr(shown, pictures.opened(pictures.photograph("astronaut.png"))) > 30


def test_the_batch_keeps_count_order_and_shape_whatever_is_asked(client, people):
    ready, _ = people["age_16_17"]
    client.declare("bare", band="adult", assurance="verified", region="eu")
    items = [
        (ready, "stranger"),
        ("nobody-by-this-name", "stranger"),
        (ready, "blocked"),
        ("bare", "connection"),
        (ready, "best-friend"),
        ("no such id at all / \\ ..", "self"),
        (ready, "stranger"),
    ]
    decisions = client.decide("adult", "profile", items)
    assert [decision.profile_id for decision in decisions] == [profile_id for profile_id, _ in items]
    assert len({len(decision.url) for decision in decisions}) == 1
    placeholders = {decision.url for decision in decisions[1:6]}
    assert len(placeholders) == 1
    assert decisions[0].url == decisions[6].url
    assert decisions[0].url not in placeholders


def test_five_hundred_items_are_answered_and_one_more_is_refused(stack, client):
    assert len(client.decide("peer", "list", [("nobody", "stranger")] * 500)) == 500
    answer = post(stack, client, "/v1/decisions", {"items": [{"profile_id": "x"}] * 501})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_unknown_viewers_and_contexts_are_refused_with_the_known_words(stack, client):
    answer = post(stack, client, "/v1/decisions", {"viewer": "friend", "items": [{"profile_id": "x"}]})
    assert answer.status_code == 422
    assert "signed_out" in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_unknown_relation_gives_that_item_the_placeholder_and_tells_the_operator(client, people):
    ready, _ = people["adult"]
    why = client.explain("peer", "profile", [(ready, "conection")])["items"][0]
    assert (why["tier"], why["rule"], why["unknown_words"]) == ("none", "doubt", ["relation"])


def test_an_explanation_names_the_rule_and_the_policy(client, people):
    minor, _ = people["age_13_15"]
    explained = client.explain("adult", "profile", [(minor, "stranger")])
    assert len(explained["policy_digest"]) == 64
    (why,) = explained["items"]
    assert (why["tier"], why["rule"], why["cache_s"], why["per_hour"]) == ("tiny", "outsider", 3600, 120)
    assert why["inputs"]["subject_age"] == "age_13_15"


def test_a_decision_tells_neither_tier_nor_reason(stack, client, people):
    ready, _ = people["under_13"]
    answer = post(stack, client, "/v1/decisions", {"viewer": "peer", "items": [{"profile_id": ready}]})
    assert set(answer.json()) == {"items"}
    assert set(answer.json()["items"][0]) == {"profile_id", "url", "expires_at", "blurhash", "capture"}


def test_a_blurhash_is_of_the_most_protective_tier_whichever_is_shown(client, people):
    profile_id, _ = people["adult"]
    asked = [(profile_id, "self"), (profile_id, "connection"), (profile_id, "stranger"), ("nobody-at-all", "self")]
    own, connection, stranger, nobody = (decision.blurhash for decision in client.decide("peer", "profile", asked))
    assert own == connection == stranger
    assert len(own) == len(nobody)
    assert nobody == PLACEHOLDER_BLURHASH
    (blocked,) = client.decide("peer", "profile", [(profile_id, "blocked")])
    assert blocked.blurhash == PLACEHOLDER_BLURHASH


def test_apps_are_asked_to_refuse_what_the_policy_forbids_and_outsiders_learn_no_age_from_it(client, people):
    def captures(relation):
        items = [(profile_id, relation) for profile_id, _ in people.values()]
        flags = [decision.capture for decision in client.decide("peer", "profile", items)]
        explained = client.explain("peer", "profile", items)["items"]
        assert flags == [why["capture"] if why["shows"] == "rendition" else "forbid" for why in explained]
        return dict(zip(people, flags, strict=True))

    forbidden = dict.fromkeys(people, "forbid")
    assert captures("self") == dict.fromkeys(people, "allow")
    assert captures("connection") == captures("guardian") == {**forbidden, "adult": "allow"}
    for relation in ("mutual", "stranger", "blocked"):
        assert captures(relation) == forbidden
    (nobody,) = client.decide("peer", "profile", [("nobody-at-all", "self")])
    assert nobody.capture == "forbid"


def test_a_url_lives_no_longer_than_the_policy_allows(client, people):
    import time

    minor, _ = people["age_13_15"]
    before = int(time.time())
    (decision,) = client.decide("peer", "profile", [(minor, "connection")])
    assert before + 300 / 2 <= decision.expires_at <= time.time() + 300
    assert parse_qs(urlsplit(decision.url).query)["e"] == [str(decision.expires_at)]


def test_forged_expired_and_malformed_urls_are_all_the_same_404(stack, client, people):
    minor, _ = people["age_13_15"]
    (decision,) = client.decide("peer", "profile", [(minor, "connection")])
    url = decision.url
    query = urlsplit(url).query
    path = urlsplit(url).path
    bad = [
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        url.replace(f"e={decision.expires_at}", f"e={decision.expires_at + 1}"),
        url.replace(f"e={decision.expires_at}", "e=1700000000"),
        url.replace("k=d1", "k=d2"),
        url.replace(".webp", ".jpg"),
        f"{stack.url}{path}",
        f"{stack.url}{path}?e=&k=&s=",
        f"{stack.url}{path}?e=9999999999999999&k=d1&s={'A' * 22}",
        f"{stack.url}/a/{'a' * 32}.webp?{query}",
        f"{stack.url}/a/nonsense.webp?{query}",
        f"{stack.url}/a/..%2f..%2fo%2fx.webp?{query}",
        f"{stack.url}/a/{'a' * 5000}.webp?{query}",
    ]
    answers = [httpx.get(url) for url in bad]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


def test_ranges_and_conditional_requests(client, people):
    minor, _ = people["age_13_15"]
    (decision,) = client.decide("peer", "profile", [(minor, "connection")])
    full_answer = httpx.get(decision.url)
    etag = full_answer.headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
    size = len(full_answer.content)

    def got(**headers):
        return httpx.get(decision.url, headers={name.replace("_", "-"): value for name, value in headers.items()})

    assert got(if_none_match=etag).status_code == 304
    assert got(if_none_match='"other"').status_code == 200
    part = got(range="bytes=10-19")
    assert (part.status_code, part.content) == (206, full_answer.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{size}"
    assert got(range="bytes=-5").content == full_answer.content[-5:]
    assert got(range=f"bytes={size}-").status_code == 416
    assert got(range="bytes=5-2").status_code == 200
    assert got(range="bytes=0-1,4-5").status_code == 200
    assert got(range="bytes=0-1", if_range='"other"').status_code == 200
    assert httpx.head(decision.url).headers["content-length"] == str(size)


def test_pictures_come_with_headers_that_forbid_sniffing_indexing_and_mining(client, people):
    minor, _ = people["age_13_15"]
    (decision,) = client.decide("peer", "profile", [(minor, "connection")])
    headers = httpx.get(decision.url).headers
    assert headers["content-type"] == "image/webp"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-robots-tag"] == "noai, noimageai, noindex"
    assert headers["tdm-reservation"] == "1"
    assert headers["content-usage"] == "train-ai=n, search=n"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert re.fullmatch(r"public, max-age=\d+, immutable", headers["cache-control"])
    assert "server" not in headers


def post(stack, client, path, body):
    return httpx.post(f"{stack.url}{path}", json=body, headers={"Authorization": f"Bearer {client._token()}"})


def test_the_service_runs_without_any_way_to_read_an_original(stack, client, people, monkeypatch):
    """On S3 with its own identity only; embedded, where one user owns every file, it is handed nothing that reads."""
    from nightlight.store.s3 import S3Access, S3Store
    from nightlight_core.errors import StoreDenied
    from tests.support.services import S3_SERVICE, S3_WORKER, identity

    if stack.name == "embedded":
        for name, value in stack.environment.items():
            monkeypatch.setenv(name, value)
        services = build_service(Settings())
        assert not any(hasattr(services.originals, method) for method in ("get", "head", "keys", "delete"))
        assert not hasattr(services.upload.originals, "get")
        services.close()
        return
    environ = (Path("/proc") / str(stack.children["service"].pid) / "environ").read_text()
    assert identity(S3_SERVICE)[1] in environ
    assert identity(S3_WORKER)[1] not in environ
    _, image_id = people["under_13"]
    with stack.catalogue.reading() as tx:
        key = tx.images.get(image_id).original_key
    own = S3Access(stack.buckets.endpoint, "us-east-1", *identity(S3_SERVICE), 2.0, 5.0)
    with pytest.raises(StoreDenied):
        S3Store(stack.buckets.originals, own).get(key, max_bytes=10**8)


@pytest.mark.parametrize(
    ("tier", "relation", "column", "value"),
    [
        ("medium", "connection", "height", TIERS["medium"]["edge"] + 1),
        ("tiny", "stranger", "face_px", TIERS["tiny"]["face_px"] + 1),
        ("tiny", "stranger", "face_px", None),
        ("tiny", "stranger", "no_face_px", TIERS["tiny"]["no_face_px"] + 1),
    ],
)
def test_a_rendition_that_shows_more_than_todays_policy_allows_is_not_shown(
    stack, client, people, tier, relation, column, value
):
    """As if the tier had been made smaller since: the catalogue is told of a larger size, or of more detail."""
    from sqlalchemy import select, update

    from nightlight.catalogue.schema import renditions

    profile_id, image_id = people["age_16_17"]

    def is_withheld():
        (decision,) = client.decide("peer", "profile", [(profile_id, relation)])
        return name not in decision.url

    chosen = (renditions.c.image_id == image_id) & (renditions.c.tier == tier)
    with stack.catalogue.transaction() as tx:
        name, was = tx.connection.execute(select(renditions.c.name, renditions.c[column]).where(chosen)).one()
    eventually(lambda: not is_withheld())
    try:
        with stack.catalogue.transaction() as tx:
            tx.connection.execute(update(renditions).where(chosen).values({column: value}))
        eventually(is_withheld)
    finally:
        with stack.catalogue.transaction() as tx:
            tx.connection.execute(update(renditions).where(chosen).values({column: was}))
