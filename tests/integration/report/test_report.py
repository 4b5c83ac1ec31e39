"""The report of a period: figures from a real catalogue, small counts told to nobody, a page that is whole."""

import csv
import json
import random
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import insert

from nightlight.catalogue.policies import DECIDED
from nightlight.catalogue.schema import audit
from nightlight.catalogue.schema import jobs as table_of_jobs
from nightlight.cli.report_commands import plain, rows
from nightlight.cli.report_page import page, took
from nightlight.flows.report import BucketFindings, DecisionCount, TransparencyReports
from nightlight.jobs import kinds
from nightlight.policy.compile import compile_folder
from nightlight_core.errors import InvalidInput, StoreUnavailable
from nightlight_core.ids import new_job_id
from tests.conftest import ROOT

pytestmark = pytest.mark.integration
SINCE, UNTIL = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def in_use():
    compiled = compile_folder(ROOT / "policies")
    return SimpleNamespace(
        refresh=lambda: SimpleNamespace(table=compiled.table, compiled=compiled, digest=compiled.digest)
    )


def cell(in_use, **words):
    given = {
        "subject_age": "adult",
        "assurance": "verified",
        "relation": "stranger",
        "region": "eu",
        "viewer": "peer",
        "context": "profile",
        "choice": "connections",
        "report_flag": "clear",
        **words,
    }
    return ",".join(given[name] for name in in_use.refresh().table.attributes)


def job(kind, at, seconds, state="done", reason=None):
    ended = at + timedelta(seconds=seconds) if seconds is not None else None
    return {"job_id": new_job_id(), "kind": kind, "state": state, "attempt": 1, "crashes": 0, "planned": [], "next_run_at": at,
            "created_at": at, "finished_at": ended, "reason": reason}  # fmt: skip


@pytest.fixture
def quarter(fresh, in_use):
    """A quarter of a busy platform."""
    chance = random.Random(7)
    with fresh.transaction() as tx:
        for number in range(92):
            day = (SINCE + timedelta(days=number)).date()
            tx.policies.count(day, DECIDED, {
                cell(in_use): 9_000 + chance.randrange(3_000), cell(in_use, relation="connection"): 4_000,
                cell(in_use, choice="everyone"): 2_500, cell(in_use, subject_age="age_13_15"): 3_000 + 20 * number,
                cell(in_use, subject_age="age_16_17", relation="connection"): 2_000, cell(in_use, subject_age="unknown"): 800,
                cell(in_use, subject_age="under_13", relation="guardian"): 300,
                cell(in_use, subject_age="under_13", region="us_ca"): 90, cell(in_use, relation="self"): 700,
            })  # fmt: skip
        tx.policies.count(UNTIL.date(), DECIDED, {cell(in_use): 10**9})  # another quarter's
        tx.policies.count(SINCE.date(), DECIDED, {cell(in_use, subject_age="under_13", relation="connection"): 4})
        rows = [job(kinds.ERASE.name, SINCE + timedelta(hours=n), chance.lognormvariate(0.5, 1)) for n in range(500)]
        rows += [
            job(kinds.ROTATE_NAMES.name, SINCE + timedelta(hours=n), chance.lognormvariate(-1, 0.7)) for n in range(200)
        ]
        rows += [job(kinds.ERASE.name, SINCE, 3 * 86400), job(kinds.ERASE.name, SINCE, None, "queued")]
        rows += [job(kinds.RENDER.name, SINCE, 5, "failed", "decoder_sigkill") for _ in range(12)]
        rows += [job(kinds.RENDER.name, SINCE, 5, "failed", "=cmd|x") for _ in range(11)]
        rows += [job(kinds.ERASE.name, UNTIL, 1)] * 0
        tx.connection.execute(insert(table_of_jobs), rows)
        for version, opens in ((3, 1), (4, 0)):
            detail = {
                "version": version,
                "opens": opens,
                "changes": 17,
                "approved_by": "safety <b>1</b>",
                "digest": "d",
            }
            tx.connection.execute(
                insert(audit).values(at=SINCE, event="policy.activated", actor="p", detail=detail, image_id=None)
            )
        sweep = tx.sweeps.begin(actor="t", now=SINCE)
        tx.sweeps.write(sweep, {"lapsed": 120, "deleted": 3}, 2, finished_at=SINCE)
    return fresh


