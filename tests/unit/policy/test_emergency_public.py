"""Whom an emergency leaves out: adults whom the rules leave out by their own choice, and never a minor."""

import copy
from datetime import date
from types import SimpleNamespace

import pytest

from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.checks import failed_checks
from nightlight.policy.compile import compile_documents
from nightlight.policy.emergency import emergency_pack
from nightlight_core.errors import PolicyRefused
from nightlight_core.policy.bundle import read_unverified
from tests.unit.policy.test_regimes import Key

DAYS = date(2026, 11, 30), date(2026, 12, 3)
PUBLIC = {"subject_age": ("adult",), "assurance": ("assured",), "choice": ("everyone",)}
STRANGER = {
    "assurance": "verified", "relation": "stranger", "region": "eu", "viewer": "peer", "context": "profile",
    "choice": "everyone", "report_flag": "clear",
}  # fmt: skip


@pytest.fixture
def documents(compiled):
    """Those of the default pack, as its bundle has them; a test may change them."""
    return copy.deepcopy(read_unverified(build_bundle(compiled, 1, Key())).documents)


def emergency(documents, days=DAYS):
    return emergency_pack(
        SimpleNamespace(documents=documents), {"relation": ["outsider"]}, tier="none", why="t", days=days
    )


def shown(pack):
    """What a stranger is shown of people who chose `everyone`, by their age."""
    ages = pack.space.attributes["subject_age"]
    return {age: pack.table.decide({**STRANGER, "subject_age": age}).tier for age in ages}


def without_age(documents):
    """The same rules, written otherwise: what is left out names no age, and minors have rules of their own."""
    minors = []
    for rule in documents["rules"]["rules"]:
        if "choice" in rule.get("unless", {}):
            minors.append({
                **rule, "id": f"{rule['id']}-minor", "when": {**rule["when"], "subject_age": ["protected"]}, "unless": {},
            })  # fmt: skip
            rule["unless"] = {name: words for name, words in rule["unless"].items() if name != "subject_age"}
    documents["rules"]["rules"] += minors
    documents["cases"] = []
    return documents


def test_a_minor_who_chose_everyone_is_hidden_however_the_rules_are_written(documents, compiled):
    written_otherwise = compile_documents(without_age(documents))
    assert shown(written_otherwise) == shown(compiled)
    pack = emergency(documents)
    assert shown(pack) == {**dict.fromkeys(shown(pack), "none"), "adult": "medium"}
    assert failed_checks(pack) == []


def test_where_no_age_may_differ_nobody_is_left_out(documents):
    without_age(documents)
    documents["checks"] = {
        "format": "policy/1",
        "same": [{"id": "parity", "along": "subject_age", "where": {"relation": ["outsider"]}}],
    }
    rules = documents["rules"]["rules"]
    documents["rules"]["rules"] = [rule for rule in rules if not rule["id"].endswith("-minor")]
    documents["regimes"] = []
    assert set(shown(compile_documents(documents)).values()) == {"medium"}
    pack = emergency(documents)
    assert set(shown(pack).values()) == {"none"}
    assert failed_checks(pack) == []


@pytest.mark.parametrize("dates", [{"until": "2026-11-29"}, {"from": "2026-12-04"}])
def test_a_rule_that_does_not_hold_meanwhile_does_not_say_who_is_public(documents, dates):
    other = {"id": "other", "why": "t", "when": {"relation": ["outsider"], "context": ["list"]},
             "unless": {"choice": ["everyone"], "region": ["us"]}, "at_most": {"tier": "tiny"}}  # fmt: skip
    documents["rules"]["rules"].append({**other, **dates})
    (rule,) = [rule for rule in emergency(documents).pack.rules.rules if rule.id == "emergency"]
    assert rule.unless == PUBLIC
    for held in ({}, {"until": "2026-11-30"}, {"from": "2026-12-03"}):
        documents["rules"]["rules"][-1] = {**other, **held}
        with pytest.raises(PolicyRefused, match="do not say who is public"):
            emergency(documents)


def test_a_pack_that_does_not_say_which_ages_are_protected_is_taken_at_its_word_or_hides_everybody(documents):
    """No age is known to the code: whom the rules name is public, and where they name no age nobody is."""
    ages = {"unknown": "none", "child": "none", "grown": "medium"}
    names = {"subject_age": ["grown"], "choice": ["everyone"]}
    for unless, public in ((names, ages), ({"choice": ["everyone"]}, dict.fromkeys(ages, "none"))):
        small = small_pack(documents, list(ages), unless)
        assert shown(emergency(small)) == public


def small_pack(documents, ages, unless):
    """A pack of few words, with no group of ages, in which strangers see little of who is not public."""
    vocabulary = {**documents["vocabulary"], "groups": {"relation": documents["vocabulary"]["groups"]["relation"]}}
    vocabulary["attributes"] = {**vocabulary["attributes"], "subject_age": ages}
    whole = {"tier": "medium", "cache_s": 60, "per_hour": 30, "capture": "forbid"}
    rules = [
        {"id": "all", "why": "t", "when": {}, "at_most": whole},
        {
            "id": "outsider",
            "why": "t",
            "when": {"relation": ["outsider"]},
            "unless": unless,
            "at_most": {"tier": "tiny"},
        },
    ]
    return {
        **documents, "vocabulary": vocabulary, "cases": [], "regimes": [], "checks": {"format": "policy/1"},
        "rules": {**documents["rules"], "rules": rules},
        "retention": {"format": "policy/1", "retention": [{"id": "all", "why": "t", "keep_days": 30}]},
    }  # fmt: skip
