"""The platform's own tests: they need no Nightlight, and `fake_nightlight` decides as one does."""

import pytest
from app import create_app
from fastapi.testclient import TestClient

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


@pytest.fixture
def web(fake_nightlight):
    with fake_nightlight.client() as backend:
        for profile in ("ada", "ben", "eve"):
            backend.declare(profile, band="age_13_15", assurance="verified", region="eu")
    with TestClient(create_app(fake_nightlight.async_client())) as web:
        yield web


def tiers(fake_nightlight, web, viewer):
    people = web.get("/people", headers={"X-User": viewer}).raise_for_status().json()
    return {person["id"]: fake_nightlight.shown(person["picture"]).tier for person in people}


def test_a_friend_sees_more_than_a_stranger(fake_nightlight, web):
    web.put("/me/picture", headers={"X-User": "ada"}, files={"file": PNG}).raise_for_status()
    assert tiers(fake_nightlight, web, "ada") == {"ada": "full", "ben": "placeholder", "eve": "placeholder"}
    assert tiers(fake_nightlight, web, "ben")["ada"] == "medium"
    assert tiers(fake_nightlight, web, "eve")["ada"] == "tiny"


def test_a_file_that_is_no_picture_is_refused_in_words(web):
    answer = web.put("/me/picture", headers={"X-User": "ada"}, files={"file": b"no picture"})
    assert (answer.status_code, "not a picture" in answer.json()["detail"]) == (415, True)


def test_in_an_outage_the_page_stands_and_uploads_wait(fake_nightlight, web):
    with fake_nightlight.outage():
        assert set(tiers(fake_nightlight, web, "ben").values()) == {"placeholder"}
        answer = web.put("/me/picture", headers={"X-User": "ada"}, files={"file": PNG})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
