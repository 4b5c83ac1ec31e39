"""Idempotency, replacement, deletion, holds, lapses and choices, over HTTP."""

import threading

import httpx
import pytest

from nightlight_client import Problem
from tests.support import pictures
from tests.support.objects import stored_keys
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


def declare(client, profile_id, band="adult", **more):
    client.declare(profile_id, band=band, assurance="verified", region="eu", **more)
    return profile_id


def ready(client, profile_id, data):
    image = client.wait(client.upload(profile_id, data).image_id)
    assert image.state == "ready"
    return image


def seen(client, profile_id, relation="self", viewer="peer"):
    (decision,) = client.decide(viewer, "profile", [(profile_id, relation)])
    answer = client.fetch(decision.url)
    assert answer.status == 200
    return pictures.opened(answer.content)


def renamed(client, profile_id):
    """Wait until what a change revoked has its new names; its owner sees the placeholder until then."""
    nobody = placeholder(client)
    eventually(lambda: named(client.decide("peer", "profile", [(profile_id, "self")])[0]) != nobody)


def named(decision):
    """What is shown, whenever its URL was given out: two of one minute may expire at different times."""
    return decision.url.split("?")[0]


def placeholder(client):
    (decision,) = client.decide("peer", "profile", [("nobody-at-all", "stranger")])
    return named(decision)


def test_the_same_key_and_bytes_give_the_same_image(client):
    profile_id = declare(client, "idem-1")
    data = pictures.jpeg(seed=1)
    first = client.upload(profile_id, data, idempotency_key="k-1")
    again = client.upload(profile_id, data, idempotency_key="k-1")
    assert again.image_id == first.image_id
    other = client.upload(profile_id, data, idempotency_key="k-2")
    assert other.image_id != first.image_id


def test_the_same_key_with_other_bytes_is_refused(client):
    profile_id = declare(client, "idem-2")
    client.upload(profile_id, pictures.jpeg(seed=2), idempotency_key="k")
    with pytest.raises(Problem) as refused:
        client.upload(profile_id, pictures.jpeg(seed=3), idempotency_key="k")
    assert refused.value.code == "idempotency_mismatch"


def test_the_same_key_with_another_crop_is_refused(client):
    profile_id = declare(client, "idem-5")
    data = pictures.jpeg(seed=2)
    client.upload(profile_id, data, idempotency_key="k", crop=(0, 0, 100, 100))
    client.upload(profile_id, data, idempotency_key="k", crop=(0, 0, 100, 100))
    with pytest.raises(Problem) as refused:
        client.upload(profile_id, data, idempotency_key="k", crop=(5, 0, 100, 100))
    assert refused.value.code == "idempotency_mismatch"


def test_the_owners_crop_is_what_is_shown(client):
    profile_id = declare(client, "cropped")
    image = pictures.gradient(400, 300)
    uploaded = client.upload(profile_id, pictures.encoded(image, "PNG"), crop=(200, 100, 120, 120))
    assert client.wait(uploaded.image_id).state == "ready"
    assert pictures.psnr(seen(client, profile_id), image.crop((200, 100, 320, 220))) > 28


