"""Rules with dates: what holds on which day, what is proved of each, and what is refused."""

import json
from datetime import UTC, date, datetime

import pytest
from typer.testing import CliRunner

from nightlight.cli.main import app
from nightlight.policy import checks
from nightlight.policy.checks import failed_checks
from nightlight.policy.comply import comply
from nightlight.policy.dates import moved_dates
from nightlight.policy.diagnostics import InvalidPolicy
from nightlight.policy.explain import explain
from nightlight.policy.mutate import mutate, redundant
from nightlight_core.policy.dates import BACK_S, MOST_DATES, begin_of, iso_day

BEFORE, DAY, LAST, AFTER = "2026-12-31", "2027-01-01", "2027-02-28", "2027-03-01"
RULE = """
  - id: {id}
    why: nobody outside finds anybody in lists
{dates}
    when: {{region: eu, relation: outsider, context: list}}
    unless: {{subject_age: adult, assurance: assured, choice: everyone}}
    at_most: {{tier: {tier}}}
"""
STRANGER = {
    "subject_age": "age_13_15", "assurance": "verified", "relation": "stranger", "region": "eu", "viewer": "peer", "context": "list",
    "choice": "connections", "report_flag": "clear",
}  # fmt: skip
CASE = "\n  - name: in a list\n    given: {given}\n    expect: {{tier: {tier}}}\n{more}"


def rule(name="quiet-lists", tier="none", **dates):
    lines = [f"    {key.strip('_')}: {value}" for key, value in dates.items()]
    return RULE.format(id=name, tier=tier, dates="\n".join(lines))


@pytest.fixture
def dated(edited):
    """The default pack with a rule that holds from January to February."""
    return edited.add("rules.yaml", rule(from_=DAY, until=LAST))


def problems(edited, make="compiled"):
    with pytest.raises(InvalidPolicy) as refused:
        getattr(edited, make)()
    return refused.value.problems


def test_a_rule_holds_from_its_first_day_to_its_last(dated, compiled):
    pack = dated.compiled()
    assert pack.days == (DAY, AFTER)
    shown = {day: pack.on(day).table.decide(STRANGER).tier for day in (BEFORE, DAY, LAST, AFTER)}
    assert shown == {BEFORE: "tiny", DAY: "none", LAST: "none", AFTER: "tiny"}
    assert pack.on(BEFORE).table.same_as(pack.table)
    assert pack.on(BEFORE).table.digest == pack.on(AFTER).table.digest == compiled.table.digest


def test_each_date_has_the_table_of_the_rules_that_hold_on_it(dated, edited):
    pack = dated.compiled()
    always = dated.change("rules.yaml", f"    from: {DAY}\n    until: {LAST}\n", "").compiled()
    assert pack.on(DAY).table.digest == always.table.digest
    assert (always.days, always.dated, always.digest) == ((), (), always.table.digest)


def test_days_begin_at_midnight_in_utc(dated):
    timeline = dated.compiled().timeline
    midnight = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    before, now = timeline.at(midnight - 0.001), timeline.at(midnight)
    assert (before.value.begins, before.before, before.until) == ("", None, midnight)
    assert (now.value.begins, now.since, now.until) == (DAY, midnight, begin_of(AFTER))
    assert now.before is before.value
    assert now.holds(midnight - BACK_S)
    assert not now.holds(midnight - BACK_S - 1)
    assert not now.holds(now.until)


def test_the_digest_covers_dates(dated, compiled):
    digests = {dated.compiled().digest, compiled.digest}
    digests.add(dated.change("rules.yaml", f"until: {LAST}", "until: 2027-02-27").compiled().digest)
    digests.add(dated.change("rules.yaml", f"from: {DAY}", "from: 2027-01-02").compiled().digest)
    assert len(digests) == 4
    assert compiled.digest == compiled.table.digest


