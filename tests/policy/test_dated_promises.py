"""Random packs whose rules begin and end: each day has the rules that hold on it, and nothing opens by date unseen."""

import itertools
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_bundle, compile_documents
from nightlight.policy.diagnostics import InvalidPolicy
from nightlight.policy.diff import diff
from nightlight.policy.outcome_ranks import FIELDS
from nightlight_core.policy.bundle import read_unverified
from tests.policy.test_promises import ceilings, compiled, conditions, documents, relaxed
from tests.unit.policy.test_regimes import Key

FIRST = date(2027, 1, 1)
DAYS = [(FIRST + timedelta(days=number)).isoformat() for number in range(7)]
days = st.none() | st.sampled_from(DAYS[1:-1])
rules = st.lists(st.tuples(st.tuples(conditions, conditions, ceilings), days, days), min_size=1, max_size=4)


def in_order(chosen):
    return [(rule, begins, until) for rule, begins, until in chosen if not (begins and until and begins > until)]


def dated(chosen):
    """The pack with these rules and dates, or None where a rule matches nothing."""
    plain = documents([rule for rule, _, _ in chosen])
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
