"""A walk through a bucket tells what it leaves out and what its bucket refuses, wherever it was interrupted."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from nightlight.cli.backfill_progress import StallLimit
from nightlight.flows.imports.backfill import Backfill
from nightlight.flows.imports.import_picture import ImportPicture
from nightlight.flows.imports.left_out_file import LeftOutFile
from nightlight.jobs.runner import JobRunner
from nightlight.store.key_template import KeyTemplate, Unmatched
from nightlight.store.source_buckets import SourceBuckets, SourceKey
from nightlight_core.errors import InvalidInput, SourceDenied, StoreUnavailable
from tests.integration.flows.conftest import services  # noqa: F401 - a fixture
from tests.support import pictures
from tests.support.services import S3_WORKER, identity, token

pytestmark = pytest.mark.integration

TEMPLATE = KeyTemplate("users/{profile}/*.jpg")
# Keys as a bucket may have them, with the reason for which each is left out.
ODD = {
    "users/a/b/c.jpg": "other_form", "users/a/b.png": "other_form", "elsewhere.jpg": "other_form", "users/a/\n.png": "other_form",
    "users//x.jpg": "no_profile_id", "users/../x.jpg": "no_profile_id", "users/\u202ea/x.jpg": "no_profile_id", "users/a\r\nb/x.jpg": "no_profile_id",
    "users/" + "v" * 257 + "/x.jpg": "no_profile_id", "users/\ufffd/x.jpg": "no_profile_id", "users/a/\0.jpg": "no_text",
}  # fmt: skip
GOOD = [
    "users/a@example.com/x.jpg", "users/\u00e9 \U0001f47b/x.jpg", "users/-a/x.jpg", "users/%2e%2e/x.jpg", "users/" + "v" * 256 + "/x.jpg",
]  # fmt: skip


def listing(keys, *, page=3, stop=None):
    """Pages of keys as a bucket lists them; after ``stop`` of them the server does not answer."""

    def pages(cursor):
        after = cursor.get("after", "")
        rest = [key for key in sorted(keys) if key > after]
        for number, first in enumerate(range(0, len(rest), page)):
            if number == stop:
                raise StoreUnavailable("away")
            part = rest[first : first + page]
            yield [SourceKey(key, "e") for key in part], {"after": part[-1]}

    return pages


def flow_of(catalogue):
    return Backfill(catalogue, lambda: datetime.now(UTC))


def source():
    return f"s3://avatars-{token()}/users/"


def lines(path):
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def test_what_is_left_out_is_told_with_its_reason(fresh, tmp_path):
    flow, path = flow_of(fresh), tmp_path / "left.jsonl"
    begun = flow.begin(source(), TEMPLATE, actor="t", unmatched=path)
    heard = list(flow.walk(begun.import_id, "avatars", TEMPLATE, listing([*ODD, *GOOD])))
    assert [sum(counts) for counts in zip(*heard, strict=True)] == [len(GOOD), 0, len(ODD)]
    summary = flow.outcome(begun.import_id).run.left_out
    assert {key: reason for key, reason, _ in summary["first"]} == ODD
    assert summary["reasons"] == {"other_form": 4, "no_profile_id": 6, "no_text": 1}
    assert {line["key"]: line["reason"] for line in lines(path)} == ODD
    assert len(lines(path)) == len(ODD)
    details = {line["key"]: line["detail"] for line in lines(path)}
    assert details["users/\u202ea/x.jpg"] == "{profile} has the character U+202E"
    assert details["users/" + "v" * 257 + "/x.jpg"] == "{profile} has 257 characters"
    assert path.stat().st_mode & 0o77 == 0


def test_the_first_hundred_are_kept_and_the_file_has_all(fresh, tmp_path):
    flow, path = flow_of(fresh), tmp_path / "left.jsonl"
    keys = [f"other-{number:04}" for number in range(250)]
    begun = flow.begin(source(), TEMPLATE, actor="t", unmatched=path)
    list(flow.walk(begun.import_id, "avatars", TEMPLATE, listing(keys, page=70)))
    summary = flow.outcome(begun.import_id).run.left_out
    assert [entry[0] for entry in summary["first"]] == keys[:100]
    assert summary["reasons"] == {"other_form": 250}
    assert [line["key"] for line in lines(path)] == keys


@pytest.mark.parametrize("stop", range(6))
def test_interrupted_anywhere_each_key_is_in_the_file_once(fresh, tmp_path, stop):
    flow, path, name = flow_of(fresh), tmp_path / "left.jsonl", source()
    begun = flow.begin(name, TEMPLATE, actor="t", unmatched=path)
    with pytest.raises(StoreUnavailable):
        list(flow.walk(begun.import_id, "avatars", TEMPLATE, listing([*ODD, *GOOD], stop=stop)))
    summary = flow.outcome(begun.import_id).run.left_out
    assert summary["refused"] == "store_unavailable"
    # It was killed after the next page was written, in part, and before that was counted.
    with path.open("ab") as file:
        file.write(b'{"key": "users/a/b.png", "reason": "other_form", "detail": ""}\n{"key": "us')
    again = flow.begin(name, TEMPLATE, actor="t", unmatched=path if stop % 2 else None)
    assert again.import_id == begun.import_id
    list(flow.walk(begun.import_id, "avatars", TEMPLATE, listing([*ODD, *GOOD])))
    assert sorted(line["key"] for line in lines(path)) == sorted(ODD)
    run = flow.outcome(begun.import_id).run
    assert (run.keys_found, run.queued, run.unmatched) == (len(ODD) + len(GOOD), len(GOOD), len(ODD))
    assert run.left_out["refused"] is None


def test_a_file_that_is_another_or_lost_is_refused_and_nothing_is_cut(fresh, tmp_path):
    flow, path, name = flow_of(fresh), tmp_path / "left.jsonl", source()
    begun = flow.begin(name, TEMPLATE, actor="t", unmatched=path)
    with pytest.raises(StoreUnavailable):
        list(flow.walk(begun.import_id, "avatars", TEMPLATE, listing(ODD, stop=2)))
    other = tmp_path / "other"
    other.write_text("mine")
    with pytest.raises(InvalidInput, match="--again"):
        flow.begin(name, TEMPLATE, actor="t", unmatched=other)
    path.write_text("")
    with pytest.raises(InvalidInput, match="--again"):
        list(flow.walk(begun.import_id, "avatars", TEMPLATE, listing(ODD)))
    assert other.read_text() == "mine"
    anew = flow.begin(name, TEMPLATE, actor="t", again=True, unmatched=path)
    list(flow.walk(anew.import_id, "avatars", TEMPLATE, listing(ODD)))
    assert len(lines(path)) == len(ODD)


def test_a_walk_begun_without_the_file_is_not_written_in_part(fresh, tmp_path):
    flow, name = flow_of(fresh), source()
    begun = flow.begin(name, TEMPLATE, actor="t")
    with pytest.raises(StoreUnavailable):
        list(flow.walk(begun.import_id, "avatars", TEMPLATE, listing(ODD, stop=1)))
    with pytest.raises(InvalidInput, match="left away"):
        flow.begin(name, TEMPLATE, actor="t", unmatched=tmp_path / "left.jsonl")


def test_a_page_whose_transaction_is_tried_again_is_written_once(tmp_path):
    with LeftOutFile(tmp_path / "f", 0) as file:
        file.write([Unmatched("a", "other_form", "")])
        file.write([])
        first = file.bytes
        file.write([Unmatched("b\n", "other_form", "")])
    with LeftOutFile(tmp_path / "f", first) as file:
        file.write([Unmatched("c", "other_form", "")])
    assert [line["key"] for line in lines(tmp_path / "f")] == ["a", "c"]


def test_a_later_walk_waits_for_the_keys_of_the_one_before(fresh):
    """Killed while it waited for the workers, and called again, it is not done before they are."""
    flow, name = flow_of(fresh), source()
    for _ in range(2):
        begun = flow.begin(name, TEMPLATE, actor="t")
        list(flow.walk(begun.import_id, "avatars", TEMPLATE, listing(GOOD)))
        assert flow.waiting(begun.import_id) == len(GOOD)
    elsewhere = flow.begin(source(), TEMPLATE, actor="t")
    assert flow.waiting(elsewhere.import_id) == 0


def test_keys_that_their_bucket_refuses_are_told_of_and_taken_once_it_gives_them(services, avatars, access):  # noqa: F811
    bucket, s3 = avatars
    services.clock.now = datetime.now(UTC)
    s3.put_object(Bucket=bucket, Key=f"users/p-{token()}/a.jpg", Body=pictures.jpeg(120, 120))
    flow = flow_of(services.catalogue)
    begun = flow.begin(f"s3://{bucket}/users/", TEMPLATE, actor="t")
    allowed = SourceBuckets(access)
    list(flow.walk(begun.import_id, bucket, TEMPLATE, lambda cursor: allowed.pages(bucket, "users/", cursor)))
    key, secret = identity(S3_WORKER)
    denied = SourceBuckets(replace(access, access_key_id=key, secret_access_key=secret))
    with pytest.raises(SourceDenied):
        next(denied.pages(bucket, "users/", {}))
    importer = ImportPicture(
        JobRunner(services.catalogue, services.limits, services.clock), denied, services.upload_flow, services.delete, 5_000_000,
        follow_removals=True,
    )  # fmt: skip
    services.relay.run_once()
    ((_, job_id),) = [message for message in services.sent if message[0] == "nightlight.import"]
    services.sent.clear()
    assert importer.run(job_id, redelivered=False) == "later"
    outcome = flow.outcome(begun.import_id)
    assert outcome.held_up == {"source_denied": 1}
    assert [item.state for item in outcome.denied] == ["queued"]
    assert flow.denied(begun.import_id) == (1, 0)
    services.clock.forward(hours=1)
    assert replace(importer, sources=allowed).run(job_id, redelivered=False) == "taken"
    assert (flow.outcome(begun.import_id).held_up, flow.denied(begun.import_id)) == ({}, (0, 1))


class Seconds:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_walk_stops_when_keys_are_refused_and_nothing_else_gets_on():
    clock, counts = Seconds(), [0, 0]
    limit = StallLimit(60, lambda: tuple(counts), clock)

    def over_after(seconds):
        for _ in range(seconds):
            clock.now += 1
            limit.over()
        return limit.over()

    assert not over_after(1000)  # the workers are away, or slow: nobody refuses anything
    counts[:] = [5, 0]
    assert not over_after(50)
    counts[:] = [6, 1]  # another key was taken meanwhile
    assert not over_after(55)
    assert over_after(10)
    counts[:] = [0, 9]
    assert over_after(1)
