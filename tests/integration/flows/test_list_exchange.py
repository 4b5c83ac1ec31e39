"""Lists from programmes and for them: off until set, in one step, audited, signed; and MD5s meet uploads."""

import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nightlight.catalogue import images
from nightlight.catalogue.takedown_schema import takedowns as takedowns_table
from nightlight.catalogue.takedowns import IN_FORCE, UNDONE, Takedown
from nightlight.flows.takedowns.list_exchange import RECEIPT_FORMAT, ExchangeLists
from nightlight.matching.programme_files import MD5, PDQ, Entry, read_form
from nightlight.policy.signing import SigningKey
from nightlight.retention.erasure_receipt import open_envelope
from nightlight_core.errors import InvalidInput, NotFound, SettingsRefused
from tests.support import pictures
from tests.support.flow_container import START
from tests.support.lists import LISTED, PLAIN, deliver, events, hex_of, later, upload

pytestmark = pytest.mark.integration
pytest.importorskip("threatexchange")
A, B, C = "ab" * 32, "cd" * 32, "0123456789abcdef" * 4


@pytest.fixture
def key():
    return SigningKey("test", Ed25519PrivateKey.generate())


@pytest.fixture
def exchange(services, folder):
    allowed = frozenset({"members", "notices:intimate_image"})
    return ExchangeLists(services.catalogue, folder.path, frozenset({"stopncii", "csv"}), allowed, services.clock)


def page(tmp_path, name, *records):
    path = tmp_path / name
    wanted = [
        {"lastModtimestamp": 1, "signalType": "ImagePDQ", "hashValue": value, "hashStatus": status, "caseNumbers": {}}
        for value, status in records
    ]
    path.write_text(json.dumps({"hashRecords": wanted}))
    return path


def entries(folder):
    return {entry.value for entry in read_form(folder.path / "members.csv", "csv").entries}


def test_each_direction_is_off_until_it_is_set(services, folder, tmp_path, key):
    off = ExchangeLists(services.catalogue, folder.path, frozenset(), frozenset(), services.clock)
    folder.write("members", [A])
    with pytest.raises(SettingsRefused, match="IMPORT_FORMATS"):
        off.take("members", [page(tmp_path, "1.json", (A, "Active"))], "stopncii", add=False, actor="anna")
    for what in ("members", "notices:intimate_image"):
        with pytest.raises(SettingsRefused, match="EXPORT_LISTS"):
            off.give(what, "csv", tmp_path / "out", key, actor="anna")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_pages_become_a_list_and_later_pages_change_it(exchange, folder, tmp_path, services):
    first = page(tmp_path, "1.json", (A, "Active"), (B, "Active"))
    taken = exchange.take("members", [first], "stopncii", add=False, actor="anna")
    assert (taken.entries, taken.before, taken.waits) == (2, 0, False)
    assert (folder.path / "members.csv").stat().st_mode & 0o777 == 0o600
    taken = exchange.take(
        "members", [page(tmp_path, "2.json", (A, "Withdrawn"), (C, "Active"))], "stopncii", add=True, actor="anna"
    )
    assert entries(folder) == {B, C}
    assert (taken.entries, taken.before, taken.withdrawn, taken.waits) == (2, 2, 1, True)
    last = events(services, "list.imported")[-1]
    assert last["list"] == "members"
    assert last["sha256"] == hashlib.sha256((folder.path / "members.csv").read_bytes()).hexdigest()


def test_a_file_that_cannot_be_read_changes_nothing(exchange, folder, tmp_path, services):
    exchange.take("members", [page(tmp_path, "1.json", (A, "Active"))], "stopncii", add=False, actor="anna")
    audited = len(events(services, "list.imported"))
    for record in ((B[:-1], "Active"), (A, "Withdrawn")):
        with pytest.raises(InvalidInput):
            exchange.take("members", [page(tmp_path, "2.json", record)], "stopncii", add=True, actor="anna")
    for name in ("../members", "-takedowns", "Members", ""):
        with pytest.raises(InvalidInput, match="a list's name"):
            exchange.take(name, [page(tmp_path, "1.json", (A, "Active"))], "stopncii", add=False, actor="anna")
    assert entries(folder) == {A}
    assert len(events(services, "list.imported")) == audited
    assert [path.name for path in folder.path.iterdir()] == ["members.csv"]