@pytest.mark.parametrize("key", ["from", "until"])
@pytest.mark.parametrize(
    "value",
    ["2027-01", "2027-02-30", "2027-1-1", "27-01-01", "1999-01-01", "tomorrow", "20270101", "1798761600", "''",
     "2027-01-01T00:00:00Z", "2027-01-01 00:00", "' 2027-01-01'", '"2027-01-01\\n"', "\uff12027-01-01", "2027-13-01",
     "[2027-01-01]", "{day: 2027-01-01}", "true", "-1", "2027-W01-1"],
)  # fmt: skip
def test_what_is_no_day_is_refused_where_it_stands(edited, key, value):
    (problem,) = problems(edited.add("rules.yaml", rule(**{f"{key}_": value})))
    assert (problem.code, problem.position.file) == ("wrong-value", "rules.yaml")
    assert problem.message.startswith(key)
    assert "pattern" not in problem.message


def test_a_rule_whose_dates_are_left_empty_holds_always(edited):
    pack = edited.add("rules.yaml", rule(from_="", until="~")).compiled()
    assert (pack.days, pack.table.decide(STRANGER).tier) == ((), "none")


def test_a_rule_that_ends_before_it_begins_is_refused(edited):
    (problem,) = problems(edited.add("rules.yaml", rule(from_=DAY, until=BEFORE)))
    assert problem.code == "date-order"
    assert problem.message == f"rule 'quiet-lists' ends ({BEFORE}) before it begins ({DAY})"
    assert edited.change("rules.yaml", f"until: {BEFORE}", f"until: {DAY}").compiled().days == (DAY, "2027-01-02")


def test_there_are_so_many_dates_at_most(edited):
    for number in range(MOST_DATES):
        edited.add("rules.yaml", rule(f"r{number}", from_=f"2027-01-{number + 1:02}"))
    assert len(edited.compiled().periods) == MOST_DATES + 1
    (problem,) = problems(edited.add("rules.yaml", rule("one-more", from_="2027-02-01")))
    assert (problem.code, str(MOST_DATES + 1) in problem.message) == ("too-many-dates", True)


def test_a_large_pack_has_fewer_dates(dated, monkeypatch):
    size = len(dated.compiled().table)
    monkeypatch.setattr("nightlight.policy.compile.MAX_ON_ALL_DATES", 3 * size)
    assert len(dated.compiled().periods) == 3
    monkeypatch.setattr("nightlight.policy.compile.MAX_ON_ALL_DATES", 3 * size - 1)
    (problem,) = problems(dated)
    assert (problem.code, f"{3 * size:,}" in problem.message) == ("too-many-combinations", True)


def test_the_last_day_of_all_ends_too(edited):
    pack = edited.add("rules.yaml", rule(from_="2099-12-31", until="2099-12-31")).compiled()
    assert pack.days == ("2099-12-31", "2100-01-01")


def test_a_gap_is_told_with_its_date(edited):
    edited.change("rules.yaml", "  - id: owner\n", f"  - id: owner\n    until: {LAST}\n")
    (problem,) = problems(edited)
    assert problem.code == "gap"
    assert f"combinations from {AFTER}: relation self" in problem.message


def test_a_check_that_fails_later_is_told_with_its_date(edited):
    edited.change("rules.yaml", "  - id: outsider-signed-out\n", f"  - id: outsider-signed-out\n    until: {LAST}\n")
    pack = edited.compiled()
    (failure,) = [failure for failure in failed_checks(pack) if failure.check == "signed-out-none"]
    assert failure.begins == AFTER
    assert f"combinations from {AFTER} [check-failed]" in str(failure)
    assert failed_checks(pack.on(LAST)) == []
    assert failed_checks(pack.on(AFTER))


def test_what_fails_on_all_dates_is_told_once(edited):
    edited.change(
        "checks.yaml", "id: blocked-none, where: {relation: blocked}", "id: blocked-none, where: {relation: self}"
    )
    failures = failed_checks(edited.add("rules.yaml", rule(from_=DAY)).compiled())
    assert [failure.begins for failure in failures if failure.check == "blocked-none"] == [""]


