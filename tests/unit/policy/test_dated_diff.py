"""What changes by date between two packs: an end that opens needs safety's approval, for that date."""

from datetime import date

import pytest

from nightlight.policy.changes import ChangeKind
from nightlight.policy.diff import diff
from tests.unit.policy.test_dates import AFTER, BEFORE, DAY, LAST, rule

TODAY = date(2026, 11, 30)
LESS = "tier: medium, cache_s: 300, per_hour: 600}", "tier: medium, cache_s: 300, per_hour: 120}"


@pytest.fixture
def packs(tmp_path, edited, compiled):
    """Makes the default pack with rules of these dates."""

    def build(*rules):
        folder = tmp_path / f"pack-{len(list(tmp_path.iterdir()))}"
        pack = edited.__class__(folder)
        for number, dates in enumerate(rules):
            pack.add("rules.yaml", rule(f"quiet-{number}", **dates))
        return pack.compiled()

    return build


def compared(old, new, today=TODAY):
    """(which way, from when) of what changes for viewers, and whether safety must approve."""
    difference = diff(old, new, today=today)
    return {(change.kind.value, change.begins) for change in difference.outcomes}, difference.opens


def test_closing_by_date_needs_nobody(compiled, packs):
    assert compared(compiled, packs({"from_": DAY})) == ({("CLOSES", DAY)}, False)
    assert compared(packs({"from_": DAY}), packs({"from_": BEFORE})) == ({("CLOSES", BEFORE)}, False)


def test_an_end_that_opens_is_told_with_its_date_and_needs_safety(compiled, packs):
    ends = packs({"until": LAST})
    assert compared(compiled, ends) == ({("CLOSES", ""), ("OPENS", AFTER)}, True)
    (first, *_) = diff(compiled, ends, today=TODAY).outcomes
    assert (first.kind, first.safety, str(first).startswith(f"OPENS   from {AFTER}: ")) == (
        ChangeKind.OPENS,
        True,
        True,
    )
    assert any(AFTER in reason for reason in diff(compiled, ends, today=TODAY).reasons())


def test_what_was_approved_for_a_date_needs_no_second_approval(compiled, packs):
    ends = packs({"until": LAST})
    assert compared(ends, ends) == (set(), False)
    more = packs({"until": LAST}, {"from_": DAY, "tier": "none", "until": LAST})
    assert compared(ends, more)[1] is False


def test_another_date_is_another_opening(packs):
    assert compared(packs({"until": LAST}), packs({"until": "2027-02-15"})) == ({("OPENS", "2027-02-16")}, True)
    later, opens = compared(packs({"until": LAST}), packs({"until": "2027-03-31"}))
    assert (later, opens) == ({("CLOSES", AFTER), ("OPENS", "2027-04-01")}, True)


def test_an_end_that_is_taken_away_closes(packs):
    assert compared(packs({"until": LAST}), packs({})) == ({("CLOSES", AFTER)}, False)


def test_a_beginning_that_is_put_off_opens_meanwhile(packs):
    assert compared(packs({"from_": DAY}), packs({"from_": AFTER})) == ({("OPENS", DAY)}, True)


def test_what_is_over_is_nobodys_concern(compiled, packs):
    over = packs({"until": "2026-11-29"})
    assert compared(over, compiled) == (set(), False)
    assert compared(compiled, over) == (set(), False)
    assert compared(compiled, packs({"until": "2026-11-30"}))[1] is True
    assert diff(compiled, over).opens  # without a day, all dates count


def test_an_opening_of_today_counts(packs, compiled):
    """What ended yesterday is open today: it opens at once, whatever its date says."""
    closed = packs({})
    assert compared(closed, packs({"until": "2026-11-29"})) == ({("OPENS", "")}, True)


def test_a_wider_opening_on_an_approved_date_needs_approval(packs):
    old = packs({"until": LAST}, {"from_": DAY, "tier": "none"})
    new = packs({"until": LAST}, {"from_": DAY, "tier": "none", "until": LAST})
    assert compared(packs({"until": LAST, "tier": "none"}), packs({"until": LAST, "tier": "none"}))[1] is False
    assert compared(old, new) == ({("OPENS", AFTER)}, True)


def test_an_emergency_closes_every_date_and_brings_the_same_back(packs):
    from nightlight.policy.bundle_writer import build_bundle
    from nightlight.policy.compile import compile_bundle
    from nightlight.policy.emergency import emergency_pack
    from nightlight_core.policy.bundle import read_unverified
    from tests.unit.policy.test_regimes import Key

    active = packs({"until": LAST}, {"from_": "2027-06-01"})
    bundle = read_unverified(build_bundle(active, 1, Key()))
    emergency = emergency_pack(bundle, {"relation": ["outsider"], "region": ["eu"]}, tier="none", why="t")
    assert emergency.days == active.days
    changes, opens = compared(active, emergency)
    assert {kind for kind, _ in changes} == {"CLOSES"}
    assert opens is False
    words = {
        "assurance": "verified",
        "relation": "stranger",
        "region": "eu",
        "viewer": "peer",
        "report_flag": "clear",
        "choice": "connections",
    }
    for period in emergency.periods:
        for context in ("list", "profile"):
            given = {**words, "context": context, "subject_age": "age_13_15"}
            assert period.table.decide(given).tier == "none"
    back = compile_bundle(bundle)
    assert (back.digest, diff(active, back).same) == (active.digest, True)


def test_where_words_differ_every_opening_by_date_is_told(packs, edited, compiled):
    old = packs({"until": LAST})
    edited.change("vocabulary.yaml", "context: [profile,", "context: [reel, profile,")
    edited.add("rules.yaml", rule("quiet-0", until=LAST)).without_cases()
    changes, opens = compared(old, edited.compiled())
    assert ("OPENS", AFTER) in changes
    assert opens


def test_what_changes_in_the_same_way_on_all_dates_is_told_once(packs, edited):
    edited.add("rules.yaml", rule("quiet-0", from_=DAY)).change("rules.yaml", *LESS)
    difference = diff(packs({"from_": DAY}), edited.without_cases().compiled(), today=TODAY)
    assert {change.begins for change in difference.outcomes} == {""}
