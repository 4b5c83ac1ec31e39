"""Forms of membership programmes: what is written is read again; hostile files are refused, and cost little."""

import json
import os
import resource
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlight.matching import programme_files
from nightlight.matching.programme_files import FORMATS, MD5, PDQ, Entry, merged, read_form, writable, write_form
from nightlight_core.errors import InvalidInput, SettingsRefused

pytest.importorskip("threatexchange")

AT = datetime(2026, 11, 30, tzinfo=UTC)
A, B, C = "ab" * 32, "cd" * 32, "0123456789abcdef" * 4
HEX = "0123456789abcdef"
PRINTABLE = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), max_size=200)


def entry_of(kind, length):
    qualities = st.none() | st.integers(0, 100) if kind == PDQ else st.none()
    return st.builds(Entry, st.just(kind), st.text(HEX, min_size=length, max_size=length), PRINTABLE, qualities)


ENTRIES = st.lists(entry_of(PDQ, 64) | entry_of(MD5, 32), max_size=8, unique_by=lambda entry: entry[:2])


def written(form, entries, folder):
    path = Path(folder) / "list"
    path.write_text("".join(write_form(entries, form, AT)), "utf-8")
    return path


@pytest.mark.parametrize("form", FORMATS)
@given(entries=ENTRIES)
def test_what_is_written_is_read_again(form, entries):
    kept, left_out = writable(entries, form)
    assert len(kept) + left_out == len(entries)
    with tempfile.TemporaryDirectory() as folder:
        read = read_form(written(form, kept, folder), form)
    wanted = kept if form == "csv" else [entry._replace(quality=None) for entry in kept]
    assert read.entries == wanted
    assert not read.withdrawn
    assert not read.withdrawn_references
    assert not +read.left_out


@given(entries=ENTRIES)
def test_from_form_to_form_nothing_is_lost_that_each_has_words_for(entries):
    entries = [entry._replace(quality=None) for entry in entries if entry.kind == PDQ]
    with tempfile.TemporaryDirectory() as folder:
        passed = entries
        for form in (*FORMATS, "csv"):
            passed = read_form(written(form, passed, folder), form).entries
    assert passed == entries


def read(tmp_path, form, content):
    path = tmp_path / "theirs"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_form(path, form)


def update(indicator=A, type_="HASH_PDQ", **more):
    return {
        "id": "7",
        "indicator": indicator,
        "type": type_,
        "last_updated": 1,
        "should_delete": False,
        "descriptors": {"data": []},
        **more,
    }


def record(value=A, signal="ImagePDQ", status="Active", **more):
    return {
        "lastModtimestamp": 1,
        "signalType": signal,
        "hashValue": value,
        "hashStatus": status,
        "caseNumbers": {"case-2": status, "case-1": status},
        **more,
    }


def images(*inner, tag="image"):
    parts = "".join(
        f"<{tag}><member id='{member}'>x</member><id>{number}</id>{rest}</{tag}>" for member, number, rest in inner
    )
    return f"<queryResult xmlns='https://hashsharing.ncmec.org/hashsharing/v2'><images maxTimestamp='2026-11-01T00:00:00Z'>{parts}</images></queryResult>"


def test_threatexchange_keeps_pictures_and_follows_withdrawals(tmp_path):
    video = {"data": [{"tags": ["media_type_video"]}]}
    listed = read(
        tmp_path,
        "threatexchange",
        json.dumps(
            {
                "data": [
                    update(A.upper()),
                    update(B, should_delete=True),
                    update(A[:32], "HASH_MD5", descriptors={"data": [{"description": "case 9", "tags": []}]}),
                    update(B[:32], "HASH_MD5", descriptors=video),
                    update("x", "HASH_TMK"),
                ]
            }
        ),
    )
    assert listed.entries == [Entry(PDQ, A, "7"), Entry(MD5, A[:32], "case 9")]
    assert listed.withdrawn == {(PDQ, B)}
    assert listed.left_out == {"video": 1, "HASH_TMK": 1}


def test_stopncii_keeps_pictures_and_follows_withdrawals(tmp_path):
    records = [
        record(A),
        record(B, status="Withdrawn"),
        record(C, "VideoMD5"),
        record(C, caseNumbers=[], somethingNew=1),
    ]
    listed = read(tmp_path, "stopncii", json.dumps({"count": 4, "hashRecords": records}))
    assert listed.entries == [Entry(PDQ, A, "case-1"), Entry(PDQ, C, "")]
    assert listed.withdrawn == {(PDQ, B)}
    assert listed.left_out == {"VideoMD5": 1}


def test_ncmec_keeps_pictures_and_follows_withdrawals(tmp_path):
    both = f"<fingerprints><md5>{A[:32]}</md5><pdq>{A}</pdq><pdna>x</pdna></fingerprints>"
    listed = read(tmp_path, "ncmec", images((42, "a", both), (42, "b", "<fingerprints><sha1>x</sha1></fingerprints>")))
    assert listed.entries == [Entry(MD5, A[:32], "42/a"), Entry(PDQ, A, "42/a")]
    assert +listed.left_out == {"image without pdq or md5": 1}
    gone = read(tmp_path, "ncmec", images((42, "a", ""), tag="deletedImage"))
    assert gone.withdrawn_references == {"42/a"}
    assert merged([gone], [*listed.entries, Entry(PDQ, B, "43/a")]) == [Entry(PDQ, B, "43/a")]


