"""A hold over HTTP, on both deployments: placed, approved by two callers, ended by whoever keeps the vault."""

import base64
import json

import httpx
import pytest

from nightlight.cli import key_commands
from nightlight_core.decisions.placeholder import placeholder_bytes
from tests.support import pictures
from tests.support.command import run_command
from tests.support.services import S3_KEEPER, identity, token
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


def call(stack, method, path, who="officer", scopes=("hold",), **asked):
    bearer = key_commands.token(stack.folder, scopes=list(scopes), subject=who, hours=1)
    return httpx.request(method, f"{stack.url}/v1/holds{path}", headers={"Authorization": f"Bearer {bearer}"}, **asked)


def command(stack, *arguments):
    """The command, with the identity of whoever keeps the vault."""
    more = {}
    if stack.name == "scale":
        key, secret = identity(S3_KEEPER)
        more = {"NIGHTLIGHT_STORE_ACCESS_KEY_ID": key, "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": secret}
        more |= key_commands.seal_environment(stack.folder, "keeper")
    role = "keeper" if arguments[0] == "end" else "operator"
    return run_command(["hold", *arguments], {**stack.as_role(role), **more})


@pytest.fixture
def held(stack, client):
    """A profile of whose picture there is a hold: (profile, image, hold)."""
    who = f"hold-{token()}"
    client.declare(who, band="adult", assurance="verified", region="eu", choice="everyone")
    image = client.wait(client.upload(who, pictures.jpeg(200, 200)).image_id)
    assert image.state == "ready"
    answer = call(stack, "POST", "", json={"profile_id": who, "kind": "safeguarding", "reference": "case 7"})
    assert answer.status_code == 201
    hold = answer.json()
    assert (hold["placed_by"], hold["state"], hold["until"]) == ("officer", "placing", None)
    assert who not in answer.text
    eventually(lambda: call(stack, "GET", f"/{hold['hold_id']}").json()["state"] == "placed")
    return who, image.image_id, hold["hold_id"]


def test_a_held_picture_is_the_placeholder_outlives_its_profile_and_ends_by_two(stack, client, held):
    who, image_id, hold_id = held
    (decision,) = client.decide("peer", "profile", [(who, "stranger")])
    assert httpx.get(decision.url).content == placeholder_bytes()
    client.delete_profile(who)
    eventually(lambda: receipts(stack, image_id))
    ended = command(stack, "end", "--json")
    assert (ended.returncode, json.loads(ended.stdout)) == (0, [])
    for nobody in ("officer", "somebody"):  # the first placed it, the second is no approver
        refused = call(stack, "POST", f"/{hold_id}/approvals", who=nobody)
        assert (refused.status_code, refused.json()["code"]) == (403, "approver_refused")
    first = call(stack, "POST", f"/{hold_id}/approvals", who="judge")
    assert first.json()["approvals"][0]["by"] == "judge"
    # Another token of the same person's.
    assert call(stack, "POST", f"/{hold_id}/approvals", who="judge", scopes=("hold", "report")).status_code == 422
    assert json.loads(command(stack, "end", "--json").stdout) == []
    assert call(stack, "POST", f"/{hold_id}/approvals", who="counsel").status_code == 201
    ended = command(stack, "end", "--json")
    (ended_hold,) = json.loads(ended.stdout)
    assert (ended_hold["hold_id"], ended_hold["state"], bool(ended_hold["ended_at"])) == (hold_id, "ended", True)
    assert call(stack, "GET", f"/{hold_id}").json()["state"] == "ended"
    assert [json.loads(base64.b64decode(receipt["payload"]))["kind"] for receipt in receipts(stack, image_id)] == [
        "erased",
        "hold ended",
    ]
    listed = command(stack, "list", "--ended", "--json")
    assert hold_id in {hold["hold_id"] for hold in json.loads(listed.stdout)}
    assert hold_id not in {hold["hold_id"] for hold in call(stack, "GET", "").json()["holds"]}
    assert hold_id in {hold["hold_id"] for hold in call(stack, "GET", "?ended=true").json()["holds"]}


def receipts(stack, image_id):
    with stack.catalogue.reading() as tx:
        return tx.receipts.of_image(image_id)


def test_the_command_places_a_hold_too(stack, client):
    who = f"hold-{token()}"
    client.declare(who, band="adult", assurance="verified", region="eu", choice="everyone")
    client.wait(client.upload(who, pictures.jpeg(200, 200)).image_id)
    placed = command(stack, "place", "case-9", "--by", "anna", "--profile", who, "--until", "2099-01-01", "--json")
    assert placed.returncode == 0, placed.stderr
    (hold,) = json.loads(placed.stdout)
    assert hold["placed_by"] == "anna"
    eventually(lambda: call(stack, "GET", f"/{hold['hold_id']}").json()["state"] == "placed")
    refused = command(stack, "place", "case-9", "--by", "anna", "--profile", "nobody-at-all")
    assert refused.returncode != 0


@pytest.mark.parametrize(
    "body",
    [
        {}, {"kind": "legal"}, {"profile_id": "x", "kind": "whim", "reference": "r"}, {"profile_id": "x", "kind": "legal", "reference": ""},
        {"profile_id": "x", "kind": "legal", "reference": "r" * 201}, {"profile_id": "x", "image_id": "0" * 32, "kind": "legal", "reference": "r"},
        {"profile_id": "x", "kind": "legal", "reference": "r", "until": "2099-01-01T00:00:00"},
        {"profile_id": "x", "kind": "legal", "reference": "r", "until": "1999-01-01T00:00:00Z"},
        {"image_id": "x", "kind": "legal", "reference": "r"}, {"profile_id": "x", "kind": "legal", "reference": "r", "more": 1},
    ],
)  # fmt: skip
def test_what_is_no_hold_is_refused(stack, body):
    assert call(stack, "POST", "", json=body).status_code == 422


def test_another_scope_may_not_and_nothing_is_found(stack):
    assert call(stack, "POST", "", scopes=["report", "ingest"], json={}).status_code == 403
    assert call(stack, "GET", "", scopes=["report"]).status_code == 403
    for method, path in (("GET", "/" + "0" * 32), ("POST", "/" + "0" * 32 + "/approvals")):
        assert call(stack, method, path).status_code == 404
    assert call(stack, "POST", "", json={"profile_id": "nobody", "kind": "legal", "reference": "r"}).status_code == 404
    assert call(stack, "GET", "/short").status_code == 422
