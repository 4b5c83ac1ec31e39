import itertools
import json
from xml.etree import ElementTree as ET

import pytest

from nightlight.policy.cases import junit, run_cases
from nightlight.policy.diagnostics import InvalidPolicy
from nightlight.policy.explain import explain
from nightlight.policy.schema import schema_text, schemas
from nightlight_core.errors import PolicyRefused
from tests.conftest import ROOT

WHOLE = {
    "subject_age": "age_13_15",
    "assurance": "verified",
    "relation": "stranger",
    "region": "eu",
    "viewer": "adult",
    "context": "profile",
    "choice": "connections",
    "report_flag": "clear",
}


def test_an_explanation_names_each_rule_that_applied_and_which_bound(compiled):
    explained = explain(compiled, WHOLE)
    assert explained.missing == ()
    assert explained.least == explained.most == compiled.table.decide(WHOLE)
    assert explained.deciding == ()
    applied = {applied.rule: applied for applied in explained.applied}
    assert set(applied) == {"public-outsider", "outsider", "capture", "outsider-no-capture"}
    assert (applied["outsider-no-capture"].binds, applied["capture"].binds) == (("capture",), ())
    assert applied["outsider"].binds == ("tier", "cache_s", "per_hour")
    assert applied["public-outsider"].binds == ("cache_s",)


def test_missing_inputs_leave_a_range_and_the_inputs_that_decide(compiled):
    for missing in itertools.combinations(WHOLE, 2):
        given = {name: word for name, word in WHOLE.items() if name not in missing}
        explained = explain(compiled, given)
        assert set(explained.missing) == set(missing)
        options = [
            dict(zip(missing, words, strict=True))
            for words in itertools.product(*map(compiled.space.attributes.get, missing))
        ]
        possible = [o for o in options if not compiled.impossible[compiled.space.position({**given, **o})]]
        ranks = [compiled.table.decide({**given, **option}).rank for option in possible]
        assert explained.least.rank == min(ranks)
        assert explained.most.rank == max(ranks)
        decided = {deciding.attribute for deciding in explained.deciding}
        for name in missing:
            others = [other for other in missing if other != name]
            groups = {}
            for option in options:
                key = tuple(option[other] for other in others)
                groups.setdefault(key, set()).add(compiled.table.decide({**given, **option}).rank)
            assert (name in decided) == any(len(answers) > 1 for answers in groups.values())


def test_nothing_given_leaves_everything_between_nothing_and_the_owners_picture(compiled):
    explained = explain(compiled, {})
    assert (explained.least.tier, explained.most.tier) == ("none", "full")
    assert {deciding.attribute for deciding in explained.deciding} == set(compiled.space.attributes)


def test_the_impossible_is_explained_as_such(compiled):
    explained = explain(compiled, {**WHOLE, "relation": "self", "viewer": "signed_out"})
    assert (
        explained.least
        == explained.most
        == compiled.table.decide({**WHOLE, "relation": "self", "viewer": "signed_out"})
    )
    assert explained.applied == ()


TIES = """\
format: policy/1
cases:
  - name: a tie
    given: {subject_age: adult, assurance: verified, relation: stranger, region: us_ca, viewer: signed_out, context: search, choice: hidden, report_flag: clear}
    expect: {tier: none, because: RULE}
"""


@pytest.mark.parametrize("rule", ["california", "chose-hidden", "outsider-not-findable", "outsider-signed-out"])
def test_a_case_may_name_any_rule_that_gives_the_tier(edited, rule):
    (edited.folder / "cases/ties.yaml").write_text(TIES.replace("RULE", rule))
    edited.checked()


def test_a_case_may_not_name_a_rule_that_does_not_bind(edited):
    (edited.folder / "cases/ties.yaml").write_text(TIES.replace("RULE", "outsider"))
    with pytest.raises(
        InvalidPolicy,
        match=r"expected because outsider, got california .bound by 'california' and 'outsider-signed-out'",
    ):
        edited.checked()


@pytest.mark.parametrize(
    ("given", "hint"),
    [({"relatoin": "self"}, "did you mean 'relation'"), ({"relation": "freind"}, "is not a word of relation")],
)
def test_unknown_inputs_are_refused_with_a_hint(compiled, given, hint):
    with pytest.raises(PolicyRefused, match=hint):
        explain(compiled, given)


MATRIX = """\
format: policy/1
cases:
  - name: nobody signed out sees a minor
    given: {subject_age: [under_13, age_13_15], assurance: verified, relation: stranger, region: [uk, eu], viewer: signed_out, context: profile, choice: connections, report_flag: clear}
    expect: {tier: none}
"""


def test_a_list_in_a_case_stands_for_one_case_each(edited):
    (edited.folder / "cases/matrix.yaml").write_text(MATRIX)
    compiled = edited.checked()
    results = [result for result in run_cases(compiled.pack.cases, compiled) if result.file == "cases/matrix.yaml"]
    assert len(results) == 4
    assert results[0].name == "nobody signed out sees a minor [under_13-uk]"
    assert results[0].line == 3


def test_one_wrong_combination_of_a_matrix_is_told_by_its_words(edited):
    (edited.folder / "cases/matrix.yaml").write_text(
        MATRIX.replace("[under_13, age_13_15]", "[adult, age_13_15]").replace("choice: connections", "choice: everyone")
    )
    with pytest.raises(InvalidPolicy) as refused:
        edited.checked()
    messages = [problem.message for problem in refused.value.problems]
    assert len(messages) == 2
    assert all("[adult-" in message for message in messages)


def test_junit_holds_every_case_and_each_failure(compiled):
    results = list(run_cases(compiled.pack.cases, compiled))
    failing = [type(results[0])("f.yaml", 3, "bad", {}, ((("cases", 0), "expected <x>"),))]
    root = ET.fromstring(junit([*results, *failing]).split("\n", 1)[1])
    assert len(root.findall(".//testcase")) == len(results) + 1
    assert [failure.get("message") for failure in root.findall(".//failure")] == ["expected <x>"]


def test_the_schemas_in_the_repository_hold_todays_vocabulary(compiled):
    for name, schema in schemas(compiled.pack.vocabulary).items():
        assert (ROOT / f"policies/schema/{name}.json").read_text() == schema_text(schema)


def test_every_policy_file_names_its_schema():
    for path in (ROOT / "policies").rglob("*.yaml"):
        first = path.read_text().splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema=")
        assert (path.parent / first.split("=")[1]).resolve().exists()


def test_words_in_the_schema_are_the_vocabularys_with_groups_where_they_may_stand(compiled):
    documents = schemas(compiled.pack.vocabulary)
    rules = json.dumps(documents["rules"])
    assert '"outsider"' in rules
    assert '"erasure_asked"' not in rules
    assert '"erasure_asked"' in json.dumps(documents["retention"])
    assert '"outsider"' not in json.dumps(documents["cases"])
