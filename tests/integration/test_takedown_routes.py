"""Takedown notices over HTTP: what is taken, what is refused, and what is told."""

import json

import pytest

from nightlight_client import Problem
from nightlight_client.requests import Form, Request
from nightlight_client.responses import read_json
from tests.support import golden, pictures

pytestmark = pytest.mark.integration

PATH = "/v1/takedowns"
NOTICE = {"kind": "intimate_image", "reference": "case-81"}
IMAGE = f"{1:032x}"


@pytest.fixture(scope="module")
def client():
    with pytest.MonkeyPatch.context() as monkeypatch, golden.served(monkeypatch, "takedown") as (client, _, _):
        yield client


def call(client, method, path, **body):
    return client.send(Request(method=method, path=path, read=read_json, **body))


def refused(client, method, path, **body):
    with pytest.raises(Problem) as problem:
        call(client, method, path, **body)
    return problem.value.status, problem.value.code


def test_a_notice_on_an_image_is_taken_listed_and_undone(client):
    placed = call(client, "POST", PATH, json={"image_id": IMAGE, **NOTICE})
    assert (placed["state"], placed["hidden"], placed["image_id"]) == ("pending", 0, IMAGE)
    assert placed["due_at"] > placed["received_at"]
    shown = call(client, "GET", f"{PATH}/{placed['takedown_id']}")
    assert shown == {**placed, "matches": []}
    assert placed["takedown_id"] in [notice["takedown_id"] for notice in call(client, "GET", PATH)["takedowns"]]
    assert call(client, "GET", f"{PATH}/{placed['takedown_id']}/receipts") == []
    undone = call(client, "POST", f"{PATH}/{placed['takedown_id']}/undo", json={"why": "another picture"})
    assert (undone["state"], undone["reason"]) == ("undoing", "another picture")
    again = f"{PATH}/{placed['takedown_id']}/undo"
    assert refused(client, "POST", again, json={"why": "twice"}) == (409, "conflict")


def test_a_notice_with_a_picture_is_taken(client):
    form = Form("found.jpg", pictures.jpeg(), {"notice": json.dumps(NOTICE)})
    placed = call(client, "POST", PATH, form=form)
    assert (placed["state"], placed["image_id"]) == ("pending", None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"image_id": "f" * 32, **NOTICE}, 404),
        ({"image_id": "nothing", **NOTICE}, 422),
        ({"image_id": IMAGE, "kind": "else", "reference": "a"}, 422),
        ({"image_id": IMAGE, "kind": "other", "reference": ""}, 422),
        ({"image_id": IMAGE, **NOTICE, "name": "somebody"}, 422),
        ({"image_id": IMAGE, **NOTICE, "received_at": "2090-01-01T00:00:00Z"}, 422),
        ({"image_id": IMAGE, **NOTICE, "received_at": "0001-01-01T00:00:00+23:00"}, 422),
        ({"image_id": IMAGE, **NOTICE, "received_at": "9999-12-31T23:59:59-23:00"}, 422),
        (NOTICE, 422),
    ],
    ids=[
        "unknown image",
        "no id",
        "kind",
        "no reference",
        "another member",
        "received later",
        "before the calendar",
        "after the calendar",
        "no image",
    ],
)
def test_a_notice_that_cannot_be_carried_out_is_refused(client, body, status):
    assert refused(client, "POST", PATH, json=body)[0] == status


def test_a_form_without_a_notice_and_a_verdict_on_nothing_are_refused(client):
    assert refused(client, "POST", PATH, form=Form("found.jpg", pictures.jpeg()))[0] == 422
    bad = Form("found.jpg", pictures.jpeg(), {"notice": "{"})
    assert refused(client, "POST", PATH, form=bad)[0] == 422
    placed = call(client, "POST", PATH, json={"image_id": IMAGE, **NOTICE})
    verdict = f"{PATH}/{placed['takedown_id']}/matches/{IMAGE}"
    assert refused(client, "POST", verdict, json={"verdict": "confirmed"}) == (409, "conflict")
    assert refused(client, "GET", f"{PATH}/{'f' * 32}")[0] == 404


def test_another_scope_opens_nothing_of_it(monkeypatch):
    with golden.served(monkeypatch, "ingest", "trace", "report", "hold") as (client, _, _):
        assert refused(client, "GET", PATH)[0] == 403
        assert refused(client, "POST", PATH, json={"image_id": IMAGE, **NOTICE})[0] == 403
