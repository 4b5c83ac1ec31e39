"""The fake that platforms test against: it decides as the service does, and refuses as it does."""

import asyncio
import base64
import io
import json
import re

import pytest

from nightlight.policy.compile import compile_folder
from nightlight_client import NightlightError, Problem, ServiceUnreachable
from nightlight_client.local_client import LocalClient, Terms
from nightlight_client.local_feed import _view
from nightlight_client.testing import FakeNightlight, ShownPicture
from nightlight_core.decisions.placeholder import placeholder_bytes
from nightlight_core.decisions.relation_proofs import issue_proof
from nightlight_core.decisions.url_signing import DelegatedDayKeys
from nightlight_core.policy.bundle import read_unverified
from tests.support import fake_policy, golden, pictures
from tests.unit.client.test_clients import methods

TABLE = json.loads(golden.PATH.read_text("utf-8"))
JPEG = b"\xff\xd8\xff\xe0 a picture"


@pytest.fixture
def client(fake_nightlight):
    """With a teenager, an adult and somebody without a picture."""
    client = fake_nightlight.client(viewer_id="u-7")
    for profile_id, band in (("teen", "age_13_15"), ("grown", "adult"), ("bare", "adult")):
        client.declare(profile_id, band=band, assurance="verified", region="eu", choice="everyone")
    for profile_id in ("teen", "grown"):
        assert client.wait(client.upload(profile_id, JPEG + profile_id.encode()).image_id).state == "ready"
    return client


def shown(fake, client, profile_id, relation="stranger", **how):
    (decision,) = client.decide("peer", "profile", [(profile_id, relation)], **how)
    return fake.shown(decision).tier


def test_its_policies_are_the_default_ones():
    for name, data in fake_policy.contents().items():
        if name.endswith("jwks.json"):
            assert (fake_policy.FOLDER / name).read_bytes() == data
        else:  # compressed bytes differ with the library
            ours, theirs = (read_unverified(each) for each in (data, (fake_policy.FOLDER / name).read_bytes()))
            assert (ours.digest, ours.documents) == (theirs.digest, theirs.documents), "python -m tests.support.golden"
    assert FakeNightlight().bundle.digest == compile_folder(fake_policy.ROOT / "policies").digest


@pytest.fixture
def by_the_table():
    keys = TABLE["keys"]
    days = {int(day): base64.b64decode(key) for day, key in keys["days"].items()}
    fake = FakeNightlight(
        relation_keys=golden.RELATION_KEYS,
        base_url=keys["base_url"],
        clock=lambda: golden.NOW,
        url_keys=DelegatedDayKeys(keys["signing_id"], days),
    )
    fake.builder.rename(base64.b64decode(keys["variant_key"]), keys["placeholder"])
    fake.given = {view["profile_id"]: _view(view) for view in TABLE["profiles"]}
    return fake


def answers(decisions):
    return [[decision.url.removeprefix(golden.ORIGIN), decision.expires_at, decision.capture] for decision in decisions]


@pytest.mark.parametrize("number", range(len(TABLE["cases"])))
def test_it_answers_the_golden_table_url_by_url(by_the_table, number):
    case = TABLE["cases"][number]
    items = [(item["profile_id"], item["relation"], item.get("proof"), item.get("at_most")) for item in case["items"]]
    question, who = (
        (case["viewer"], case["context"], items),
        {name: case.get(name) for name in ("viewer_id", "at_most")},
    )
    client = by_the_table.client(relation_keys={})
    assert answers(client.decide(*question, **who)) == case["answers"]
    terms = Terms(relation_keys=golden.RELATION_KEYS, stale_s=60.0)
    with LocalClient(client, by_the_table.publisher_keys, terms, clock=lambda: golden.NOW) as local:
        assert answers(local.decide(*question, **who)) == case["answers"]
        assert local.problem is None


