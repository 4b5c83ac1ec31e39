"""Random packs keep the language's promises, whatever their rules say."""

import dataclasses
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightlight.policy.changes import ChangeKind
from nightlight.policy.compile import compile_documents
from nightlight.policy.diagnostics import InvalidPolicy
from nightlight.policy.diff import diff
from nightlight.policy.outcome_ranks import FIELDS
from nightlight_core.policy.table import DOUBT

ATTRIBUTES = {
    "subject_age": ["unknown", "young", "old"],
    "relation": ["self", "friend", "stranger"],
    "region": ["here", "there"],
}
OUTCOMES = {
    "tier": ["none", "tiny", "low", "full"],
    "cache_s": [0, 60, 300],
    "per_hour": [0, 30, 600],
    "capture": ["forbid", "allow"],
}

conditions = st.fixed_dictionaries(
    {}, optional={name: st.lists(st.sampled_from(words), min_size=1, unique=True) for name, words in ATTRIBUTES.items()}
)
ceilings = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in OUTCOMES.items()}
).filter(bool)
rules = st.lists(st.tuples(conditions, conditions, ceilings), max_size=6)
BASE = ({}, {}, {"tier": "full", "cache_s": 300, "per_hour": 600, "capture": "allow"})


def documents(chosen, *, edge=512, keep=30):
    listed = [
        {
            "id": f"r{number}",
            "why": "a test",
            "when": when,
            **({"unless": unless} if unless else {}),
            "at_most": at_most,
        }
        for number, (when, unless, at_most) in enumerate([BASE, *chosen])
    ]
    head = {"format": "policy/1"}
    return {
        "vocabulary": {
            **head,
            "attributes": ATTRIBUTES,
            "groups": {"relation": {"outsider": ["friend", "stranger"]}},
            "outcomes": OUTCOMES,
            "assurance": ["none", "verified"],
            "retention_attributes": {"state": ["live", "gone"]},
        },
        "tiers": {**head, "tiers": {"tiny": {"edge": 16}, "low": {"edge": 64}, "full": {"edge": edge}}},
        "rules": {**head, "pack": "random", "version": "1", "rules": listed},
        "retention": {**head, "retention": [{"id": "all", "why": "a test", "keep_days": keep}]},
        "checks": head,
        "cases": [],
    }


def compiled(chosen, **more):
    """The pack, or None where a rule matches nothing (which is refused, and promised nothing)."""
    try:
        return compile_documents(documents(chosen, **more))
    except InvalidPolicy as refused:
        if {problem.code for problem in refused.problems} == {"dead-rule"}:
            return None
        raise


relaxed = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@relaxed
@given(
    rules,
    rules.filter(lambda chosen: len(chosen) == 1)
    | st.lists(st.tuples(conditions, conditions, ceilings), min_size=1, max_size=1),
)
def test_adding_a_rule_never_opens_anything(chosen, one_more):
    before, after = compiled(chosen), compiled([*chosen, *one_more])
    if before is None or after is None:
        return
    for field in FIELDS:
        assert (after.ranks[field] <= before.ranks[field]).all()
    assert {change.kind for change in diff(before, after).changes} <= {ChangeKind.CLOSES}


@relaxed
@given(rules, st.randoms(use_true_random=False))
def test_order_never_matters(chosen, shuffler):
    shuffled = list(chosen)
    shuffler.shuffle(shuffled)
    before, after = compiled(chosen), compiled(shuffled)
    if before is None or after is None:
        assert before is after
        return
    assert before.table.digest == after.table.digest
    assert diff(before, after).same


@relaxed
@given(
    rules,
    st.dictionaries(
        st.sampled_from([*ATTRIBUTES, "other"]),
        st.text(max_size=6) | st.sampled_from(["young", "self", "here"]),
        max_size=4,
    ),
)
def test_input_that_is_not_wholly_known_gives_none(chosen, given_):
    pack = compiled(chosen)
    if pack is None:
        return
    known = all(given_.get(name) in words for name, words in ATTRIBUTES.items())
    outcome = pack.table.decide(given_)
    if not known:
        assert outcome is DOUBT
        assert outcome.tier == "none"
    else:
        assert outcome is not DOUBT


@relaxed
@given(rules, rules)
def test_the_digest_changes_exactly_when_what_it_means_does(left, right):
    table, other = compiled(left), compiled(right)
    if table is None or other is None:
        return
    alike = all((table.ranks[field] == other.ranks[field]).all() for field in FIELDS)
    assert (table.table.digest == other.table.digest) == alike
    assert diff(table, other).same == alike


def test_the_digest_follows_recipes_and_retention():
    base = compiled([])
    digests = {base.table.digest, compiled([], edge=256).table.digest, compiled([], keep=31).table.digest}
    assert len(digests) == 3
    assert compiled([]).table.digest == base.table.digest


@relaxed
@given(rules)
def test_the_table_is_what_reading_the_rules_one_by_one_gives(chosen):
    pack = compiled(chosen)
    if pack is None:
        return
    for words in itertools.product(*ATTRIBUTES.values()):
        given_ = dict(zip(ATTRIBUTES, words, strict=True))
        lowest = {field: values[-1] for field, values in OUTCOMES.items()}
        for when, unless, at_most in [BASE, *chosen]:
            applies = all(given_[name] in listed for name, listed in when.items())
            excepted = bool(unless) and all(given_[name] in listed for name, listed in unless.items())
            if applies and not excepted:
                for field, value in at_most.items():
                    lowest[field] = min(lowest[field], value, key=OUTCOMES[field].index)
        if any(lowest[field] == OUTCOMES[field][0] for field in ("tier", "cache_s", "per_hour")):
            lowest = {"tier": "none", "cache_s": 0, "per_hour": 0, "capture": "forbid"}
        outcome = pack.table.decide(given_)
        assert (outcome.tier, outcome.cache_s, outcome.per_hour, outcome.capture) == tuple(lowest.values())


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(DOUBT)])
def test_doubt_is_the_canonical_none(field):
    expected = {
        "rank": (0, 0, 0, 0), "tier": "none", "cache_s": 0, "per_hour": 0, "capture": "forbid", "rule": "doubt",
    }  # fmt: skip
    assert getattr(DOUBT, field) == expected[field]
