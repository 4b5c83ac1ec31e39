"""A deletion over HTTP ends with a receipt that verifies with nothing but a public key."""

import json

import pytest

from nightlight_client import Problem
from tests.support import pictures
from tests.support.command import run_command
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


@pytest.fixture
def stack(quick_stack):
    return quick_stack


def nightlight(stack, *arguments, code=0):
    done = run_command(["receipt", *arguments], {**stack.as_role("operator"), "COLUMNS": "200"})
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_from_an_upload_to_a_receipt_that_verifies(stack, tmp_path):
    with stack.client() as client:
        client.declare("leaver", band="age_13_15", assurance="verified", region="eu")
        images = [client.upload("leaver", pictures.jpeg(seed=seed)) for seed in (61, 62)]
        assert {client.wait(image.image_id).state for image in images} <= {"ready", "superseded"}
        assert client.receipts(images[0].image_id) == []
        client.delete_profile("leaver")
        envelopes = [eventually(lambda image=image: both_receipts(client, image)) for image in images]
        with pytest.raises(Problem) as nobody:
            client.receipts("0" * 32)
        assert nobody.value.status == 404
    public = stack.folder / "keys/receipts.jwks.json"
    nightlight(stack, "export", "--out", tmp_path / "all.jsonl")
    key, anchors = stack.folder / "keys/receipts.private.jwk.json", tmp_path / "anchors.jsonl"
    nightlight(stack, "anchor", "--key", key, "--out", anchors)
    whole = "verify", tmp_path / "all.jsonl", "--keys", public, "--anchor", anchors
    report = json.loads(nightlight(stack, *whole, "--json"))
    assert (report["verdict"], report["problems"], report["missing"]) == ("whole", [], [])
    assert [receipt["kind"] for receipt in report["receipts"]].count("erased") == 2
    assert [receipt["kind"] for receipt in report["receipts"]].count("proved again") == 2
    assert [receipt["kind"] for receipt in report["receipts"]].count("rows removed") == 1
    assert all(receipt["objects"] >= 5 for receipt in report["receipts"] if receipt["kind"] != "rows removed")
    erased = [receipt for receipt in report["receipts"] if receipt["kind"] == "erased"]
    assert all(receipt["versions"] >= 5 for receipt in erased)
    kept = ["database backups", "access logs", "rows of the catalogue"]
    assert [left["what"] for left in erased[0]["residuals"]] == kept
    (tmp_path / "one.json").write_text(json.dumps(envelopes[0]))
    assert "2 receipts" in nightlight(stack, "verify", tmp_path / "one.json", "--keys", public, "--part")
    text = (tmp_path / "all.jsonl").read_text()
    assert "leaver" not in text
    lines = text.splitlines()
    for kept, code, word in (
        (lines[:1] + lines[2:], 2, "left out"),
        (lines[:-1], 2, "cut off"),
        (lines[1:], 2, "begins in the middle"),
    ):
        (tmp_path / "some.jsonl").write_text("\n".join(kept))
        output = nightlight(stack, "verify", tmp_path / "some.jsonl", "--keys", public, "--anchor", anchors, code=code)
        assert word in output
    assert len(nightlight(stack, "export", "--image", images[0].image_id).splitlines()) == 2


def test_the_command_erases_and_waits_for_the_workers(stack):
    with stack.client() as client:
        client.declare("removed", band="adult", assurance="verified", region="eu")
        image = client.wait(client.upload("removed", pictures.jpeg(seed=63)).image_id)
        asked = run_command(["erase", "removed"], stack.as_role("operator"), given="n\n")
        assert asked.returncode == 1
        assert client.image(image.image_id).state == "ready"
        done = run_command(["erase", "removed", "--yes", "--json"], stack.as_role("operator"))
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert (answer["state"], answer["images"], answer["erased"]) == ("erased", 1, 1)
        assert answer["receipts"] == client.receipts(image.image_id)[:1]
        eventually(lambda: gone(client, image.image_id))
        for what in (["removed"], ["never-there"], ["--image", image.image_id], ["--image", "0" * 32]):
            again = run_command(["erase", *what, "--yes", "--json"], stack.as_role("operator"))
            assert again.returncode == 0, again.stderr
            assert json.loads(again.stdout)["state"] == "absent"


def gone(client, image_id):
    try:
        client.image(image_id)
    except Problem as problem:
        return problem.status == 404
    return False


def both_receipts(client, image):
    receipts = client.receipts(image.image_id)
    return receipts if len(receipts) == 2 else None
