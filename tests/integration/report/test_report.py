"""The report of a period: figures from a real catalogue, small counts told to nobody, a page that is whole."""

import csv
import json
import random
import re
from datetime import UTC, datetime, timedelta
from html import escape
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import insert

from nightlight.catalogue.policies import DECIDED
from nightlight.catalogue.retention_schema import holds
from nightlight.catalogue.schema import audit
from nightlight.catalogue.schema import jobs as table_of_jobs
from nightlight.catalogue.takedown_schema import takedowns
from nightlight.cli.report_commands import plain, rows
from nightlight.cli.report_page import page, took
from nightlight.flows.report import DecisionCount, TransparencyReports
from nightlight.jobs import kinds
from nightlight.policy.compile import compile_folder
from nightlight.retention.posture import Posture, PostureRequirements, PostureState
from nightlight_core.errors import InvalidInput, StoreUnavailable
from nightlight_core.ids import new_job_id
from tests.conftest import ROOT
from tests.support.buckets import bucket_pair

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
        "bucket of originals": lambda: ["cors: is 1 rules, should be none"],
        "bucket of vault": away,
        "lifecycle": list,
    }
    return reports(quarter, in_use, **looks).make(SINCE, UNTIL)


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
    # One is late, and one is not done yet: few.
    assert report.erasures._replace(p50_s=None, p95_s=None) == (501, None, None, None, None, 86400)
    assert 0.5 < report.erasures.p50_s < 5 < report.erasures.p95_s < 60
    assert (report.takedowns.done, report.takedowns.late, report.takedowns.deadline_s) == (200, 0, 172_800)
    assert report.failures == {"render: decoder_sigkill": 12, "render: =cmd|x": 11}
    assert (report.swept["lapsed"], report.swept["deleted"]) == (120, None)
    assert report.drift == {"bucket of originals": ["cors: is 1 rules, should be none"],
                          "bucket of vault": ["could not be looked at: store_unavailable"], "lifecycle": []}  # fmt: skip


def test_what_is_rare_is_not_told_and_cannot_be_worked_out(quarter, in_use):
    """Four decisions of a kind of their own would be what is left of the whole: another kind is left out with them."""
    whole = reports(quarter, in_use).make(SINCE, UNTIL, hours=1)
    assert whole.withheld == 0 or whole.withheld >= 10
    assert sum(whole.days.values()) in {whole.decisions} | set(range(whole.decisions - 9))
    strict = reports(quarter, in_use, threshold=30_000).make(SINCE, UNTIL, hours=1)
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
        "few deleted",
    ):
        assert part in text
    for svg in text.split("<svg")[1:]:
        ET.fromstring("<svg" + svg[: svg.index("</svg>")] + "</svg>")


def notice(number, state, hidden, *, late=False):
    """The row of a notice that was placed in the quarter."""
    due_at = SINCE + timedelta(hours=48)
    dark_at = due_at + timedelta(hours=1 if late else -1) if state in {"in_force", "undone"} else None
    return {
        "takedown_id": f"{number:032x}", "state": state, "kind": "other", "reference": "r", "aside": [], "revision": 0,
        "hidden": hidden, "actor": "a", "received_at": SINCE, "due_at": due_at, "created_at": SINCE, "dark_at": dark_at,
    }  # fmt: skip


def test_takedown_notices_are_counted_and_few_of_them_are_not_told(quarter, in_use):
    rows_ = [notice(number, "in_force", 2, late=number < 12) for number in range(40)]
    rows_ += [notice(number, "rejected", 0) for number in range(40, 43)]
    rows_ += [{**notice(99, "in_force", 70), "created_at": UNTIL}, notice(98, "receiving", 0)]
    with quarter.transaction() as tx:
        tx.connection.execute(insert(takedowns), rows_)
    transparency = reports(quarter, in_use).make(SINCE, UNTIL, hours=48)
    assert transparency.notices == {
        "placed": 43, "pending": 0, "in_force": None, "undoing": 0, "undone": 0, "rejected": None, "failed": 0,
        "late": 12, "images_hidden": 80,
    }  # fmt: skip
    assert "43 placed" in page(transparency)
    assert "few rejected" in page(transparency)
    assert ("notices", "placed", 43) in list(rows(transparency))
    assert plain(transparency)["notices"]["rejected"] is None