def test_who_looks_is_shown_what_the_policy_says(fake_nightlight, client):
    assert [shown(fake_nightlight, client, "teen", relation) for relation in ("stranger", "connection", "self")] == [
        "tiny", "medium", "full"
    ]  # fmt: skip
    assert shown(fake_nightlight, client, "grown") != "tiny"
    for nobody in ("bare", "unheard-of"):
        assert shown(fake_nightlight, client, nobody, "connection") == "placeholder"
    bare = fake_nightlight.client(relation_keys={}, viewer_id="u-7")
    assert shown(fake_nightlight, bare, "teen", "connection") == "tiny"  # nobody vouches for it


def test_pictures_are_squares_of_the_tiers_edge(fake_nightlight, client):
    (stranger,) = client.decide("peer", "profile", [("teen", "stranger")])
    answer = client.fetch(stranger.url)
    assert (answer.status, pictures.opened(answer.content).size) == (200, (96, 96))
    assert fake_nightlight.shown(stranger) == ShownPicture("tiny", "teen", 96)
    (nobody,) = client.decide("peer", "profile", [("bare", "stranger")])
    assert client.fetch(nobody.url).content == placeholder_bytes()
    forged = stranger.url[:-2] + ("aa" if stranger.url[-2:] != "aa" else "bb")
    assert client.fetch(forged).status == 404


@pytest.mark.parametrize(
    "change",
    [
        lambda client: client.block("teen", "u-7"), lambda client: client.delete_profile("teen"),
        lambda client: client.deactivate("teen"), lambda client: client.set_report_flag("teen", "reported"),
    ],
)  # fmt: skip
def test_what_hides_a_picture_hides_it_at_once_and_its_urls(fake_nightlight, client, change):
    (before,) = client.decide("peer", "profile", [("teen", "connection")])
    change(client)
    assert shown(fake_nightlight, client, "teen", "connection") == "placeholder"
    assert client.fetch(before.url).status == 404


def test_taking_it_back_shows_it_again_to_whoever_has_a_new_proof():
    now = [1_800_000_000.0]
    fake = FakeNightlight(clock=lambda: now[0])
    client = fake.client(viewer_id="u-7")

    def looks(proved_at):
        proof = issue_proof(fake.relation_keys, "u-7", "teen", "connection", now=proved_at, life_s=600)
        (decision,) = client.decide("peer", "profile", [("teen", "connection", proof)])
        return fake.shown(decision).tier

    client.declare("teen", band="age_13_15", assurance="verified", region="eu", choice="everyone")
    client.upload("teen", JPEG)
    before = int(now[0])
    assert looks(before) == "medium"
    for change in (client.block, client.unblock):
        assert change("teen", "u-7").isdigit()
    assert looks(before) == "tiny"  # proved before the block
    now[0] += 10
    assert looks(int(now[0])) == "medium"
    for change in (client.deactivate, client.reactivate):
        change("teen")
    for word in ("reported", "clear"):
        client.set_report_flag("teen", word)
    assert looks(int(now[0])) == "medium"
    client.revoke("teen")
    assert looks(int(now[0])) == "tiny"
    with pytest.raises(Problem):
        client.block("teen", "teen")


def test_a_picture_keeps_its_ceiling_until_its_owner_says_otherwise(fake_nightlight, client):
    before = shown(fake_nightlight, client, "grown")
    client.declare("teen", band="adult", assurance="verified", region="eu", choice="everyone")
    assert shown(fake_nightlight, client, "teen") == "tiny"
    client.declare(
        "teen", band="adult", assurance="verified", region="eu", choice="everyone", earlier_pictures="follow_band"
    )
    assert shown(fake_nightlight, client, "teen") == before
    client.declare("teen", band="under_13", assurance="verified", region="eu", choice="everyone")
    client.declare("teen", band="adult", assurance="verified", region="eu", choice="everyone")
    assert shown(fake_nightlight, client, "teen") != before