def reports(catalogue, in_use, threshold=10, **looks):
    return TransparencyReports(catalogue, in_use, threshold, lambda: UNTIL, looks)


@pytest.fixture
def report(quarter, in_use):
    def away():
        raise StoreUnavailable("away")

    looks = {
        "bucket of originals": lambda: BucketFindings(["cors: is 1 rules, should be none"]),
        "bucket of renditions": lambda: BucketFindings([], ["ownership: the server does not know it, should be X"]),
        "bucket of vault": away,
        "lifecycle": lambda: BucketFindings([]),
    }
    return reports(quarter, in_use, **looks).make(SINCE, UNTIL, takedown_hours=48)


def test_decisions_are_told_by_tier_and_band(report):
    cells = {(cell.tier, cell.band): cell.decisions for cell in report.cells}
    assert cells["full", "adult"] == 92 * 4_700
    assert cells["medium", "adult"] == 92 * 2_500
    assert cells["tiny", "unknown"] == 92 * 800
    # Four decisions of a kind would be all that is left out: the rarest kind that may be told is left out with them.
    assert report.withheld == 92 * 90 + 4
    assert sum(cells.values()) + report.withheld == report.decisions
    assert report.unknown_share == pytest.approx(92 * 800 / report.decisions)
    assert len(report.days) == 92
    assert [activation["version"] for activation in report.opens] == [3]


def test_erasures_and_takedowns_are_told_against_their_deadlines(report):
    # One is open and one was late: neither is told.
    assert report.erasures[:3] == (501, None, None)
    assert report.erasures.deadline_s == 86400
    assert 0.5 < report.erasures.p50_s < 5 < report.erasures.p95_s < 60
    assert (report.takedowns.done, report.takedowns.late, report.takedowns.deadline_s) == (200, 0, 172_800)
    assert report.failures == {"render: decoder_sigkill": 12, "render: =cmd|x": 11}
    assert (report.swept["lapsed"], report.swept["deleted"]) == (120, None)
    assert {where: findings.lines() for where, findings in report.drift.items()} == {
        "bucket of originals": ["cors: is 1 rules, should be none"],
        "bucket of renditions": ["unsupported: ownership: the server does not know it, should be X"],
        "bucket of vault": ["could not be looked at: store_unavailable"], "lifecycle": [],
    }  # fmt: skip
    assert [where for where, findings in report.drift.items() if findings.fine] == ["lifecycle"]


def forms(report):
    """What page, JSON and CSV tell, without what they are laid out as."""
    return plain(report), list(rows(report)), page(report)


@pytest.mark.parametrize(
    ("seconds", "open_", "shown"),
    [
        ([1.0] * 9, 0, (None, 0, None)),
        ([1.0] * 20, 3, (20, None, 0)),
        ([1.0] * 20 + [90_000.0] * 2, 0, (22, 0, None)),  # few were late
        ([1.0] * 2 + [90_000.0] * 20, 0, (22, 0, None)),  # few were in time, which late and done would tell
        ([1.0] * 20 + [90_000.0] * 20, 0, (40, 0, 20)),
        ([], 0, (0, 0, 0)),
    ],
)
def test_what_was_late_is_not_told_where_it_is_rare_in_any_form(fresh, in_use, seconds, open_, shown):
    with fresh.transaction() as tx:
        jobs = [job(kinds.ERASE.name, SINCE, took_s) for took_s in seconds]
        jobs += [job(kinds.ERASE.name, SINCE, None, "queued") for _ in range(open_)]
        if jobs:
            tx.connection.execute(insert(table_of_jobs), jobs)
    report = reports(fresh, in_use).make(SINCE, UNTIL, takedown_hours=48)
    assert report.erasures[:3] == shown
    data, table_rows, text = forms(report)
    named = {what: value for section, what, value in table_rows if section == "erasures"}
    assert tuple(data["erasures"][name] for name in ("done", "open", "late")) == shown
    assert tuple(named[name] for name in ("done", "open", "late")) == shown
    row = text[text.index("<tr><td>Erasures</td>") :].split("</tr>")[0]
    assert row.count(">few<") == shown.count(None)