def test_a_case_holds_on_every_day_or_on_its_own(dated):
    given = json.dumps(STRANGER).replace('"', "")
    dated.add("cases/outsiders.yaml", CASE.format(given=given, tier="none", more=f"    on: {DAY}\n"))
    dated.checked()
    dated.change("cases/outsiders.yaml", f"    on: {DAY}", f"    on: {AFTER}")
    (problem,) = problems(dated, "checked")
    assert problem.message == f"case 'in a list on {AFTER}': expected tier none, got tiny (bound by 'outsider')"
    dated.change("cases/outsiders.yaml", f"    on: {AFTER}\n", "")
    assert {problem.message.partition(":")[0] for problem in problems(dated, "checked")} == {
        "case 'in a list'", f"case 'in a list from {AFTER}'",
    }  # fmt: skip
    dated.change("cases/outsiders.yaml", "expect: {tier: none}\n", "on: 2027-02\n    expect: {tier: none}\n")
    assert any(problem.message.startswith("on: a day is written") for problem in problems(dated))


def test_a_rule_is_needed_if_it_is_on_any_date(edited):
    edited.add("rules.yaml", rule("for-long", from_=DAY)).add("rules.yaml", rule("meanwhile", from_=DAY, until=LAST))
    assert redundant(edited.compiled()) == ["meanwhile"]
    edited.change("rules.yaml", f"    from: {DAY}\n", f"    from: {AFTER}\n")
    assert redundant(edited.compiled()) == []


def test_a_rule_that_does_not_hold_on_a_day_is_not_called_needless_on_it(dated):
    pack = dated.compiled()
    assert [redundant(pack.on(day)) for day in (BEFORE, DAY, AFTER)] == [[], [], []]


def test_mistakes_in_a_dated_rule_are_tried_on_the_dates_on_which_it_holds(dated):
    (dated.folder / "checks.yaml").write_text("format: policy/1\nalways: []\n")
    for regime in (dated.folder / "regimes").glob("*.yaml"):
        regime.unlink()
    report = mutate(dated.compiled())
    (deleted,) = [mutant for mutant in report.survivors if (mutant.rule, mutant.change) == ("quiet-lists", "deleted")]
    assert deleted.begins == DAY
    changes = [(mutant.rule, mutant.change) for mutant in report.survivors]
    assert len(changes) == len(set(changes))


def test_a_mistake_that_a_check_catches_on_any_date_is_caught(dated, compiled):
    before, after = mutate(compiled), mutate(dated.compiled())
    assert after.mutants > before.mutants
    assert [mutant for mutant in after.survivors if mutant.rule != "quiet-lists"] == list(before.survivors)


def test_mistakes_in_dates_are_a_day_and_a_month_each_way_and_none_is_refused_by_the_loader(edited):
    def tried(**dates):
        (written,) = [rule for rule in edited.__class__(edited.folder.parent / str(len(seen))).add(
            "rules.yaml", rule(**dates)).compiled().pack.rules.rules if rule.id == "quiet-lists"]  # fmt: skip
        seen.append(written)
        return moved_dates(written)

    seen = []
    assert tried() == []
    assert tried(from_="2027-03-31") == [
        ("from moved to 2027-03-30", "2027-03-31", "2027-03-31"),
        ("from moved to 2027-04-01", "2027-03-31", "2027-04-01"),
        ("from moved to 2027-02-28", "2027-03-31", "2027-03-31"),
        ("from moved to 2027-04-30", "2027-03-31", "2027-04-30"),
        ("from taken out", "2027-03-31", "2027-03-31"),
    ]
    changes = [change for change, *_ in tried(from_=DAY, until=DAY)]
    assert changes == [
        "from moved to 2026-12-31", "from moved to 2026-12-01", "from taken out",
        "until moved to 2027-01-02", "until moved to 2027-02-01", "until taken out",
    ]  # fmt: skip


def test_a_date_is_proved_where_it_differs_from_the_one_before(dated, monkeypatch):
    wholly = []
    proved = checks._failed
    monkeypatch.setattr(checks, "_failed", lambda compiled: wholly.append(compiled.begins) or proved(compiled))
    assert failed_checks(dated.compiled()) == []
    assert wholly == [""]