def test_an_age_that_nobody_repeats_lapses():
    now = [1_800_000_000.0]
    fake = FakeNightlight(clock=lambda: now[0])
    client = fake.client(viewer_id="u-7", relation_keys={})
    client.declare("grown", band="adult", assurance="verified", region="eu", choice="everyone")
    client.upload("grown", JPEG)
    before = shown(fake, client, "grown")
    now[0] += 31 * 86_400
    assert shown(fake, client, "grown") != before


def test_an_upload_may_be_pending_and_end_as_a_test_says():
    fake = FakeNightlight(settle=False)
    client = fake.client()
    client.declare("p", band="adult", assurance="verified")
    image = client.upload("p", io.BytesIO(JPEG), idempotency_key="k")
    assert client.upload("p", JPEG, idempotency_key="k").image_id == image.image_id
    with pytest.raises(TimeoutError):
        client.wait(image.image_id, timeout_s=0.0)
    fake.finish(image.image_id, state="rejected", reason="corrupt_image")
    assert (client.wait(image.image_id).state, client.image(image.image_id).reason) == ("rejected", "corrupt_image")
    fake.finish(client.upload("p", JPEG).image_id)
    assert shown(fake, client, "p", "self", viewer_id="p") == "full"


def test_an_outage_gives_placeholders_and_errors_as_a_real_one(fake_nightlight, client):
    with fake_nightlight.outage("timeout"):
        (decision,) = client.decide("peer", "profile", [("teen", "self")], budget_s=0.01)
        assert (decision.fallback, fake_nightlight.shown(decision).tier) == (True, "placeholder")
        with pytest.raises(ServiceUnreachable) as late:
            client.image("0" * 32)
        assert late.value.kind == "timeout"
    assert not client.decide("peer", "profile", [("teen", "self")])[0].fallback


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda client: client.upload("unheard-of", JPEG), 404), (lambda client: client.upload("teen", b"no picture"), 415),
        (lambda client: client.upload("teen", b""), 422), (lambda client: client.image("0" * 32), 404),
        (lambda client: client.declare("x", band="13_15", assurance="verified"), 422),
        (lambda client: client.declare("..", band="adult", assurance="verified"), 422),
        (lambda client: client.decide("nobody", "profile", [("teen", "stranger")]), 422),
        (lambda client: client.decide("peer", "profile", [("teen", "stranger")] * 501), 422),
        (lambda client: client.trace(b"copy"), 501), (lambda client: client.revoke("unheard-of"), 404),
    ],
)  # fmt: skip
def test_what_the_service_refuses_it_refuses(client, call, status):
    with pytest.raises(NightlightError) as refused:
        call(client)
    assert refused.value.status == status


def test_the_client_for_an_event_loop_is_answered_alike(fake_nightlight, client, socket_enabled):
    async def go():
        async with fake_nightlight.async_client(viewer_id="u-7") as later:
            await later.check("decide")
            return await later.decide("peer", "profile", [("teen", "connection")]), await later.explain(
                "peer", "profile", [("teen", "connection")]
            )

    decisions, explained = asyncio.run(go())
    assert decisions == client.decide("peer", "profile", [("teen", "connection")])
    assert explained["items"][0]["tier"] == "medium"


def test_it_says_what_was_sent_and_has_no_route_by_chance(fake_nightlight, client):
    assert ("PUT", "/v1/profiles/teen") in fake_nightlight.calls
    fake_nightlight.calls.clear()
    assert client.check("ingest").subject == "fake"
    assert list(fake_nightlight.calls) == [("GET", "/v1/caller")]
    assert "upload" in methods(type(client))
    with pytest.raises(Problem, match="not_in_the_fake"):
        client.policy_status()


def test_the_readmes_test_passes_as_it_stands(tmp_path, monkeypatch):
    (tmp_path / "picture.jpg").write_bytes(pictures.jpeg(300, 300))
    monkeypatch.chdir(tmp_path)
    page = (fake_policy.ROOT / "clients/python/README.md").read_text("utf-8")
    (program,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "fake_nightlight" in block]
    names = {}
    exec(program, names)
    names["test_a_stranger_sees_next_to_nothing"](FakeNightlight())