def test_no_form_of_the_report_has_a_small_count(quarter, in_use):
    """Neither page, data nor table, nor what is left of a total beside the parts that are told."""
    with quarter.transaction() as tx:
        tx.policies.count((UNTIL - timedelta(days=1)).date(), DECIDED, {})
        rows_ = [job(kinds.ROTATE_NAMES.name, SINCE, 3 * 86400) for _ in range(7)]
        rows_ += [job(kinds.ROTATE_NAMES.name, SINCE, None, "queued") for _ in range(8)]
        tx.connection.execute(insert(table_of_jobs), rows_)
        tx.connection.execute(insert(takedowns), [notice(number, "in_force", 1, late=True) for number in range(4)])
        for number in range(3):
            tx.connection.execute(insert(holds).values(
                hold_id=f"{number:032}", kind="legal", reference="r", state="placed", approvals=[], placed_by="p", created_at=SINCE,
            ))  # fmt: skip
    report = reports(quarter, in_use).make(SINCE, UNTIL)
    assert report.takedowns._replace(p50_s=None, p95_s=None) == (207, None, None, None, None, 172_800)
    assert report.holds == {"placed": None, "ended": 0, "open": None}
    counts = [
        *numbers(plain(report)),
        *numbers([value for section, _, value in rows(report) if section != "opens approved"]),
    ]
    assert [count for count in counts if 0 < count < 10] == []
    cells = re.findall(r'<td class="n[^"]*">([^<]*)</td>', page(report))
    assert "few" in cells
    assert [cell for cell in cells if cell.isdigit() and 0 < int(cell) < 10] == []


def numbers(value):
    """Whole numbers anywhere in plain values, but for those that count no person."""
    if isinstance(value, dict):
        return [
            number for name, inner in value.items() if name not in {"threshold", "opens"} for number in numbers(inner)
        ]
    if isinstance(value, list):
        return [number for inner in value for number in numbers(inner)]
    return [value] if isinstance(value, int) else []


def test_a_day_a_share_and_a_receipt_do_not_tell_what_is_withheld(fresh, in_use):
    with fresh.transaction() as tx:
        for number in range(5):
            tx.policies.count((SINCE + timedelta(days=number)).date(), DECIDED, {cell(in_use): 100 + number})
        tx.policies.count((SINCE + timedelta(days=9)).date(), DECIDED, {cell(in_use, subject_age="under_13"): 4})
        tx.policies.count(SINCE.date(), DECIDED, {cell(in_use, subject_age="unknown", choice="everyone"): 60})
        tx.policies.count(SINCE.date(), DECIDED, {cell(in_use, subject_age="unknown", relation="self"): 3})
    report = reports(fresh, in_use).make(SINCE, UNTIL)
    assert report.decisions - sum(report.days.values()) >= 10
    in_cells = sum(shown.decisions for shown in report.cells)
    assert report.decisions - in_cells == report.withheld >= 10
    unknown = sum(shown.decisions for shown in report.cells if shown.band == "unknown")
    assert report.unknown_share is None or round(report.unknown_share * report.decisions) - unknown not in range(1, 10)
    few = reports(fresh, in_use, threshold=1000).make(SINCE, UNTIL)
    assert (few.decisions, few.withheld, few.days, few.unknown_share) == (None, None, {}, None)
    assert "few decisions are left out" in page(few)


def test_what_a_server_does_not_have_is_not_as_it_should_be(fresh, in_use, pair):
    """The real server has no ownership controls."""
    state = Posture(pair.owner, PostureRequirements({"originals": pair.originals}, {}))
    states = {finding.aspect: finding.state for finding in state.check("originals")}
    unsupported = [aspect for aspect, stands in states.items() if stands is PostureState.UNSUPPORTED]
    assert unsupported
    report = reports(fresh, in_use, **{"bucket of originals": lambda: state.drift("originals")}).make(SINCE, UNTIL)
    for aspect in unsupported:
        (sentence,) = [
            line for line in report.drift["bucket of originals"] if line.startswith(f"{aspect}: unsupported")
        ]
        assert escape(sentence, quote=False) in page(report).replace("&#34;", '"').replace("&#39;", "'")
    assert "as it should be" not in page(report)


@pytest.fixture
def pair():
    with bucket_pair() as opened:
        yield opened


def test_an_empty_period_is_a_page_too(fresh, in_use):
    report = reports(fresh, in_use).make(SINCE, UNTIL)
    assert (report.decisions, report.cells, report.unknown_share) == (0, [], None)
    assert "Nothing was decided often enough" in page(report)
    with pytest.raises(InvalidInput):
        reports(fresh, in_use).make(UNTIL, SINCE)


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