def test_a_day_and_a_share_that_would_tell_what_is_left_out_are_left_out(fresh, in_use):
    first, second, third = (SINCE.date() + timedelta(days=number) for number in range(3))
    with fresh.transaction() as tx:
        tx.policies.count(first, DECIDED, {cell(in_use): 500, cell(in_use, subject_age="unknown"): 300})
        tx.policies.count(second, DECIDED, {cell(in_use): 40, cell(in_use, relation="self"): 8})
        # A rare kind about an unknown age: the share, times the whole, less the cells would tell it.
        tx.policies.count(third, DECIDED, {cell(in_use, subject_age="unknown", relation="self"): 4})
    report = reports(fresh, in_use).make(SINCE, UNTIL, takedown_hours=48)
    assert report.decisions == 852
    assert list(report.days) == [first]  # without the second, 852 less both days would be the third's 4
    # Twelve are left out together, eight adults and four of unknown age. The share would tell the four.
    assert report.withheld == 12
    assert {cell_.band for cell_ in report.cells} == {"adult", "unknown"}
    assert report.unknown_share is None
    data, table_rows, _ = forms(report)
    assert data["unknown_share"] == report.unknown_share
    assert [value for section, _, value in table_rows if section == "decisions by day"] == [800]
    assert second.isoformat() not in json.dumps(data["days"])


def test_what_is_rare_is_not_told_and_cannot_be_worked_out(quarter, in_use):
    """Four decisions of a kind of their own would be what is left of the whole: another kind is left out with them."""
    whole = reports(quarter, in_use).make(SINCE, UNTIL, takedown_hours=1)
    assert whole.withheld == 0 or whole.withheld >= 10
    strict = reports(quarter, in_use, threshold=30_000).make(SINCE, UNTIL, takedown_hours=1)
    assert all(cell.decisions >= 30_000 for cell in strict.cells)
    assert strict.withheld == 0 or strict.withheld >= 30_000
    assert strict.days == {}
    assert strict.erasures.p50_s is None
    flow = reports(quarter, in_use)
    assert flow._cells({("a", "x"): 100, ("b", "x"): 50, ("c", "x"): 4}, 154) == [DecisionCount("a", "x", 100)]
    assert flow._cells({("a", "x"): 100, ("b", "x"): 6, ("c", "x"): 4}, 110) == [DecisionCount("a", "x", 100)]
    assert flow._cells({("a", "x"): 9}, 9) == []


def test_the_page_is_whole_and_needs_nothing_else(report):
    text = page(report)
    assert text == page(report)
    assert "http://" not in text.replace("http://www.w3.org/", "").replace("http://purl.org/", "")
    assert "<script" not in text
    assert "safety &lt;b&gt;1&lt;/b&gt;" in text
    for part in (
        "cors: is 1 rules",
        "render: decoder_sigkill",
        "17",
        "Tiers given, by age band",
        "as it should be",
        "unsupported: ownership",
        "few deleted",
    ):
        assert part in text
    for svg in text.split("<svg")[1:]:
        ET.fromstring("<svg" + svg[: svg.index("</svg>")] + "</svg>")


def test_an_empty_period_is_a_page_too(fresh, in_use):
    report = reports(fresh, in_use).make(SINCE, UNTIL, takedown_hours=48)
    assert (report.decisions, report.cells, report.unknown_share) == (0, [], None)
    assert "Nothing was decided often enough" in page(report)
    with pytest.raises(InvalidInput):
        reports(fresh, in_use).make(UNTIL, SINCE, takedown_hours=48)


def test_data_and_table_say_the_same(report, tmp_path):
    data = json.loads(json.dumps(plain(report)))
    table_rows = {(section, what): value for section, what, value in rows(report)}
    assert table_rows["decisions", "all"] == data["decisions"]
    assert table_rows["erasures", "p95_s"] == data["erasures"]["p95_s"]
    assert table_rows["failures", "render: =cmd|x"] == 11
    path = tmp_path / "r.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows(report))
    with path.open(newline="") as file:
        assert not any(value[:1] in {"=", "@", "+"} for row in csv.reader(file) for value in row)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "too few to say"),
        (0.0123, "12 ms"),
        (1.26, "1.3 s"),
        (300, "5 min"),
        (86_400, "24 h"),
        (172_800, "2 days"),
    ],
)
def test_lengths_of_time_in_words(seconds, words):
    assert took(seconds) == words