def test_a_local_client_looks_as_its_client_does(fake_nightlight):
    client = fake_nightlight.client(viewer_id="u-7")
    client.declare("teen", band="age_13_15", assurance="verified", region="eu", choice="everyone")
    client.upload("teen", JPEG)
    client.block("teen", "u-7")
    with LocalClient(client, fake_nightlight.publisher_keys, Terms(vouches=True, stale_s=60.0)) as local:
        for decides in (client, local):
            (decision,) = decides.decide("peer", "profile", [("teen", "connection")])
            assert fake_nightlight.shown(decision).tier == "placeholder"
            with pytest.raises(Problem):
                decides.decide("peer", "profile", [("teen", "connection", None, "")])


def test_a_url_shows_nothing_once_it_is_expired_or_without_its_signature():
    now = [1_800_000_000.0]
    fake = FakeNightlight(clock=lambda: now[0])
    client = fake.client(viewer_id="u-7")
    client.declare("teen", band="age_13_15", assurance="verified", region="eu")
    client.upload("teen", JPEG)
    (decision,) = client.decide("peer", "profile", [("teen", "stranger")])
    with pytest.raises(LookupError):
        fake.shown(decision.url.partition("?")[0])
    now[0] = decision.expires_at + 1
    with pytest.raises(LookupError):
        fake.shown(decision)
    assert client.fetch(decision.url).status == 404


@pytest.mark.parametrize("token", ["banana", "-5", "0", "1.5", ""])
def test_a_consistency_token_is_one_that_a_change_returned(client, token):
    with pytest.raises(Problem) as refused:
        client.decide("peer", "profile", [("teen", "stranger")], consistency=token)
    assert refused.value.status == 422


def test_a_change_that_is_not_there_yet_gives_placeholders(fake_nightlight, client):
    (decision,) = client.decide("peer", "profile", [("teen", "self")], consistency="999999")
    assert fake_nightlight.shown(decision).tier == "placeholder"


def test_what_is_not_there_cannot_be_deleted(client):
    image = client.upload("teen", JPEG)
    client.delete_image(image.image_id)
    client.delete_profile("grown")
    for again in (lambda: client.delete_image(image.image_id), lambda: client.delete_profile("grown")):
        with pytest.raises(Problem) as refused:
            again()
        assert refused.value.status == 404


@pytest.mark.parametrize(
    ("picture", "crop", "status"),
    [(JPEG.ljust(64_000_001), None, 413), (JPEG, (-5, 0, 0, 9), 422), (b"RIFF....WAVE", None, 415), (b"", None, 422)],
)
def test_uploads_are_refused_as_the_service_refuses_them(client, picture, crop, status):
    with pytest.raises(Problem) as refused:
        client.upload("teen", picture, crop=crop)
    assert refused.value.status == status


def test_a_key_goes_with_its_picture_and_its_crop(client):
    first = client.upload("teen", JPEG, idempotency_key="k", crop=(0, 0, 9, 9))
    assert client.upload("teen", JPEG, idempotency_key="k", crop=(0, 0, 9, 9)).image_id == first.image_id
    with pytest.raises(Problem):
        client.upload("teen", JPEG, idempotency_key="k")
    client.delete_image(first.image_id)
    assert client.upload("teen", JPEG, idempotency_key="k").image_id != first.image_id


def test_a_token_opens_what_its_scopes_say(fake_nightlight, client):
    few = fake_nightlight.client(scopes=["decide"], viewer_id="u-7")
    assert few.check("decide").scopes == ["decide"]
    assert few.decide("peer", "profile", [("teen", "stranger")])
    for call in (lambda: few.block("teen", "v"), lambda: few.check("relate"), lambda: few.explain("peer", "list", [])):
        with pytest.raises(Problem) as refused:
            call()
        assert refused.value.status == 403
