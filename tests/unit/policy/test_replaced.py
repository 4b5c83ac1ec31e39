"""Words that a pack has no more and profiles still have: the most protective of those in their place counts."""

import json

import pytest

from nightlight.delivery.access_tokens import generate_key
from nightlight.policy.alignment import replaced_words
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.changes import ChangeKind
from nightlight.policy.diff import diff
from nightlight.policy.explain import explain
from nightlight.policy.signing import SigningKey
from nightlight_core.errors import PolicyRefused
from nightlight_core.policy.bundle import open_bundle

GIVEN = {
    "assurance": "verified",
    "relation": "connection",
    "region": "eu",
    "viewer": "peer",
    "context": "profile",
    "choice": "connections",
    "report_flag": "clear",
}


@pytest.fixture
def split(edited):
    """16 and 17 apart; people of 16 are shown less to connections."""
    edited.without_cases().change("vocabulary.yaml", "age_16_17, adult]", "age_16, age_17, adult]")
    edited.add("vocabulary.yaml", "replaced:\n  subject_age: {age_16_17: [age_16, age_17]}\n")
    for file in ("vocabulary.yaml", "rules.yaml", "checks.yaml"):
        path = edited.folder / file
        text = path.read_text().replace("age_16_17: [", "AGE: [")
        path.write_text(text.replace("age_16_17", "age_16, age_17").replace("AGE: [", "age_16_17: ["))
    edited.add(
        "rules.yaml",
        "  - {id: sixteen, why: a test, when: {subject_age: age_16, relation: connection}, at_most: {tier: low}}\n",
    )
    return edited


def test_a_word_of_before_gives_the_most_protective_outcome_of_those_in_its_place(split):
    table = split.compiled().table
    by_age = {
        age: table.decide({**GIVEN, "subject_age": age}).tier for age in ("age_16", "age_17", "age_16_17", "age_15")
    }
    assert by_age == {"age_16": "low", "age_17": "medium", "age_16_17": "low", "age_15": "none"}
    assert table.unknown_words({**GIVEN, "subject_age": "age_16_17"}) == []
    assert table.unknown_words({**GIVEN, "subject_age": "age_15"}) == ["subject_age"]


def test_an_explanation_of_a_word_of_before_names_those_in_its_place(split):
    with pytest.raises(PolicyRefused, match="was replaced by age_16 and age_17"):
        explain(split.compiled(), {"subject_age": "age_16_17"})


def test_a_bundle_carries_it_and_it_is_under_the_digest(split, tmp_path):
    (tmp_path / "key.json").write_text(json.dumps(generate_key()[0]))
    key = SigningKey.read(tmp_path / "key.json")
    compiled = split.compiled()
    table = open_bundle(build_bundle(compiled, 1, key), key.public_keys).table
    assert table.decide({**GIVEN, "subject_age": "age_16_17"}).tier == "low"
    split.change("vocabulary.yaml", "{age_16_17: [age_16, age_17]}", "{age_16_17: [age_17]}")
    assert split.compiled().table.digest != compiled.table.digest


def test_the_comparison_takes_the_mapping_from_the_pack(compiled, split):
    new = split.compiled()
    difference = diff(compiled, new, renamed=replaced_words(compiled, new))
    assert {change.kind for change in difference.outcomes} == {ChangeKind.CLOSES}
    assert all("age_16" in change.where for change in difference.outcomes)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{adult: [age_16]}", "'adult' is still a word of subject_age"),
        ("{age_16_17: []}", "say which words of subject_age"),
        ("{age_16_17: [age_15]}", "'age_15'"),
    ],
)
def test_what_replaces_must_be_there_and_what_is_replaced_must_not(split, line, message):
    split.change("vocabulary.yaml", "{age_16_17: [age_16, age_17]}", line)
    with pytest.raises(PolicyRefused, match=message):
        split.compiled()


def test_a_weaker_replacement_needs_the_safety_team(compiled, edited):
    edited.without_cases().add("vocabulary.yaml", "replaced:\n  subject_age: {teen: [under_13]}\n")
    before = edited.compiled()
    edited.change("vocabulary.yaml", "{teen: [under_13]}", "{teen: [adult]}")
    for old, new in ((compiled, before), (before, edited.compiled())):
        difference = diff(old, new)
        assert difference.opens
        assert any("subject_age teen" in reason for reason in difference.reasons())
