"""The platform's own tests: they need no Nightlight, and `fake_nightlight` decides as one does."""

import io

import pytest
from app import create_app

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


@pytest.fixture
def web(fake_nightlight):
    client = fake_nightlight.client()
    for profile in ("ada", "ben", "eve"):
        client.declare(profile, band="age_13_15", assurance="verified", region="eu")
    return create_app(lambda: client).test_client()


def tiers(fake_nightlight, web, viewer):
    people = web.get("/people", headers={"X-User": viewer}).json
    return {person["id"]: fake_nightlight.shown(person["picture"]).tier for person in people}


def upload(web, profile, content):
    return web.put("/me/picture", headers={"X-User": profile}, data={"file": (io.BytesIO(content), "picture")})


def test_a_friend_sees_more_than_a_stranger(fake_nightlight, web):
    assert upload(web, "ada", PNG).status_code == 202
    assert tiers(fake_nightlight, web, "ada") == {"ada": "full", "ben": "placeholder", "eve": "placeholder"}
    assert tiers(fake_nightlight, web, "ben")["ada"] == "medium"
    assert tiers(fake_nightlight, web, "eve")["ada"] == "tiny"


def test_a_file_that_is_no_picture_is_refused_in_words(web):
    answer = upload(web, "ada", b"no picture")
    assert (answer.status_code, "not a picture" in answer.json["detail"]) == (415, True)


def test_in_an_outage_the_page_stands_and_uploads_wait(fake_nightlight, web):
    with fake_nightlight.outage():
        assert set(tiers(fake_nightlight, web, "ben").values()) == {"placeholder"}
        answer = upload(web, "ada", PNG)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
