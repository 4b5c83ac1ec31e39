import itertools
import random
import shutil

import pytest

from nightlight.policy.combinations import combination_space
from nightlight.policy.compile import compile_folder
from nightlight_core.policy.table import DOUBT, more_protective
from tests.conftest import ROOT


def expand(condition, pack):
    space = combination_space(pack.vocabulary)
    return {name: space.words(name, words) for name, words in condition.items()}


def combinations(table):
    for words in itertools.product(*table.attributes.values()):
        yield dict(zip(table.attributes, words, strict=True))


def test_the_table_agrees_with_the_rules_read_one_by_one(compiled):
    """An independent reading: for sampled combinations, take the lowest of all matching ceilings."""
    pack, table = compiled.pack, compiled.table
    outcomes = pack.vocabulary.outcomes

    def matches(condition, given):
        return all(given[name] in words for name, words in expand(condition, pack).items())

    sample = random.Random(7).sample(list(combinations(table)), 3000)
    for given in sample:
        got = table.decide(given)
        if any(matches(condition, given) for condition in pack.vocabulary.impossible):
            assert (got.tier, got.rule) == ("none", "impossible")
            continue
        applying = [
            rule for rule in pack.rules.rules
            if matches(rule.when, given) and not (rule.unless and matches(rule.unless, given))
        ]  # fmt: skip
        tier = min(outcomes.tier.index(rule.at_most.tier) for rule in applying if rule.at_most.tier is not None)
        assert got.tier == outcomes.tier[tier]
        if got.tier != "none":
            assert got.cache_s == min(r.at_most.cache_s for r in applying if r.at_most.cache_s is not None)
            assert got.per_hour == min(r.at_most.per_hour for r in applying if r.at_most.per_hour is not None)
            assert got.capture == ("forbid" if "forbid" in {r.at_most.capture for r in applying} else "allow")
        assert got.rule in {rule.id for rule in applying}


def test_promise_1_no_outsider_gets_more_than_tiny_of_a_protected_profile(table):
    for given in combinations(table):
        if given["relation"] in {"mutual", "stranger"} and given["subject_age"] != "adult":
            assert table.decide(given).tier in {"none", "tiny"}


def test_promise_6_an_outsiders_outcome_tells_no_age_unless_an_adult_chose_to_be_public(table):
    for given in combinations(table):
        if given["relation"] not in {"mutual", "stranger"}:
            continue
        if given["subject_age"] == "adult" and given["choice"] == "everyone":
            continue
        reference = table.decide({**given, "subject_age": "age_13_15"})
        got = table.decide(given)
        for field in ("tier", "cache_s", "per_hour", "capture"):
            assert getattr(got, field) == getattr(reference, field)


def test_every_always_check_of_the_pack_holds(compiled):
    pack, table = compiled.pack, compiled.table
    order = pack.vocabulary.outcomes.tier
    for check in pack.checks.always:
        where, unless = expand(check.where, pack), expand(check.unless, pack)
        for given in combinations(table):
            excepted = bool(unless) and all(given[name] in words for name, words in unless.items())
            if not excepted and all(given[name] in words for name, words in where.items()):
                outcome = table.decide(given)
                assert order.index(outcome.tier) <= order.index(check.tier_at_most or order[-1]), (check.id, given)
                assert check.cache_s_at_most is None or outcome.cache_s <= check.cache_s_at_most
                assert check.per_hour_at_most is None or outcome.per_hour <= check.per_hour_at_most
                assert check.capture_at_most is None or outcome.capture in {"forbid", check.capture_at_most}


def test_every_compare_and_same_check_of_the_pack_holds(compiled):
    pack, table = compiled.pack, compiled.table
    order = pack.vocabulary.outcomes.tier
    possible = [given for given in combinations(table) if table.decide(given).rule != "impossible"]
    for check in pack.checks.compare:
        where, unless = expand(check.where, pack), expand(check.unless, pack)
        for left, right in itertools.pairwise(check.never_more_open):
            for given in possible:
                if given[check.along] != left or not all(given[name] in words for name, words in where.items()):
                    continue
                if unless and all(given[name] in words for name, words in unless.items()):
                    continue
                other = table.decide({**given, check.along: right})
                if other.rule != "impossible":
                    assert order.index(table.decide(given).tier) <= order.index(other.tier), (check.id, given)
    for check in pack.checks.same:
        where = expand(check.where, pack)
        along = where.pop(check.along, frozenset(table.attributes[check.along]))
        seen = {}
        for given in possible:
            if given[check.along] in along and all(given[name] in words for name, words in where.items()):
                key = tuple(word for name, word in given.items() if name != check.along)
                outcome = table.decide(given)
                value = (outcome.tier, outcome.cache_s, outcome.per_hour, outcome.capture)
                assert seen.setdefault(key, value) == value, (check.id, given)


@pytest.mark.parametrize("broken", [{}, {"relation": None}, {"relation": "frend"}, {"relation": ["self"]}])
def test_missing_and_unknown_words_give_doubt(table, broken):
    given = next(combinations(table))
    given = {**given, **broken} if broken else {}
    assert table.decide(given) is DOUBT
    assert DOUBT.tier == "none"


def test_the_order_of_rules_and_their_wording_change_neither_outcome_nor_digest(tmp_path, compiled):
    table = compiled.table
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    text = (tmp_path / "p/rules.yaml").read_text()
    head, _, body = text.partition("rules:\n")
    rules = ["  - id:" + part for part in body.split("  - id:")[1:]]
    random.Random(3).shuffle(rules)
    (tmp_path / "p/rules.yaml").write_text(head + "rules:\n" + "".join(rules).replace("own choice", "their own choice"))
    shuffled = compile_folder(tmp_path / "p").table
    assert shuffled.digest == table.digest
    for given in random.Random(5).sample(list(combinations(table)), 2000):
        assert shuffled.decide(given) == table.decide(given)


def test_the_digest_changes_when_a_ceiling_does(tmp_path, table):
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    path = tmp_path / "p/rules.yaml"
    path.write_text(path.read_text().replace("per_hour: 120", "per_hour: 30", 1))
    changed = compile_folder_without_cases(tmp_path / "p").table
    assert changed.digest != table.digest


def compile_folder_without_cases(folder):
    for case in (folder / "cases").glob("*.yaml"):
        case.unlink()
    return compile_folder(folder)


def test_adding_a_rule_can_only_protect(tmp_path, table):
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    path = tmp_path / "p/rules.yaml"
    path.write_text(
        path.read_text()
        + "  - {id: extra, why: a test, when: {region: uk}, at_most: {tier: low, cache_s: 60, per_hour: 600}}\n"
    )
    stricter = compile_folder_without_cases(tmp_path / "p").table
    changed = 0
    for given in combinations(table):
        before, after = table.decide(given), stricter.decide(given)
        assert all(a <= b for a, b in zip(after.rank, before.rank, strict=True))
        changed += after != before
    assert changed > 0


def test_the_more_protective_of_two_is_so_in_every_field(table):
    outcomes = table.outcomes
    for left, right in itertools.product(outcomes, outcomes):
        lower = more_protective(left, right)
        assert all(a <= min(b, c) for a, b, c in zip(lower.rank, left.rank, right.rank, strict=True))
        assert lower.cache_s <= min(left.cache_s, right.cache_s)
        assert lower.per_hour <= min(left.per_hour, right.per_hour)
