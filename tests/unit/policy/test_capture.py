"""Screenshots and downloads: whom apps are asked to refuse them, by the default pack and by others."""

import itertools

import numpy as np
import pytest

from nightlight.flows.decisions.counters import difference, openness
from nightlight.policy.changes import ChangeKind
from nightlight.policy.checks import failed_checks
from nightlight.policy.diagnostics import InvalidPolicy
from nightlight.policy.diff import diff
from nightlight.policy.explain import explain
from nightlight.policy.mutate import mutate
from nightlight_core.decisions.placeholder import PLACEHOLDER_CAPTURE
from nightlight_core.policy.table import FORBID, more_protective

CONTACTS = "    when: {subject_age: protected, relation: [connection, guardian]}\n    at_most: {capture: forbid}"
STRANGERS = "    unless: {subject_age: adult, assurance: assured, choice: everyone}\n    at_most: {capture: forbid}"


def combinations(table):
    for words in itertools.product(*table.attributes.values()):
        yield dict(zip(table.attributes, words, strict=True))


def test_the_default_pack_forbids_it_of_minors_and_of_every_profile_that_is_not_public(table):
    allowed = set()
    for given in combinations(table):
        outcome = table.decide(given)
        if outcome.tier == "none":
            assert (outcome.capture, outcome.rank) == ("forbid", (0, 0, 0, 0))
            continue
        age, relation = given["subject_age"], given["relation"]
        assured = given["assurance"] in {"estimated", "verified"}
        public = age == "adult" and assured and given["choice"] == "everyone"
        expected = relation == "self" or (age == "adult" if relation in {"connection", "guardian"} else public)
        assert outcome.capture == ("allow" if expected else "forbid"), given
        allowed.add((relation, outcome.capture))
    assert ("self", "allow") in allowed
    assert ("stranger", "allow") in allowed
    assert ("connection", "forbid") in allowed


def test_the_placeholder_is_forbidden_as_what_shows_nothing_is():
    assert PLACEHOLDER_CAPTURE == FORBID


def test_a_pack_that_does_not_name_it_forbids_it_everywhere(edited):
    """Its checks, and clauses of regimes, that forbid it hold; it is shown what it was shown before."""
    compiled = edited.without_capture().compiled()
    assert {outcome.capture for outcome in compiled.table.outcomes} == {"forbid"}
    assert not compiled.ranks["capture"].any()
    assert failed_checks(compiled) == []
    assert mutate(compiled).survivors == ()


@pytest.mark.parametrize("wanted", ["allow", "ask"])
def test_a_check_of_a_pack_that_does_not_name_it_can_forbid_it_alone(edited, wanted):
    edited.without_capture().change("checks.yaml", "capture_at_most: forbid", f"capture_at_most: {wanted}")
    with pytest.raises(InvalidPolicy, match=f"capture must be one of forbid, not '{wanted}'"):
        edited.compiled()


def test_what_forbids_it_shows_as_much_as_before(edited, compiled):
    edited.change("rules.yaml", "at_most: {capture: allow}", "at_most: {capture: forbid}").without_cases()
    stricter = edited.compiled()
    for field in ("tier", "cache_s", "per_hour"):
        assert (stricter.ranks[field] == compiled.ranks[field]).all()
    assert {outcome.capture for outcome in stricter.table.outcomes} == {"forbid"}


def test_the_digest_covers_it(edited, compiled):
    other = edited.change("rules.yaml", CONTACTS, CONTACTS.replace("forbid", "allow")).without_cases().compiled()
    assert other.table.digest != compiled.table.digest


def test_allowing_it_opens_and_needs_the_safety_team_and_forbidding_it_closes_and_does_not(edited, compiled):
    other = edited.change("rules.yaml", CONTACTS, CONTACTS.replace("forbid", "allow")).without_cases().compiled()
    opened = diff(compiled, other)
    assert {change.kind for change in opened.outcomes} == {ChangeKind.OPENS}
    assert {change.fields for change in opened.outcomes} == {("capture",)}
    assert all(change.safety for change in opened.outcomes)
    assert "medium, capture forbid -> medium, capture allow" in str(opened.outcomes[0])
    closed = diff(other, compiled)
    assert {change.kind for change in closed.outcomes} == {ChangeKind.CLOSES}
    assert not any(change.safety for change in closed.outcomes)
    assert sum(change.count for change in closed.outcomes) == int(
        (compiled.ranks["capture"] != other.ranks["capture"]).sum()
    )


