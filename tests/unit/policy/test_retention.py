"""How long things are kept, by state, band and region; and how many objects a change of it touches."""

import json
import shutil

import pytest

from nightlight.policy.compile import compile_folder
from nightlight.policy.diff import diff
from nightlight.policy.retention import RetentionTerm
from nightlight.policy.traffic import Traffic, read_traffic
from nightlight_core.errors import PolicyRefused
from tests.conftest import ROOT

US = {"us", "us_ca", "us_vt", "us_ne"}


@pytest.fixture
def with_retention(tmp_path):
    """Compile the default pack with retention rules of one's own."""

    def written(*rules):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(ROOT / "policies", folder)
        listed = "\n".join(f"  - {rule}" for rule in rules)
        (folder / "retention.yaml").write_text(f"format: policy/1\nretention:\n{listed}\n")
        return compile_folder(folder)

    return written


def test_quarantine_lasts_a_year_where_the_us_asks_for_it_and_where_the_region_is_unknown(compiled):
    table = compiled.retention
    (regime,) = [regime for _, regime in compiled.pack.regimes if regime.regime == "us-report-act"]
    assert set(regime.where["region"]) == US
    for region in compiled.space.attributes["region"]:
        days = table.keep_days({"state": "quarantined", "subject_age": "under_13", "region": region})
        assert days == (365 if region in US | {"unknown"} else 90), region


def test_what_outsiders_can_see_end_ends_on_the_same_day_for_every_age(compiled):
    """Who came back without a picture that an adult would still have would be known as a minor."""
    for state in ("live", "deactivated"):
        assert len({term.days for term in compiled.retention.terms(state)}) == 1


def test_every_band_has_its_term_and_regions_with_the_same_days_come_together(compiled):
    terms = list(compiled.retention.terms("quarantined"))
    bands = compiled.space.attributes["subject_age"]
    assert [term.band for term in terms] == [band for band in bands for _ in range(2)]
    elsewhere, year = terms[:2]
    assert (elsewhere.days, elsewhere.all_but, year.days, year.all_but) == (90, False, 365, True)
    assert elsewhere.regions == year.regions  # in these, and in all but these
    assert US.isdisjoint(elsewhere.regions)


def test_where_no_rule_names_a_region_a_term_is_about_all_of_them(with_retention):
    compiled = with_retention(
        "{id: all, why: a test, keep_days: 9}",
        "{id: minors, why: a test, when: {subject_age: protected}, keep_days: 3}",
    )
    assert set(compiled.retention.terms("live")) == {
        RetentionTerm(9 if band == "adult" else 3, band, (), all_but=True)
        for band in compiled.space.attributes["subject_age"]
    }
    assert list(compiled.retention.terms("no-such-state")) == []


def test_where_no_rule_names_an_age_a_term_is_about_all_of_them(with_retention):
    compiled = with_retention(
        "{id: all, why: a test, keep_days: 9}", "{id: uk, why: a, when: {region: uk}, keep_days: 3}"
    )
    assert list(compiled.retention.terms("live")) == [
        RetentionTerm(3, None, ("uk",), all_but=False), RetentionTerm(9, None, ("uk",), all_but=True),
    ]  # fmt: skip


def test_a_longer_quarantine_keeps_minors_pictures_and_needs_safety(compiled, with_retention):
    before = with_retention(
        "{id: all, why: a test, keep_days: 180}", "{id: q, why: a test, when: {state: quarantined}, keep_days: 90}"
    )
    kept = {("quarantined", "age_13_15", "us"): 4, ("quarantined", "adult", "uk"): 50, ("live", "adult", "us"): 600}
    changes = diff(before, compiled, Traffic(1.0, (), {}, kept)).retention
    longer = [change for change in changes if change.before == "kept 90 days"]
    assert [(change.where, change.after, change.safety, change.objects) for change in longer] == [
        ("state quarantined, region unknown or us or us_ca or us_vt or us_ne", "kept 365 days", True, 4)
    ]


def test_objects_in_a_state_that_the_pack_before_had_no_word_for_are_counted(compiled, edited):
    edited.change("vocabulary.yaml", "replaced, deactivated, account_closed", "replaced, account_closed")
    path = edited.folder / "retention.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "id: deactivated" not in line))
    kept = {("deactivated", "adult", "uk"): 7, ("live", "adult", "uk"): 50}
    (change,) = diff(edited.compiled(), compiled, Traffic(1.0, (), {}, kept)).retention
    assert (change.where, change.before, change.after) == ("state deactivated", "kept 0 days", "kept 180 days")
    assert (change.objects, change.safety) == (7, True)


def test_objects_that_are_not_counted_by_region_are_shared_out(compiled, with_retention):
    before = with_retention("{id: all, why: a test, keep_days: 90}")
    words = len(compiled.space.attributes["region"])
    kept = {("quarantined", "adult"): 10 * words}
    counted = Traffic(1.0, (), {}, kept, kept_by=("state", "subject_age"))
    (change,) = [change for change in diff(before, compiled, counted).retention if change.after == "kept 365 days"]
    assert change.objects == 50  # of the five regions with a year
    (change,) = [change for change in diff(compiled, before, counted).retention if change.before == "kept 365 days"]
    assert change.objects is None  # nobody knows how many of them are where


def test_counts_of_before_are_read_as_what_they_were_counted_by(tmp_path):
    path = tmp_path / "traffic.json"
    traffic = Traffic(7.0, ("subject_age",), {("adult",): 3}, {("live", "adult", "uk"): 5})
    path.write_text(json.dumps(traffic.to_json()))
    assert read_traffic(path) == traffic
    plain = traffic.to_json()
    del plain["kept_by"]
    path.write_text(json.dumps({**plain, "kept": {"live,adult": 5}}))
    old = read_traffic(path)
    assert (old.kept_by, old.kept) == (("state", "subject_age"), {("live", "adult"): 5})
    path.write_text(json.dumps(plain))
    with pytest.raises(PolicyRefused, match="does not hold traffic"):
        read_traffic(path)
