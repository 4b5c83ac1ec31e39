import copy
import json
import shutil
from datetime import date

import pytest

from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_bundle, compile_documents
from nightlight.policy.comply import comply
from nightlight.policy.diagnostics import InvalidPolicy
from nightlight.policy.diff import diff
from nightlight.policy.load import MAX_REGIME_FILES
from nightlight.policy.regimes import Force, bound_clauses, first_day, last_day
from nightlight_core.errors import PolicyRefused
from nightlight_core.policy.bundle import read_unverified

BEFORE, AFTER = date(2026, 12, 31), date(2027, 1, 1)
HEAD = {"format": "policy/1"}


class Key:
    """Signs nothing: the bundle is read without looking at its signature."""

    key_id = "a test"

    def sign(self, data):
        return b"a signature"


def documents(compiled):
    """The default pack's documents, as a bundle holds them."""
    return copy.deepcopy(dict(read_unverified(build_bundle(compiled, 1, Key())).documents))


def forces(compiled, day):
    return {answer.bound.name: answer.force for answer in comply(compiled, day).answers}


def test_a_month_is_asked_from_its_first_day_to_its_last():
    assert first_day("2027-05") == date(2027, 5, 1)
    assert last_day("2028-02") == date(2028, 2, 29)
    assert first_day("2027-05-03") == last_day("2027-05-03") == date(2027, 5, 3)


def test_a_clause_begins_on_its_day_and_ends_after_its_last(edited):
    edited.change("regimes/us-vt-kids-code.yaml", "from: 2027-01-01", "from: 2027-01-01\nuntil: 2027-02")
    compiled = edited.compiled()
    expected = {
        date(2026, 12, 31): Force.LATER,
        date(2027, 1, 1): Force.ASKED,
        date(2027, 2, 28): Force.ASKED,
        date(2027, 3, 1): Force.ENDED,
    }
    assert {day: forces(compiled, day)["us-vt-kids-code/search"] for day in expected} == expected


def test_a_clauses_own_date_stands_for_the_regimes(edited):
    edited.change("regimes/us-vt-kids-code.yaml", "  - id: search\n", "  - id: search\n    from: 2028-01\n")
    answers = forces(edited.compiled(), AFTER)
    assert answers["us-vt-kids-code/search"] is Force.LATER
    assert answers["us-vt-kids-code/search-engines"] is Force.ASKED


def test_the_default_pack_meets_every_clause_that_a_check_proves(compiled):
    report = comply(compiled, AFTER)
    assert report.unmet == []
    assert all(answer.failure is None for answer in report.answers)
    assert all(answer.combinations for answer in report.answers if not answer.duty)


def test_a_check_that_a_clause_carries_is_proved_as_every_other(edited):
    edited.change("rules.yaml", "when: {region: [br, unknown], relation: outsider}", "when: {region: unknown}")
    report = comply(edited.compiled(), AFTER)
    (unmet,) = report.unmet
    assert unmet.bound.name == "br-eca-digital/strangers"
    assert "region br" in unmet.failure.summaries[0].text
    assert unmet.failure.position.file == "regimes/br-eca-digital.yaml"


def test_a_clause_that_fails_is_told_before_it_begins_and_counts_from_then(edited):
    edited.change("rules.yaml", "when: {region: [in, unknown], relation: outsider}", "when: {region: unknown}")
    compiled = edited.compiled()
    failing = [answer for answer in comply(compiled, AFTER).answers if answer.failure]
    assert [answer.bound.name for answer in failing] == ["in-dpdp/strangers"]
    assert comply(compiled, date(2027, 4, 30)).unmet == []
    assert [answer.bound.name for answer in comply(compiled, date(2027, 5, 1)).unmet] == ["in-dpdp/strangers"]


def test_a_clause_without_a_date_counts_as_if_it_were_in_force(edited):
    edited.change("rules.yaml", "when: {region: [dk, fr, gr, unknown], relation: outsider}", "when: {region: [fr, gr]}")
    (unmet,) = comply(edited.compiled(), BEFORE).unmet
    assert (unmet.bound.name, unmet.force) == ("dk-under-15/strangers", Force.UNDATED)


def test_only_the_regimes_that_are_named_are_told_and_an_unknown_name_is_refused(compiled):
    report = comply(compiled, AFTER, ["in-dpdp"])
    assert [regime.regime for regime, _ in report.regimes] == ["in-dpdp"]
    with pytest.raises(PolicyRefused, match="did you mean 'in-dpdp'"):
        comply(compiled, AFTER, ["in-dpd"])


