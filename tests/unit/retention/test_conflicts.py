"""No rule deletes an object sooner than another one keeps it: of ours by construction, of others' it is said."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlight.policy.compile import compile_folder
from nightlight.retention.lifecycle_conflicts import days_kept, kept_longer, narrower, overlap, refused_pairs
from nightlight.retention.lifecycle_plan import plan_changes
from nightlight.retention.lifecycle_rule import LifecycleRule, write_rule
from nightlight.retention.wanted_rules import PrefixRules, wanted_rules
from nightlight.store.interface import STATE_TAG
from tests.conftest import ROOT

STATES = ("live", "replaced", "quarantined", "deactivated", "account_closed", "erasure_asked")
PREFIXES = PrefixRules((("found/", "found-copies", 31), ("nightlight-probe/", "probes", 1)))


def table(days):
    """Return a retention table with these days, of state and a second axis that the rules know nothing of."""
    space = SimpleNamespace(attributes={"state": STATES, "subject_age": ("minor", "adult")})
    return SimpleNamespace(space=space, days=np.array([[least, most] for least, most in days]))


@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000)), min_size=6, max_size=6), st.integers(1, 4000))
def test_the_server_keeps_each_object_as_long_as_its_own_rule_says(days, found_days):
    rules = wanted_rules(table(days), PrefixRules((("found/", "found-copies", found_days),)))
    for state, (least, most) in zip(STATES, days, strict=True):
        longest = max(least, most)
        tags = {} if state == "live" else {STATE_TAG: state}
        kept = days_kept("o/1", tags, 1, rules)  # the earliest of all rules that match, as a server goes
        assert kept >= longest
        assert state == "live" or kept == longest
    assert days_kept("found/1", {}, 1, rules) == found_days


def test_two_days_of_live_do_not_delete_what_is_quarantined(tmp_path):
    """The case that was reported: `live` of 2 days deleted what was tagged `quarantined`, with 90."""
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    path = tmp_path / "p/retention.yaml"
    path.write_text(path.read_text().replace("keep_days: 3650", "keep_days: 2"))
    rules = wanted_rules(compile_folder(tmp_path / "p").retention, PREFIXES)
    assert days_kept("o/1", {STATE_TAG: "quarantined"}, 1, rules) == 365
    assert days_kept("o/1", {STATE_TAG: "replaced"}, 1, rules) == 30


def rule(name, prefix="", days=None, tag=None, **more):
    return LifecycleRule(name, prefix=prefix, tags=((STATE_TAG, tag),) if tag else (), expire_days=days, **more)


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        (rule("a"), rule("b", "o/"), True),
        (rule("a", "o/x"), rule("b", "o/"), True),
        (rule("a", "o/"), rule("b", "p/"), False),
        (rule("a", tag="x"), rule("b", tag="y"), False),
        (rule("a", "o/"), rule("b", tag="y"), True),
        (rule("a", larger_than=10), rule("b", smaller_than=10), False),
        (rule("a", larger_than=10), rule("b", smaller_than=12), True),
    ],
)
def test_which_rules_can_meet_in_an_object(first, second, meet):
    assert overlap(first, second) is overlap(second, first) is meet


def test_a_broader_rule_with_fewer_days_is_refused_and_a_narrower_one_is_an_exception():
    everything, tagged, crossing = rule("all", days=2), rule("tagged", days=90, tag="x"), rule("under", "o/", days=5)
    assert refused_pairs([everything, tagged], []) == [(everything, tagged)]
    assert refused_pairs([rule("all", days=90), rule("tagged", days=2, tag="x")], []) == []
    assert refused_pairs([rule("all", days=90), tagged, crossing], []) == [(crossing, tagged)]
    assert refused_pairs([rule("all", days=90), tagged, crossing], ["o/"]) == []
    assert narrower(crossing, everything)
    assert not narrower(everything, everything)


def test_somebody_elses_rule_is_held_against_each_of_ours():
    ours = [
        rule("nightlight-live", days=3650),
        rule("nightlight-q", days=365, tag="q"),
        rule("nightlight-r", days=7, tag="r"),
    ]
    assert kept_longer(rule("t", "o/", days=30), ours, forever=False) == [
        "nightlight-live (3,650 days)", "nightlight-q (365 days)",
    ]  # fmt: skip
    assert kept_longer(rule("t", days=30, tag="r"), ours, forever=False) == ["nightlight-live (3,650 days)"]
    assert kept_longer(rule("t", days=4000), ours, forever=False) == []
    assert kept_longer(rule("t", days=1, enabled=False), ours, forever=False) == []
    versions = [LifecycleRule("nightlight-versions", noncurrent_days=3)]
    assert kept_longer(rule("t", noncurrent_days=1), versions, forever=False) == [
        "nightlight-versions (3 days for earlier versions)"
    ]


def test_nothing_may_delete_in_the_vault():
    (ours,) = wanted_rules(table([(1, 1)] * 6), PrefixRules(forever=True))
    assert (ours.rule_id, ours.expire_days, ours.noncurrent_days) == ("nightlight-uploads", None, None)
    for theirs in (rule("t", days=9_000), rule("t", noncurrent_days=1), rule("t", expire_date="2030-01-01")):
        assert kept_longer(theirs, [ours], forever=True) == ["the vault (until its hold ends)"]
    assert kept_longer(rule("t", abort_upload_days=1), [ours], forever=True) == []
    plan = plan_changes("v", [ours], [], [write_rule(rule("t", days=9_000))], forever=True)
    assert [action.rule_id for action in plan.actions if action.sooner] == ["t"]
