import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightlight.policy.checks import failed_checks
from nightlight.policy.combinations import CombinationSpace
from nightlight.policy.compile import compile_folder
from nightlight.policy.mutate import mutate, redundant
from nightlight.policy.outcome_ranks import FIELDS
from nightlight.policy.summarise import summarise
from tests.conftest import ROOT


def test_the_default_pack_proves_has_no_idle_rule_and_no_hole_in_its_checks(compiled):
    assert failed_checks(compiled) == []
    assert redundant(compiled) == []
    report = mutate(compiled)
    assert report.survivors == ()
    assert report.opening > 150


def test_an_always_that_fails_says_where_and_which_rule_bound(edited):
    edited.change(
        "rules.yaml",
        "at_most: {tier: tiny, cache_s: 3600, per_hour: 120}",
        "at_most: {tier: low, cache_s: 3600, per_hour: 120}",
    )
    failures = {failure.check: failure for failure in failed_checks(edited.compiled())}
    failure = failures["outsider-tiny"]
    assert failure.rules == ("outsider",)
    assert failure.position.file == "checks.yaml"
    assert failure.count == sum(sentence.count for sentence in failure.summaries)
    assert "relation outsider" in failure.summaries[0].text


def test_a_compare_that_fails_is_told(edited):
    edited.change(
        "rules.yaml",
        "when: {subject_age: protected, relation: [connection, guardian]}",
        "when: {subject_age: [age_13_15, age_16_17, unknown], relation: [connection, guardian]}",
    )
    edited.add(
        "rules.yaml",
        "  - {id: odd, why: a mistake, when: {subject_age: under_13, relation: [connection, guardian]}, at_most: {tier: full, cache_s: 300, per_hour: 600}}\n",
    )
    failing = {failure.check for failure in failed_checks(edited.compiled())}
    assert "younger-not-more-open" in failing


def test_a_parity_that_is_broken_is_told_even_if_only_a_number_differs(edited):
    edited.add(
        "rules.yaml",
        "  - {id: slower, why: a mistake, when: {subject_age: under_13, relation: stranger}, at_most: {cache_s: 300}}\n",
    )
    failures = {failure.check: failure for failure in failed_checks(edited.compiled())}
    assert {"outsider-parity", "outsider-parity-minors"} <= set(failures)
    assert "subject_age" in failures["outsider-parity"].summaries[0].text


@pytest.mark.parametrize(
    ("file", "old", "new", "hole"),
    [
        ("checks.yaml", "  - {id: outsider-cache, where: {relation: outsider}, cache_s_at_most: 3600}\n", "", "public-outsider"),
        ("checks.yaml", "{id: hidden-none, where: {choice: hidden, relation: [connection, outsider]}", "{id: hidden-none, where: {choice: hidden, relation: outsider}", "chose-hidden"),
        ("checks.yaml", "[unknown, under_13], relation: [connection, outsider]}", "[unknown, under_13], relation: outsider}", "under-13"),
        ("regimes/in-dpdp.yaml", "tier_at_most: none", "tier_at_most: tiny", "india"),
    ],
)  # fmt: skip
def test_a_check_that_is_missing_is_found_by_mutation(edited, file, old, new, hole):
    edited.change(file, old, new)
    assert hole in {survivor.rule for survivor in mutate(edited.compiled()).survivors}


def test_a_rule_that_changes_nothing_is_redundant_and_one_that_matches_nothing_is_refused(edited):
    edited.add(
        "rules.yaml", "  - {id: idle, why: a test, when: {relation: blocked, region: uk}, at_most: {tier: none}}\n"
    )
    assert redundant(edited.compiled()) == ["idle"]


def test_deleting_a_rule_by_arithmetic_is_the_same_as_compiling_without_it(edited, compiled):
    """The mutants are made without compiling anew; here each deletion is compiled for real and compared."""
    from nightlight.policy.models import RulesDocument
    from nightlight.policy.mutate import _Others
    from nightlight.policy.outcome_ranks import canonical

    others = _Others(compiled)
    rules = compiled.pack.rules.rules
    from dataclasses import replace

    from nightlight.policy.outcome_ranks import limits, lowered, no_ceilings

    for number in range(len(rules)):
        kept = RulesDocument(format="policy/1", pack="x", version="1", rules=rules[:number] + rules[number + 1 :])
        pack = replace(compiled.pack, rules=kept)
        lowest, _ = lowered(
            no_ceilings(compiled.space, pack.vocabulary.outcomes.limited),
            [(number, compiled.space.region(r.when, r.unless), limits(r, pack)) for number, r in enumerate(kept.rules)],
        )
        expected, got = canonical(lowest, compiled.impossible), canonical(others.without(number), compiled.impossible)
        for field in FIELDS:
            assert (expected[field] == got[field]).all()


SMALL = CombinationSpace(
    {"a": ("a1", "a2", "a3"), "b": ("b1", "b2"), "c": ("c1", "c2", "c3", "c4")}, {"c": {"few": ("c1", "c2")}}
)


@settings(max_examples=200)
@given(st.lists(st.booleans(), min_size=24, max_size=24), st.lists(st.booleans(), min_size=24, max_size=24))
def test_sentences_cover_exactly_the_set_and_count_each_combination_once(chosen, not_possible):
    impossible = np.array(not_possible).reshape(SMALL.shape)
    cells = np.array(chosen).reshape(SMALL.shape) & ~impossible
    sentences = summarise(SMALL, cells, impossible=impossible)
    covered = np.zeros(SMALL.shape, dtype=bool)
    for sentence in sentences:
        covered |= SMALL.region(sentence.words)
    assert ((covered & ~impossible) == cells).all()
    assert sum(sentence.count for sentence in sentences) == int(cells.sum())
    assert bool(sentences) == bool(cells.any())


def test_a_box_is_told_in_one_sentence_with_the_names_of_groups():
    cells = SMALL.region({"a": ["a1", "a3"], "c": ["few"]})
    (sentence,) = summarise(SMALL, np.array(cells), impossible=np.zeros(SMALL.shape, dtype=bool))
    assert sentence.text == "a a1 or a3, c few"
    (everything,) = summarise(SMALL, np.ones(SMALL.shape, dtype=bool), impossible=np.zeros(SMALL.shape, dtype=bool))
    assert everything.text == "every combination"


def test_sentences_of_the_default_pack_are_few(compiled):
    for tier in range(5):
        cells = compiled.ranks["tier"] == tier
        sentences = summarise(compiled.space, cells & compiled.possible, impossible=compiled.impossible)
        assert 1 <= len(sentences) <= 20


def test_regions_agree_with_reading_words_one_by_one(compiled):
    space = compiled.space
    for rule, region in zip(compiled.pack.rules.rules, compiled.regions, strict=True):
        for cell in itertools.islice(np.ndindex(*space.shape), 0, None, 97):
            given_ = space.given(cell)
            matches = all(given_[name] in space.words(name, words) for name, words in rule.when.items())
            if rule.unless:
                matches &= not all(given_[name] in space.words(name, words) for name, words in rule.unless.items())
            assert region[cell] == matches


def test_the_pack_in_the_repository_is_the_one_that_is_proved():
    assert failed_checks(compile_folder(ROOT / "policies")) == []