def test_explanations_know_the_rules_of_their_day_alone(dated):
    pack = dated.compiled()
    named = {day: {applied.rule for applied in explain(pack.on(day), STRANGER).applied} for day in (BEFORE, DAY)}
    assert named[DAY] - named[BEFORE] == {"quiet-lists"}
    assert explain(pack.on(DAY), STRANGER).least.rule == "quiet-lists"


def test_a_regime_is_met_by_the_rules_of_the_day(edited):
    edited.change("rules.yaml", "  - id: vermont\n", f"  - id: vermont\n    from: {DAY}\n")
    pack = edited.compiled()
    name = "us-vt-kids-code"
    unmet = {day: {answer.bound.name for answer in comply(pack, date.fromisoformat(day), [name]).answers
                   if answer.failure is not None} for day in (BEFORE, DAY)}  # fmt: skip
    assert unmet[BEFORE]
    assert not unmet[DAY]
    assert comply(pack, date.fromisoformat(DAY)).digest == pack.digest


@pytest.mark.parametrize("text", ["2027-1-1", "2027-01", "", "x", "2027-02-30", "\uff12027-01-01"])
def test_a_text_that_is_no_day_is_none(text):
    with pytest.raises(ValueError, match=r"."):
        iso_day(text)


def run(*arguments):
    return CliRunner().invoke(app, ["policy", *map(str, arguments)], env={"COLUMNS": "200"})


def test_the_commands_look_at_one_day(dated, tmp_path):
    checked = json.loads(run("check", dated.folder, "--json").output)
    assert (checked["ok"], checked["dates"], checked["on"]) == (True, [DAY, AFTER], None)
    assert checked["digest"] == dated.compiled().digest
    on = json.loads(run("check", dated.folder, "--on", DAY, "--json").output)
    assert (on["ok"], on["dates"], on["on"], on["digest"]) == (True, [], DAY, dated.compiled().on(DAY).digest)
    assert f"each has a table of its own: {DAY}, {AFTER}" in run("check", dated.folder).output
    words = [f"{name}={word}" for name, word in STRANGER.items()]
    for day, tier in ((DAY, "none"), (AFTER, "tiny")):
        explained = json.loads(run("explain", "--policy", dated.folder, *words, "--on", day, "--json").output)
        assert (explained["on"], explained["most"]["tier"]) == (day, tier)
    assert run("check", dated.folder, "--on", "2027-02-30").exit_code == 2
    assert run("explain", "--policy", dated.folder, "--on", "soon").exit_code == 2


def test_a_check_on_one_day_says_nothing_of_others(edited):
    edited.change("rules.yaml", "  - id: outsider-signed-out\n", f"  - id: outsider-signed-out\n    until: {LAST}\n")
    edited.without_cases()
    assert run("check", edited.folder).exit_code == 1
    assert run("check", edited.folder, "--on", LAST).exit_code == 0
    failed = run("check", edited.folder, "--on", AFTER, "--json")
    assert failed.exit_code == 1
    assert {failure["from"] for failure in json.loads(failed.output)["failures"]} == {AFTER}


def test_a_difference_on_one_day(dated, edited, tmp_path):
    base = edited.folder.parent / "base"
    edited.__class__(base)
    opens, closes, nothing = (run("diff", base, dated.folder, "--on", day) for day in (AFTER, DAY, BEFORE))
    assert (opens.exit_code, closes.exit_code, nothing.exit_code) == (0, 3, 0)
    assert closes.output.startswith(f"on {DAY}, ")
    assert json.loads(run("diff", base, dated.folder, "--on", DAY, "--json").output)["on"] == DAY
    assert run("diff", base, dated.folder).exit_code == 4  # what a rule's end opens
    plain = json.loads(run("diff", base, dated.folder, "--json").output)
    assert {change["begins"] for change in plain["outcomes"]} == {DAY, AFTER}
    assert f"from {AFTER}: " in run("diff", base, dated.folder, "--markdown").output