def test_of_pages_the_later_counts(tmp_path):
    first = read(tmp_path, "stopncii", json.dumps({"hashRecords": [record(A), record(B)]}))
    second = read(tmp_path, "stopncii", json.dumps({"hashRecords": [record(A, status="Deleted"), record(C)]}))
    assert {entry.value for entry in merged([first, second])} == {B, C}
    assert {entry.value for entry in merged([second, first])} == {A, B, C}


HOSTILE = [
    ("threatexchange", "", "this is no threatexchange"),
    ("threatexchange", "[]", "this is no threatexchange"),
    ("threatexchange", '{"data": 5}', "this is no threatexchange"),
    ("threatexchange", '{"data": [5]}', "this is no threatexchange"),
    ("threatexchange", "[" * 100_000, "this is no threatexchange"),
    ("threatexchange", b"\xff\xfe", "this is no threatexchange"),
    ("threatexchange", json.dumps({"data": [update("zz")]}), "a pdq has 64 hexadecimal digits"),
    ("threatexchange", json.dumps({"data": [update("\u0661" * 64)]}), "a pdq has 64 hexadecimal digits"),
    ("threatexchange", json.dumps({"data": [update(id="9" * 9_000)]}), "this is no threatexchange"),
    ("threatexchange", json.dumps({"data": [update(A, descriptors=[1])]}), "this is no threatexchange"),
    ("threatexchange", json.dumps({"data": [update(A, descriptors={"data": 7})]}), "this is no threatexchange"),
    ("threatexchange", '{"data": [' + "{}," * 800_000 + "{}]}", "more than 60,000 records"),
    (
        "stopncii",
        json.dumps({"hashRecords": [record(A, status="Perhaps")]}),
        "a record is none of StopNCII's|this is no stopncii",
    ),
    ("stopncii", json.dumps({"hashRecords": [{"hashValue": A}]}), "a record is none of StopNCII's"),
    ("stopncii", json.dumps({"hashRecords": [record(A, caseNumbers={"x" * 201: "Active"})]}), "a reference is at most"),
    (
        "stopncii",
        json.dumps({"hashRecords": [record(A, caseNumbers={"a\x1b[2J": "Active"})]}),
        "a reference is at most",
    ),
    ("stopncii", json.dumps({"hashRecords": [record(A[:-1])]}), "a pdq has 64 hexadecimal digits"),
    ("stopncii", '{"hashRecords": [' + "1," * 4_100_000 + "1]}", "more than 60,000 records"),
    ("ncmec", "<a>", "this is no ncmec"),
    ("ncmec", "<!DOCTYPE x [<!ENTITY a 'b'>]><queryResult>&a;</queryResult>", "a document type is not read"),
    ("ncmec", '<?xml version="1.0" encoding="UTF-16"?><a/>'.encode("utf-16"), "this is no ncmec"),
    ("ncmec", images(("x", "a", "")), "this is no ncmec"),
    ("ncmec", images((1, "a", "<fingerprints><pdq>zz</pdq></fingerprints>")), "a pdq has 64 hexadecimal digits"),
    ("ncmec", images((1, "a", ""), tag="picture"), "this is no ncmec"),
    ("ncmec", "<a>" * 700_000 + "</a>" * 800_000, "more than 60,000 records"),
    ("csv", "hash,md5\n,zz\n", "an MD5 is 32 hexadecimal digits"),
    ("other", "", "a form is one of"),
]


@pytest.mark.parametrize(("form", "content", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_files_are_refused_in_little_time(tmp_path, form, content, message):
    before = resource.getrusage(resource.RUSAGE_SELF)
    with pytest.raises(InvalidInput, match=message) as refused:
        read(tmp_path, form, content)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime - before.ru_utime < 3
    assert len(str(refused.value)) < 400


def test_deep_xml_and_many_small_things_within_the_bounds_cost_little(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with pytest.raises(InvalidInput):
        read(tmp_path, "ncmec", "<a>" * 700_000 + "</a>" * 700_000)
    assert read(tmp_path, "threatexchange", '{"data": [], "x": [' + "1," * 3_900_000 + "1]}").entries == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 6


def test_a_file_that_is_too_large_or_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(programme_files, "MAX_BYTES", 100)
    with pytest.raises(OSError, match="more than 100 bytes"):
        read(tmp_path, "stopncii", " " * 101)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no ordinary file"):
        read_form(tmp_path / "pipe", "stopncii")


def test_without_the_package_a_form_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(programme_files, "find_spec", lambda _: None)
    with pytest.raises(SettingsRefused, match="nightlight\\[exchange\\]"):
        read(tmp_path, "ncmec", images())
    assert read(tmp_path, "csv", f"{A}\n").entries == [Entry(PDQ, A)]


def test_nothing_heavy_of_the_package_is_loaded():
    """Its index (faiss), its hashes and Pillow are left out of the locks."""
    import subprocess
    import sys

    loaded = (
        "import sys, threatexchange.exchanges.clients.ncmec.hash_api, threatexchange.exchanges.clients.stopncii.api\n"
        "import threatexchange.exchanges.clients.fb_threatexchange.threat_updates\n"
        "sys.exit(bool({'faiss', 'pdqhash', 'PIL', 'weighted_levenshtein'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0