def test_a_pack_that_begins_to_name_it_opens_where_it_allows_it(edited, compiled):
    before = edited.without_capture().compiled()
    opened = diff(before, compiled)
    assert {(change.kind, change.fields) for change in opened.outcomes} == {(ChangeKind.OPENS, ("capture",))}
    assert {change.kind for change in diff(compiled, before).outcomes} == {ChangeKind.CLOSES}


def test_from_nothing_to_a_picture_that_may_be_captured_is_said(edited, compiled):
    open_pack = edited.change(
        "rules.yaml", "when: {report_flag: reported}", "when: {report_flag: reported, region: uk}"
    )
    texts = [str(change) for change in diff(compiled, open_pack.without_cases().compiled()).outcomes]
    assert any("none -> full, 86400 s, 6000/h, capture allow" in text for text in texts)
    assert any("none -> medium, 300 s, 600/h (" in text for text in texts)


def test_a_check_of_it_fails_with_the_rule_that_allowed_it(edited):
    edited.change("rules.yaml", CONTACTS, CONTACTS.replace("[connection, guardian]", "connection")).without_cases()
    failed = {failure.check: failure for failure in failed_checks(edited.compiled())}
    assert set(failed) == {"minor-no-capture"}
    assert failed["minor-no-capture"].rules == ("capture",)
    assert "relation guardian" in str(failed["minor-no-capture"])


def test_outsiders_whose_flag_depended_on_age_fail_the_check_of_parity(edited):
    edited.change(
        "rules.yaml", STRANGERS, "    unless: {subject_age: adult, assurance: assured}\n    at_most: {capture: forbid}"
    )
    failed = {failure.check: failure for failure in failed_checks(edited.without_cases().compiled())}
    assert {"outsider-parity", "outsider-no-capture"} <= set(failed)
    assert "outsider-no-capture" in failed["outsider-parity"].rules


@pytest.mark.parametrize(
    ("check", "rule"), [("minor-no-capture", "minor-no-capture"), ("outsider-no-capture", "outsider-no-capture")]
)
def test_without_its_check_a_mistake_in_the_rule_would_pass(edited, check, rule):
    path = edited.folder / "checks.yaml"
    kept = [line for line in path.read_text().splitlines() if f"id: {check}," not in line]
    path.write_text("\n".join(kept) + "\n")
    edited.change("regimes/eu-dsa-28.yaml", f"    check: {check}\n", "    duty: the platform's\n")
    survivors = mutate(edited.compiled()).survivors
    assert {survivor.rule for survivor in survivors} == {rule}
    assert "capture loosened from forbid to allow" in {survivor.change for survivor in survivors}


def test_an_explanation_names_the_rule_that_forbids_it(compiled):
    given = {
        "subject_age": "age_13_15", "assurance": "verified", "relation": "connection", "region": "eu", "viewer": "peer", "context": "profile",
        "choice": "connections", "report_flag": "clear",
    }  # fmt: skip
    explained = explain(compiled, given)
    assert {applied.rule for applied in explained.applied if "capture" in applied.binds} == {"minor-no-capture"}
    assert explained.to_json()["least"]["capture"] == "forbid"
    reported = explain(compiled, {**given, "report_flag": "reported"})
    assert {applied.rule for applied in reported.applied if applied.binds} == {"reported"}


def test_the_more_protective_of_two_outcomes_forbids_if_either_does(table):
    for left, right in itertools.product(table.outcomes, table.outcomes):
        both = (left.capture, right.capture) == ("allow", "allow")
        assert more_protective(left, right).capture == ("allow" if both else "forbid")


def test_a_candidate_that_allows_it_would_open(edited, compiled):
    other = edited.change("rules.yaml", CONTACTS, CONTACTS.replace("forbid", "allow")).without_cases().compiled()
    (position,) = list(zip(*np.nonzero(compiled.ranks["capture"] != other.ranks["capture"]), strict=True))[:1]
    given = {name: words[at] for (name, words), at in zip(compiled.space.attributes.items(), position, strict=True)}
    active, would = (openness(pack.table, pack.table.decide(given)) for pack in (compiled, other))
    assert difference(7, active, would) == "would_open:7"
    assert difference(7, would, active) == "would_close:7"


def test_a_case_says_what_it_expects_of_it(edited):
    edited.change("cases/insiders.yaml", "expect: {capture: forbid}", "expect: {capture: allow}")
    with pytest.raises(InvalidPolicy, match="expected capture allow, got forbid"):
        edited.checked()
