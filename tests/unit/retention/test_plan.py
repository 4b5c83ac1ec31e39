"""What is to be done: what the policy wants, what was applied last, and what is there."""

import re
import shutil

import pytest

from nightlight.policy.compile import compile_folder
from nightlight.retention.lifecycle_drift import find_drift
from nightlight.retention.lifecycle_plan import PlanStep, fingerprint, lost_rules, plan_changes, plan_return
from nightlight.retention.lifecycle_rule import LifecycleRule, read_rule, write_rule
from nightlight.retention.wanted_rules import AUDIT, TAKEDOWN, PrefixRules, audit_days, takedown_hours, wanted_rules
from nightlight_core.errors import LifecycleRefused
from tests.conftest import ROOT

A, B = (
    LifecycleRule("nightlight-a", expire_days=30),
    LifecycleRule("nightlight-b", tags=(("nightlight-state", "b"),), expire_days=7),
)
FOREIGN = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Transitions": [
    {"Days": 30, "StorageClass": "GLACIER"}]}  # fmt: skip


def steps(plan):
    return {change.rule_id: (change.step, change.notes) for change in plan.actions}


def test_from_nothing():
    plan = plan_changes("b", [A, B], [], [])
    assert steps(plan) == {"nightlight-a": (PlanStep.ADD, ()), "nightlight-b": (PlanStep.ADD, ())}
    assert [read_rule(rule) for rule in plan.wanted] == [A, B]


def test_what_is_as_it_should_be_is_kept_however_it_is_written():
    written = {"ID": "nightlight-a", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 30}}
    plan = plan_changes("b", [A], [A], [written])
    assert steps(plan) == {"nightlight-a": (PlanStep.KEEP, ())}
    assert plan.changes == []


@pytest.mark.parametrize(
    ("last", "present", "wanted", "step", "notes"),
    [
        ([A], [A], LifecycleRule("nightlight-a", expire_days=40), PlanStep.CHANGE, ()),
        ([A], [A], LifecycleRule("nightlight-a", expire_days=20), PlanStep.CHANGE, ("deletes after 20 days, until now 30",)),
        ([A], [LifecycleRule("nightlight-a", expire_days=99)], A, PlanStep.CHANGE,
         ("somebody has changed it since it was applied", "deletes after 30 days, until now 99")),
        ([A], [LifecycleRule("nightlight-a", enabled=False, expire_days=30)], A, PlanStep.CHANGE,
         ("somebody has changed it since it was applied",)),
        ([A], [], A, PlanStep.ADD, ("it was applied before, and somebody has removed it",)),
        ([], [LifecycleRule("nightlight-a", expire_days=30, prefix="x/")], A, PlanStep.CHANGE,
         ("it is there already, and was not applied by this catalogue",)),
    ],
)  # fmt: skip
def test_three_ways(last, present, wanted, step, notes):
    plan = plan_changes("b", [wanted], last, [write_rule(rule) for rule in present])
    assert steps(plan) == {"nightlight-a": (step, notes)}
    assert [read_rule(rule) for rule in plan.wanted] == [wanted]


def test_what_the_policy_wants_no_more_is_removed_only_if_it_was_ours():
    plan = plan_changes("b", [A], [A, B], [write_rule(A), write_rule(B)])
    assert steps(plan)["nightlight-b"] == (PlanStep.REMOVE, ())
    assert [read_rule(rule) for rule in plan.wanted] == [A]
    plan = plan_changes("b", [A], [A], [write_rule(A), write_rule(B)])
    assert steps(plan)["nightlight-b"][0] is PlanStep.FOREIGN
    assert {"nightlight-a", "nightlight-b"} == {rule["ID"] for rule in plan.wanted}


