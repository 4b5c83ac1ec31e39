"""Random packs whose rules begin and end: each day has the rules that hold on it, and nothing opens by date unseen."""

import itertools
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.checks import failed_checks
from nightlight.policy.compile import compile_bundle, compile_documents
from nightlight.policy.diagnostics import InvalidPolicy
from nightlight.policy.diff import diff
from nightlight.policy.mutate import mutate
from nightlight.policy.outcome_ranks import FIELDS
from nightlight_core.policy.bundle import read_unverified
from tests.policy.test_promises import ceilings, compiled, conditions, documents, relaxed
from tests.unit.policy.test_regimes import Key

FIRST = date(2027, 1, 1)
DAYS = [(FIRST + timedelta(days=number)).isoformat() for number in range(7)]
CHECKS = {
    "format": "policy/1",
    "always": [{"id": "a", "where": {"relation": "stranger", "region": "here"}, "tier_at_most": "low"}],
    "compare": [{"id": "c", "along": "subject_age", "never_more_open": ["unknown", "old"]}],
    "same": [{"id": "s", "along": "subject_age", "where": {"relation": ["friend", "stranger"]}}],
}
days = st.none() | st.sampled_from(DAYS[1:-1])
rules = st.lists(st.tuples(st.tuples(conditions, conditions, ceilings), days, days), min_size=1, max_size=4)


def in_order(chosen):
    return [(rule, begins, until) for rule, begins, until in chosen if not (begins and until and begins > until)]


def dated(chosen):
    """The pack with these rules and dates, or None where a rule matches nothing."""
    plain = documents([rule for rule, _, _ in chosen])
    plain["checks"] = CHECKS
    for written, (_, begins, until) in zip(plain["rules"]["rules"][1:], chosen, strict=True):
        written.update({key: day for key, day in (("from", begins), ("until", until)) if day})
    try:
        return compile_documents(plain)
    except InvalidPolicy as refused:
        if {problem.code for problem in refused.problems} == {"dead-rule"}:
            return None
        raise


def more(before, after):
    """Where ``after`` shows more."""
    return sum(after.ranks[field] > before.ranks[field] for field in FIELDS) > 0


@relaxed
@given(rules)
def test_each_day_has_the_rules_that_hold_on_it(chosen):
    chosen = in_order(chosen)
    pack = dated(chosen)
    if pack is None:
        return
    for day in DAYS:
        of_day = [rule for rule, begins, until in chosen if (begins or day) <= day <= (until or day)]
        alone = compiled(of_day)
        assert alone.table.digest == pack.on(day).table.digest
        assert (alone.ranks["tier"] == pack.on(day).ranks["tier"]).all()
    alike = [failed_checks(period) for period in pack.periods]
    assert bool(failed_checks(pack)) == any(alike)
    again = compile_bundle(read_unverified(build_bundle(pack, 1, Key())))
    assert (again.digest, again.days) == (pack.digest, pack.days)


@relaxed
@given(rules, rules, st.sampled_from(DAYS))
def test_what_needs_nobody_opens_nothing_on_any_day_to_come(left, right, today):
    old, new = dated(in_order(left)), dated(in_order(right))
    if old is None or new is None:
        return
    assert not diff(new, new, today=date.fromisoformat(today)).opens
    opens = False
    coming = [day for day in DAYS if day >= today]
    for day in coming:
        opens |= bool(more(old.on(day), new.on(day)).any())
    for before, day in itertools.pairwise(coming):
        itself = more(new.on(before), new.on(day))
        approved = more(old.on(before), old.on(day)) & ~more(old.on(day), new.on(day))
        opens |= bool((itself & ~approved).any())
    assert diff(old, new, today=date.fromisoformat(today)).opens == opens


def alive(cases):
    """The mistakes in the dates of a rule from January to February that nothing catches, with their first day."""
    plain = documents([({"relation": ["stranger"]}, {}, {"tier": "tiny"})])
    plain["rules"]["rules"][1].update({"from": "2027-01-01", "until": "2027-02-28"})
    given = {"subject_age": ["old"], "relation": ["stranger"], "region": ["here"]}
    listed = [{"name": day, "on": day, "given": given, "expect": {"tier": "tiny"}} for day in cases]
    if listed:
        plain["cases"] = [{"file": "cases/dates.yaml", "format": "policy/1", "cases": listed}]
    survivors = mutate(compile_documents(plain)).survivors
    return {
        survivor.change: survivor.begins
        for survivor in survivors
        if survivor.rule == "r1" and ("moved" in survivor.change or survivor.change == "deleted")
    }


def test_a_date_that_is_moved_is_caught_by_a_case_of_the_days_between_alone():
    expected = {
        "deleted": "2027-01-01", "from moved to 2027-01-02": "2027-01-01", "from moved to 2027-02-01": "2027-01-01",
        "until moved to 2027-02-27": "2027-02-28", "until moved to 2027-01-28": "2027-01-29",
    }  # fmt: skip
    cases = []
    assert alive(cases) == expected
    for day, killed in (
        ("2027-01-31", {"deleted", "from moved to 2027-02-01", "until moved to 2027-01-28"}),
        ("2027-01-01", {"from moved to 2027-01-02"}),
        ("2027-02-28", {"until moved to 2027-02-27"}),
    ):
        cases.append(day)
        expected = {change: begins for change, begins in expected.items() if change not in killed}
        assert alive(cases) == expected
