"""Receipts are verified with nothing but the keys, and tell when one was changed or left out."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from nightlight.cli.main import app
from nightlight.delivery.access_tokens import generate_key
from nightlight.policy.signing import SigningKey
from nightlight.retention.erasure_receipt import (
    ERASED,
    FORMAT,
    DeletedObject,
    chain_faults,
    issue_receipt,
    open_receipt,
    sign_payload,
    subject_digest,
)
from nightlight.retention.receipt_chain import issue_anchor
from nightlight_core.errors import NightlightError
from nightlight_core.policy.public_keys import PublicKeys


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    private, public = generate_key()
    (folder / "key.json").write_text(json.dumps(private))
    (folder / "keys.json").write_text(json.dumps(public))
    signing_key = SigningKey.read(folder / "key.json")
    return signing_key, PublicKeys.read(folder / "keys.json"), folder / "keys.json"


def receipt(number):
    return {
        "receipt_id": f"{number:032x}", "kind": ERASED, "subject_sha256": subject_digest("image"), "asked_at": "2026-11-23T01:00:00",
        "erased_at": "2026-11-23T01:00:01", "residuals": [{"what": "database backups", "until": "2026-12-28"}],
    }  # fmt: skip


NOW = datetime(2026, 11, 30, tzinfo=UTC)
GONE = [
    DeletedObject("originals", "o/secret", [("v1", False, "r1"), ("v2", True, "r2")], 0),
    DeletedObject("renditions", "a/x", [], 0),
]


def chain(key, count=3):
    previous, envelopes = "", []
    for number in range(count):
        previous, envelope = issue_receipt(key, receipt(number), GONE, previous)
        envelopes.append(envelope)
    return envelopes


def test_a_receipt_tells_what_is_gone_and_names_nothing(key):
    private, public, _ = key
    (envelope,) = chain(private, 1)
    opened = open_receipt(envelope, public)
    assert (opened.objects, opened.versions, opened.previous) == (2, 2, "")
    assert opened.payload["objects"][0]["key_sha256"] == subject_digest("o/secret")
    assert opened.payload["objects"][0]["versions"][1] == {"version_id": "v2", "marker": True, "request_id": "r2"}
    assert "secret" not in base64.b64decode(envelope["payload"]).decode()


def test_a_whole_chain_is_whole_and_one_with_a_gap_is_not(key):
    private, public, _ = key
    opened = [open_receipt(envelope, public) for envelope in chain(private, 5)]
    assert chain_faults(opened) == []
    assert chain_faults(opened[2:]) == []
    (gap,) = chain_faults([*opened[:2], *opened[3:]])
    assert "left out" in gap
    assert len(chain_faults([opened[1], opened[0], opened[2]])) == 2
    _, left = issue_receipt(private, receipt(9), [DeletedObject("originals", "o/x", [], 1)], "")
    assert "something is left" in chain_faults([open_receipt(left, public)])[0]


def test_what_an_object_lock_keeps_is_no_fault_and_unknown_members_are_none(key):
    private, public, _ = key
    statement = {**receipt(9), "profile": {"key_id": "e1"}, "rows_removed": True}
    _, envelope = issue_receipt(private, statement, GONE, "")
    opened = open_receipt(envelope, public)
    assert chain_faults([opened]) == []
    locked = {"objects": [{"left": 1, "locked_until": "2027-01-01"}]}
    assert chain_faults([replace(opened, payload=locked)]) == []
    assert chain_faults([replace(opened, payload={"objects": [{"left": 1}]})]) != []


def test_a_receipt_of_few_members_is_opened(key):
    private, public, _ = key
    statement = {"format": FORMAT, "receipt_id": "r", "previous": ""}
    envelope = sign_payload(private, json.dumps(statement).encode(), FORMAT)
    assert (open_receipt(envelope, public).objects, open_receipt(envelope, public).kind) == (0, "")


def changed(envelope, **change):
    payload = json.loads(base64.b64decode(envelope["payload"]))
    return {**envelope, "payload": base64.b64encode(json.dumps({**payload, **change}).encode()).decode()}


BAD = [
    lambda envelope: changed(envelope, erased_at="2026-01-01T00:00:00"),
    lambda envelope: changed(envelope, objects=[]),
    lambda envelope: {**envelope, "signature": base64.b64encode(bytes(64)).decode()},
    lambda envelope: {**envelope, "key_id": "another"},
    lambda envelope: {**envelope, "payload": "!"},
    lambda envelope: {**envelope, "payload": "A" * 2_000_000},
    lambda envelope: {name: value for name, value in envelope.items() if name != "signature"},
    lambda _: {}, lambda _: [], lambda _: None, lambda _: "receipt", lambda _: 7,
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_what_was_changed_or_is_none_is_refused(key, bad):
    private, public, _ = key
    (envelope,) = chain(private, 1)
    with pytest.raises(NightlightError):
        open_receipt(bad(envelope), public)


def test_the_signature_of_something_else_is_none_of_a_receipt(key):
    private, public, _ = key
    payload = base64.b64decode(chain(private, 1)[0]["payload"])
    signature = base64.b64encode(private.sign(payload)).decode()
    with pytest.raises(NightlightError):
        open_receipt(
            {"payload": base64.b64encode(payload).decode(), "key_id": private.key_id, "signature": signature}, public
        )


def verify(*arguments, code):
    result = CliRunner().invoke(app, ["receipt", "verify", *map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def test_the_command_verifies_files_by_themselves(key, tmp_path):
    private, _, keys = key
    envelopes = chain(private, 4)
    head = open_receipt(envelopes[1], private.public_keys).hash
    (tmp_path / "anchors.jsonl").write_text(json.dumps(issue_anchor(private, 2, head, NOW)))
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, envelopes)))
    (tmp_path / "list.json").write_text(json.dumps(envelopes[:2]))
    both = tmp_path / "lines.jsonl", tmp_path / "list.json", "--keys", keys
    output = verify(*both, "--anchor", tmp_path / "anchors.jsonl", code=0)
    assert "6 receipts, 0 problems: whole" in output
    assert "database backups until 2026-12-28" in output
    assert output.count("MISSING") == 0
    assert verify(*both, code=2).count("no anchor shows where the chain ends") == 2
    (tmp_path / "gap.jsonl").write_text(
        "\n".join(map(json.dumps, [envelopes[0], envelopes[2], changed(envelopes[3], objects=[])]))
    )
    output = json.loads(verify(tmp_path / "gap.jsonl", "--keys", keys, "--json", code=1))
    assert len(output["receipts"]) == 2
    assert len(output["problems"]) == 2
    (tmp_path / "bad.json").write_text("{")
    result = CliRunner().invoke(app, ["receipt", "verify", str(tmp_path / "bad.json"), "--keys", str(keys)])
    assert isinstance(result.exception, NightlightError)


def test_some_receipts_of_a_chain_are_checked_one_by_one(key, tmp_path):
    private, _, keys = key
    envelopes = chain(private, 4)
    (tmp_path / "some.jsonl").write_text("\n".join(map(json.dumps, [envelopes[1], envelopes[3]])))
    verify(tmp_path / "some.jsonl", "--keys", keys, code=1)
    assert "2 receipts, 0 problems: part" in verify(tmp_path / "some.jsonl", "--keys", keys, "--part", code=0)
    (tmp_path / "some.jsonl").write_text(json.dumps(changed(envelopes[1], objects=[])))
    verify(tmp_path / "some.jsonl", "--keys", keys, "--part", code=1)


@pytest.mark.parametrize("content", ["", "\n\n", "[]"])
@pytest.mark.parametrize("more", [(), ("--part",)])
def test_a_file_without_receipts_fails(key, tmp_path, content, more):
    (tmp_path / "empty").write_text(content)
    assert "there are no receipts" in verify(tmp_path / "empty", "--keys", key[2], *more, code=1)