def test_foreign_rules_are_kept_word_by_word_and_those_that_delete_sooner_are_named():
    sooner = {"ID": "sooner", "Status": "Enabled", "Filter": {"Prefix": "o/"}, "Expiration": {"Days": 3}}
    dated = {"ID": "dated", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Date": "2027-01-01"}}
    off = {**sooner, "ID": "off", "Status": "Disabled"}
    plan = plan_changes("b", [A], [], [FOREIGN, sooner, dated, off])
    for raw in (FOREIGN, sooner, dated, off):
        assert raw in plan.wanted
    notes_by_rule = {name: " ".join(notes) for name, (_, notes) in steps(plan).items()}
    assert "DELETES SOONER than nightlight-a (30 days): under o/ is deleted 3 days" in notes_by_rule["sooner"]
    assert {action.rule_id for action in plan.actions if action.sooner} == {"sooner", "dated"}
    assert "DELETES SOONER" in notes_by_rule["dated"]
    assert notes_by_rule["theirs"] == notes_by_rule["off"] == ""


def test_more_rules_than_a_bucket_holds_and_two_of_one_name_are_refused():
    many = [
        {"ID": f"r{n}", "Status": "Enabled", "Filter": {"Prefix": f"{n}/"}, "Expiration": {"Days": 1}}
        for n in range(999)
    ]
    assert len(plan_changes("b", [A], [], many).wanted) == 1000
    with pytest.raises(LifecycleRefused, match="1,001 rules"):
        plan_changes("b", [A, B], [], many)
    with pytest.raises(LifecycleRefused, match="two rules"):
        plan_changes("b", [A], [], [FOREIGN, FOREIGN])


def test_drift_names_each_rule_and_whose_it_is():
    present = [write_rule(A), write_rule(B), FOREIGN]
    seen = fingerprint(present)

    def differences(live, known=present):
        return [(entry.rule, entry.change, entry.ours) for entry in find_drift([A, B], known, live, seen)]

    assert differences(list(reversed(present))) == []
    assert differences(present[1:]) == [("nightlight-a", "removed", True)]
    changed = write_rule(LifecycleRule("nightlight-a", expire_days=99))
    (entry,) = find_drift([A, B], present, [changed, *present[1:]], seen)
    assert "was everything: deleted 30 days" in entry.sentence()
    assert "is everything: deleted 99 days" in entry.sentence()
    assert differences(present[:2]) == [("theirs", "removed", False)]
    assert differences([*present, {**FOREIGN, "ID": "new"}]) == [("new", "added", False)]
    assert differences([*present[:2], {**FOREIGN, "Status": "Disabled"}]) == [("theirs", "changed", False)]
    # What an earlier release applied is known by its fingerprint alone.
    (entry,) = find_drift([A, B], None, present[:2], seen)
    assert "not ours" in entry.sentence()


def test_a_return_brings_back_ours_and_leaves_theirs_as_they_are_now():
    newer = {**FOREIGN, "ID": "newer"}
    earlier = [write_rule(LifecycleRule("nightlight-a", expire_days=9)), FOREIGN]
    plan = plan_return("b", 7, earlier, [], [A, B], [write_rule(A), write_rule(B), newer])
    assert {name: step for name, (step, _) in steps(plan).items()} == {
        "nightlight-a": PlanStep.CHANGE, "nightlight-b": PlanStep.REMOVE, "newer": PlanStep.FOREIGN,
    }  # fmt: skip
    assert list(plan.wanted) == [newer, earlier[0]]  # what its owner has removed is not brought back
    assert plan.snapshot_id == 7


def test_the_digest_is_of_the_state_and_of_what_it_comes_to():
    digest = plan_changes("b", [A, B], [], []).digest
    assert digest == plan_changes("b", [A, B], [], []).digest
    others = [
        plan_changes("c", [A, B], [], []), plan_changes("b", [A], [], []), plan_changes("b", [A, B], [], [FOREIGN]),
        plan_changes("b", [A, B], [A], [write_rule(A)]),
    ]  # fmt: skip
    assert digest not in {plan.digest for plan in others}


def test_what_a_server_did_not_keep_is_named():
    asked = [write_rule(A), {**FOREIGN, "Filter": {"ObjectSizeGreaterThan": 5}}]
    assert lost_rules(asked, asked) == []
    assert lost_rules(asked, [write_rule(A), {**FOREIGN, "Filter": {"Prefix": ""}}]) == ["theirs"]
    assert lost_rules(asked, asked[:1]) == ["theirs"]
    assert lost_rules(asked[:1], asked) == ["theirs"]


def test_the_rules_of_the_default_pack():
    rules = {
        rule.rule_id: rule
        for rule in wanted_rules(compile_folder(ROOT / "policies").retention, PrefixRules((("found/", "copies", 31),)))
    }
    assert {name: rule.expire_days for name, rule in rules.items() if rule.expire_days} == {
        "nightlight-live": 3650, "nightlight-replaced": 30, "nightlight-account-closed": 30,
        "nightlight-erasure-asked": 1, "nightlight-copies": 31, "nightlight-quarantined": 365,
        "nightlight-deactivated": 180,
    }  # fmt: skip
    assert rules["nightlight-live"].tags == ()
    assert rules["nightlight-replaced"].tags == (("nightlight-state", "replaced"),)
    assert rules["nightlight-versions"].noncurrent_days == 1
    assert rules["nightlight-markers"].drop_delete_markers
    assert not any("minor" in name or "age" in name.split("-") for name in rules)


def test_the_rule_about_everything_has_the_days_of_the_longest_state(tmp_path):
    """It is about tagged objects too, and a server goes by the earlier of two rules."""
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    path = tmp_path / "p/retention.yaml"
    path.write_text(path.read_text().replace("keep_days: 3650", "keep_days: 60"))
    rules = {rule.rule_id: rule for rule in wanted_rules(compile_folder(tmp_path / "p").retention, PrefixRules())}
    assert rules["nightlight-live"].expire_days == rules["nightlight-quarantined"].expire_days == 365


def test_a_policy_that_does_not_say_how_long_a_picture_in_use_is_kept_is_no_lifecycle(tmp_path):
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    for name in ("vocabulary.yaml", "retention.yaml"):
        path = tmp_path / "p" / name
        path.write_text(path.read_text().replace("erasure_asked", "asked_to_go"))
    with pytest.raises(LifecycleRefused, match="erasure_asked"):
        wanted_rules(compile_folder(tmp_path / "p").retention, PrefixRules())


def test_what_no_object_is_in_has_days_of_its_own_and_no_rule_of_a_bucket(tmp_path):
    """The default pack states a notice's 48 hours and the audit's 100 days; so does a pack of before that lacks them."""
    stated = compile_folder(ROOT / "policies").retention
    assert (takedown_hours(stated), audit_days(stated)) == (48, 100)
    assert {TAKEDOWN, AUDIT} <= set(stated.space.attributes["state"])
    longer = compile_folder(
        changed(tmp_path / "longer", {"keep_days: 2}": "keep_days: 1}", "keep_days: 100}": "keep_days: 5000}"})
    )
    assert (takedown_hours(longer.retention), audit_days(longer.retention)) == (24, 5000)
    us_only = changed(tmp_path / "us", {"keep_days: 2}": "keep_days: 5}"})
    with (us_only / "retention.yaml").open("a") as file:
        file.write("  - {id: us, why: w, when: {state: takedown_asked, region: us}, keep_days: 2}\n")
    assert takedown_hours(compile_folder(us_only).retention) == 48
    rules = re.compile(r"\n  - {id: (takedown|erasure-audit),.*")
    earlier = changed(tmp_path / "earlier", {", takedown_asked, erasure_audit]": "]"})
    retention = earlier / "retention.yaml"
    retention.write_text(rules.sub("", retention.read_text()))
    before = compile_folder(earlier).retention
    assert (takedown_hours(before), audit_days(before)) == (48, 100)
    assert wanted_rules(stated, PrefixRules()) == wanted_rules(longer.retention, PrefixRules())
    assert wanted_rules(stated, PrefixRules()) == wanted_rules(before, PrefixRules())


def changed(folder, edits):
    """A copy of the default pack with words put in place of others."""
    shutil.copytree(ROOT / "policies", folder)
    for name in ("vocabulary.yaml", "retention.yaml"):
        text = (folder / name).read_text()
        for old, new in edits.items():
            text = text.replace(old, new)
        (folder / name).write_text(text)
    return folder