def test_a_list_is_given_as_it_was_taken_with_a_receipt_that_verifies(exchange, folder, tmp_path, key, services):
    (folder.path / "members.csv").write_text(f"hash,md5,quality,reference\n{A},,80,r1\n,{B[:32]},,r2\n")
    for form, left_out in (("csv", 0), ("threatexchange", 0), ("ncmec", 0), ("stopncii", 1)):
        out = tmp_path / form
        given = exchange.give("members", form, out, key, actor="anna")
        read = read_form(out, form).entries
        assert [entry._replace(quality=None) for entry in read] == [Entry(PDQ, A, "r1"), Entry(MD5, B[:32], "r2")][
            : 2 - left_out
        ]
        assert (given.entries, given.left_out, out.stat().st_mode & 0o777) == (2 - left_out, left_out, 0o600)
        statement, _ = open_envelope(given.receipt, key.public_keys, RECEIPT_FORMAT, "receipt")
        assert statement["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest() == given.sha256
        assert events(services, "list.exported")[-1]["sha256"] == given.sha256
    (folder.path / "members.csv").unlink()
    with pytest.raises(NotFound):
        exchange.give("members", "csv", tmp_path / "again", key, actor="anna")


def notice(number, *, kind="intimate_image", state=IN_FORCE, aside=(), hashes=A):
    blank = dict.fromkeys(("reason", "image_id", "copy_key", "dark_at", "undone_at", "sealed_key"))
    return Takedown(**blank, takedown_id=f"{number:032x}", state=state, kind=kind, reference="case of somebody", hidden=0,
        aside=list(aside), actor="anna", received_at=START, due_at=START, created_at=START, revision=number,
        hashes=bytes.fromhex(hashes) if hashes else None)  # fmt: skip


def test_of_standing_notices_of_a_kind_one_hash_leaves(exchange, services, tmp_path, key, monkeypatch):
    monkeypatch.setattr("nightlight.flows.takedowns.list_exchange._PAGE", 2)
    with services.catalogue.transaction() as tx:
        tx.connection.execute(takedowns_table.delete())
        for row in (
            notice(1, hashes=A + B), notice(2, kind="other", hashes=B), notice(3, state=UNDONE, hashes=None),
            notice(4, aside=[0], hashes=B), notice(5, aside=[1], hashes=C + B), notice(6, hashes=B),
        ):  # fmt: skip
            tx.takedowns.add(row)
    out = tmp_path / "notices.json"
    exchange.give("notices:intimate_image", "threatexchange", out, key, actor="anna")
    assert [entry.value for entry in read_form(out, "threatexchange").entries] == [A, C, B]
    assert "case of somebody" not in out.read_text()
    with services.catalogue.transaction() as tx:
        tx.connection.execute(takedowns_table.delete())


def test_an_upload_whose_file_is_listed_by_md5_is_quarantined(screened, folder, profile_id):
    md5 = hashlib.md5(pictures.photograph(PLAIN), usedforsecurity=False).hexdigest()
    (folder.path / "members.csv").write_text(f"md5,reference\n{md5},case 5\n{'0' * 32},\n")
    image_id = upload(screened, profile_id, PLAIN)
    assert images.QUARANTINED in deliver(screened)
    with screened.catalogue.reading() as tx:
        assert tx.images.get(image_id).state == images.QUARANTINED
    another = upload(screened, profile_id, LISTED)
    assert images.READY in later(screened)
    with screened.catalogue.reading() as tx:
        assert tx.images.get(another).state == images.READY


def test_md5s_that_are_lost_from_a_list_are_missed_like_hashes(screened, folder):
    path = folder.path / "members.csv"
    path.write_text("hash,md5\n" + "".join(f",{number:032x}\n" for number in range(20)) + f"{hex_of(LISTED)},\n")
    screened.screening.look()
    path.write_text(f"hash\n{hex_of(LISTED)}\n")
    assert [state.waits for state in screened.screening.report()] == ["shrunken"]