@pytest.mark.parametrize(
    "crop", ["", "1,2,3", "a,b,c,d", "0,0,5,5", "-1,0,50,50", "0,0,99999,99999", "0,0,641,20", "0" * 2000]
)
def test_a_crop_that_is_no_crop_is_refused(client, stack, crop):
    profile_id = declare(client, "cropped-badly")
    files = {"file": ("picture", pictures.jpeg(640, 480), "image/jpeg")}
    url = f"{stack.url}/v1/profiles/{profile_id}/image"
    answer = httpx.post(url, files=files, data={"crop": crop}, headers={"Authorization": f"Bearer {client._token()}"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_key_that_is_too_long_is_refused(client):
    profile_id = declare(client, "idem-3")
    with pytest.raises(Problem) as refused:
        client.upload(profile_id, pictures.jpeg(seed=2), idempotency_key="k" * 201)
    assert refused.value.status == 422


def test_ten_at_once_with_one_key_make_one_image(client):
    profile_id = declare(client, "idem-4")
    data = pictures.jpeg(seed=4)
    image_ids = []
    threads = [
        threading.Thread(target=lambda: image_ids.append(client.upload(profile_id, data, idempotency_key="k").image_id))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(image_ids) == 10
    assert len(set(image_ids)) == 1


def test_a_new_picture_replaces_the_old_one_at_once(client):
    profile_id = declare(client, "replace")
    old = ready(client, profile_id, pictures.jpeg(200, 200, seed=6))
    ready(client, profile_id, pictures.jpeg(260, 260, seed=7))
    assert client.image(old.image_id).state == "superseded"
    assert seen(client, profile_id).size == (260, 260)


def test_deleting_an_image_closes_it_for_decisions_at_once_and_erases_its_bytes(client):
    profile_id = declare(client, "delete-1")
    image = ready(client, profile_id, pictures.jpeg(seed=8))
    (decision,) = client.decide("peer", "profile", [(profile_id, "self")])
    assert pictures.opened(client.fetch(decision.url).content).size == (480, 480)
    client.delete_image(image.image_id)
    (after,) = client.decide("peer", "profile", [(profile_id, "self")])
    assert named(after) == placeholder(client)
    assert client.image(image.image_id).state == "deleted"
    # The URL that was issued before is refused, and gives the placeholder once the bytes are gone.
    late = eventually(lambda: (answer := client.fetch(decision.url)).headers["cache-control"] == "no-store" and answer)
    assert late.status == 404 or pictures.opened(late.content).size == (128, 128)


def test_deleting_a_profile_takes_all_its_images_along(stack, client):
    profile_id = declare(client, "delete-3")
    first = ready(client, profile_id, pictures.jpeg(seed=10))
    second = ready(client, profile_id, pictures.jpeg(seed=11))
    client.delete_profile(profile_id)
    (decision,) = client.decide("peer", "profile", [(profile_id, "self")])
    assert named(decision) == placeholder(client)
    for image in (first, second):
        assert client.image(image.image_id).state == "deleted"
        eventually(lambda image=image: stored_keys(stack, image.image_id) == [])
    with pytest.raises(Problem) as refused:
        client.upload(profile_id, pictures.jpeg())
    assert refused.value.code == "profile_not_declared"
    with pytest.raises(Problem) as refused:
        client.delete_profile(profile_id)
    assert refused.value.status == 404


def test_a_report_hides_the_picture_from_all_but_its_owner(client):
    profile_id = declare(client, "reported")
    ready(client, profile_id, pictures.jpeg(seed=12))
    client.set_report_flag(profile_id, "reported")
    (decision,) = client.decide("peer", "profile", [(profile_id, "connection")])
    assert named(decision) == placeholder(client)
    renamed(client, profile_id)
    assert seen(client, profile_id, "self").size == (480, 480)
    declare(client, profile_id)  # asserting the band again does not lift the hold
    (decision,) = client.decide("peer", "profile", [(profile_id, "connection")])
    assert named(decision) == placeholder(client)
    client.set_report_flag(profile_id, "clear")
    assert seen(client, profile_id, "connection").size == (480, 480)


def test_a_band_that_nobody_vouches_for_is_unknown(client):
    client.declare("unvouched", band="adult", assurance="none", region="eu", choice="everyone")
    why = client.explain("adult", "profile", [("unvouched", "stranger")])["items"][0]
    assert (why["inputs"]["subject_age"], why["tier"]) == ("unknown", "tiny")


def test_on_a_birthday_earlier_pictures_keep_their_ceiling_until_the_owner_says_otherwise(client):
    profile_id = declare(client, "birthday", band="age_16_17", choice="everyone")
    ready(client, profile_id, pictures.jpeg(600, 600, seed=13))
    assert seen(client, profile_id, "connection").size == (320, 320)
    declare(client, profile_id, band="adult", choice="everyone")
    renamed(client, profile_id)
    assert seen(client, profile_id, "connection").size == (320, 320)
    assert seen(client, profile_id, "stranger").size == (96, 96)
    declare(client, profile_id, band="adult", choice="everyone", earlier_pictures="follow_band")
    assert seen(client, profile_id, "connection").size == (600, 600)
    assert seen(client, profile_id, "stranger").size == (320, 320)


def test_health_pages_answer_on_service_and_worker(stack, client):
    ports = [stack.environment[f"NIGHTLIGHT_WORKER_{name}HEALTH_PORT"] for name in ("", "SCHEDULE_")]
    for address in (stack.url, *(f"http://127.0.0.1:{port}" for port in ports)):
        assert httpx.get(f"{address}/healthz").json() == {"status": "ok"}
        parts = httpx.get(f"{address}/readyz").json()["parts"]
        assert set(parts.values()) == {"ok"}
        assert "nightlight_" in httpx.get(f"{address}/metrics").text
    assert 'nightlight_renders_total{outcome="ready"}' in httpx.get(f"http://127.0.0.1:{ports[0]}/metrics").text


def test_logs_name_no_profile_and_no_url(stack, client):
    profile_id = declare(client, "unmistakable-person-4711")
    ready(client, profile_id, pictures.jpeg(seed=14))
    seen(client, profile_id)
    for name in ("service", "worker", "schedule"):
        text = stack.logs(name)
        assert "unmistakable-person-4711" not in text
        assert "/a/" not in text
    assert '"image_id"' in stack.logs("worker")


def test_the_openapi_page_needs_nothing_from_elsewhere(stack):
    import re

    page = httpx.get(f"{stack.url}/docs").text
    addresses = re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert addresses
    for address in addresses:
        assert address.startswith("/")
        assert httpx.get(f"{stack.url}{address}").status_code == 200
    paths = httpx.get(f"{stack.url}/openapi.json").json()["paths"]
    assert {"/v1/decisions", "/v1/profiles/{profile_id}/image", "/a/{name}.{extension}"} <= set(paths)