def test_the_report_says_what_nobody_reviewed(compiled):
    plain = comply(compiled, AFTER).to_json()
    assert plain["review"] == "not reviewed by counsel"
    assert "meets the law" not in json.dumps(plain)


def test_every_clause_about_outsiders_covers_all_ages_that_are_not_public(compiled):
    space = compiled.space
    outsiders = space.region({"relation": ("outsider",)}) & compiled.possible
    public = space.region({"subject_age": ("adult",), "choice": ("everyone",)})
    axis = space.axis("subject_age")
    for bound in bound_clauses(compiled.pack):
        if bound.kind != "always":
            continue
        covered = space.region(bound.check.where, bound.check.unless) & outsiders
        alike = covered | public | ~outsiders
        touched = covered.any(axis=axis, keepdims=True)
        assert (alike | ~touched).all(), bound.name


def test_bundles_keep_regimes(compiled):
    again = compile_bundle(read_unverified(build_bundle(compiled, 1, Key())))
    assert [regime for _, regime in again.pack.regimes] == [regime for _, regime in compiled.pack.regimes]
    assert diff(compiled, again).same
    assert comply(again, AFTER).to_json() == comply(compiled, AFTER).to_json()


def test_a_bundle_of_a_pack_without_regimes_is_read_as_before(edited):
    shutil.rmtree(edited.folder / "regimes")
    compiled = edited.compiled()
    bundle = read_unverified(build_bundle(compiled, 1, Key()))
    assert "regimes" not in bundle.documents
    assert compile_bundle(bundle).pack.regimes == ()


def test_a_regime_that_is_taken_out_needs_the_safety_team_and_a_new_one_does_not(compiled, edited):
    (edited.folder / "regimes/my-under-16.yaml").unlink()
    without = edited.compiled()
    lines = "\n".join(diff(compiled, without).checks)
    assert diff(compiled, without).opens
    assert "regime 'my-under-16' was taken out" in lines
    assert "clause 'my-under-16/strangers' was taken out" in lines
    assert not diff(without, compiled).opens
    assert diff(without, compiled).new_checks != diff(without, compiled).old_checks


def refused(pack):
    with pytest.raises(InvalidPolicy) as problems:
        pack()
    return {(problem.position.file, problem.code) for problem in problems.value.problems}


def test_too_many_regimes_are_refused(edited):
    text = (edited.folder / "regimes/in-dpdp.yaml").read_text()
    for number in range(MAX_REGIME_FILES):
        name = f"r{number}"
        (edited.folder / f"regimes/{name}.yaml").write_text(text.replace("regime: in-dpdp", f"regime: {name}"))
    assert ("regimes", "file-too-large") in refused(edited.compiled)


def test_too_many_clauses_are_refused(compiled):
    plain = documents(compiled)
    duty = {"asks": "something", "duty": "somebody's"}
    plain["regimes"][0]["clauses"] = [{"id": f"c{number}", **duty} for number in range(101)]
    assert {code for _, code in refused(lambda: compile_documents(plain))} == {"wrong-value"}


def test_two_regimes_of_one_name_are_refused(compiled):
    plain = documents(compiled)
    plain["regimes"].append(copy.deepcopy(plain["regimes"][0]))
    assert {code for _, code in refused(lambda: compile_documents(plain))} == {"duplicate-id"}


@pytest.mark.parametrize(
    "regime", [None, [], "text", 7, {}, {"regime": "x"}, {**HEAD, "regime": "../../x", "clauses": {}}]
)
def test_a_regime_that_is_none_is_refused(compiled, regime):
    plain = documents(compiled)
    plain["regimes"][0] = {"file": "regimes/x.yaml", **regime} if isinstance(regime, dict) else regime
    with pytest.raises(InvalidPolicy):
        compile_documents(plain)


@pytest.mark.parametrize("text", ["- a\n- b\n", "7\n", "", "a: &x 1\n", "\tx", "x: !!python/object {}\n"])
def test_a_file_that_is_no_regime_is_told_with_its_place(edited, text):
    (edited.folder / "regimes/in-dpdp.yaml").write_text(text)
    assert {file for file, _ in refused(edited.compiled)} == {"regimes/in-dpdp.yaml"}
