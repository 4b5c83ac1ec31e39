import itertools
import json
import random

import pytest

from nightlight.policy.changes import ChangeKind
from nightlight.policy.diff import diff
from nightlight.policy.diff_report import markdown
from nightlight.policy.traffic import Traffic, read_traffic
from nightlight_core.errors import PolicyRefused


def kinds(difference):
    return {change.kind for change in difference.changes}


def test_a_pack_does_not_differ_from_itself(compiled):
    difference = diff(compiled, compiled)
    assert difference.same
    assert not difference.opens
    assert markdown(difference) == "### Policy: nothing changes for anybody\n"


def test_wording_comments_and_order_are_no_difference(compiled, edited):
    edited.change("rules.yaml", "why: a block is absolute", "why: blocked is blocked")
    assert diff(compiled, edited.compiled()).same


def test_every_combination_that_differs_is_told_once(compiled, edited):
    edited.change(
        "rules.yaml", "when: {region: [us_ca, unknown], relation: outsider}", "when: {region: [uk], relation: outsider}"
    )
    new = edited.without_cases().compiled()
    difference = diff(compiled, new)
    changed = 0
    for words in itertools.product(*compiled.space.attributes.values()):
        given = dict(zip(compiled.space.attributes, words, strict=True))
        before, after = compiled.table.decide(given), new.table.decide(given)
        changed += (before.tier, before.cache_s, before.per_hour) != (after.tier, after.cache_s, after.per_hour)
    assert sum(change.count for change in difference.outcomes) == changed > 0
    assert kinds(difference) == {ChangeKind.OPENS, ChangeKind.CLOSES}
    assert difference.outcomes[0].kind is ChangeKind.OPENS


def test_a_rule_that_is_added_only_closes(compiled, edited):
    edited.add(
        "rules.yaml", "  - {id: extra, why: a test, when: {region: uk, relation: connection}, at_most: {tier: low}}\n"
    )
    difference = diff(compiled, edited.without_cases().compiled())
    assert kinds(difference) == {ChangeKind.CLOSES}
    assert not difference.opens


def test_a_change_that_closes_one_field_and_opens_another_opens(compiled, edited):
    edited.change(
        "rules.yaml",
        "at_most: {tier: medium, cache_s: 300, per_hour: 600}",
        "at_most: {tier: low, cache_s: 3600, per_hour: 600}",
    )
    assert diff(compiled, edited.without_cases().compiled()).outcomes[0].kind is ChangeKind.OPENS


@pytest.mark.parametrize(
    ("file", "old", "new", "kind", "where"),
    [
        ("tiers.yaml", "edge: 96", "edge: 112", ChangeKind.OPENS, "tier tiny, edge"),
        ("tiers.yaml", "edge: 1024", "edge: 640", ChangeKind.CLOSES, "tier full, edge"),
        ("tiers.yaml", "quality: 70", "quality: 75", ChangeKind.CHANGES, "tier low, quality"),
        ("tiers.yaml", "quality: 78, effort: 3, visible_watermark: clear", "quality: 78, effort: 3, visible_watermark: none", ChangeKind.OPENS, "tier medium, visible_watermark"),
        ("tiers.yaml", "effort: 2", "effort: 1", ChangeKind.CHANGES, "tier full, effort"),
        ("retention.yaml", "keep_days: 7", "keep_days: 14", ChangeKind.OPENS, "state replaced or account_closed, subject_age protected"),
        ("retention.yaml", "keep_days: 3650", "keep_days: 365", ChangeKind.CLOSES, "state live"),
    ],
)  # fmt: skip
def test_recipes_and_retention_are_compared_too(compiled, edited, file, old, new, kind, where):
    edited.change(file, old, new)
    difference = diff(compiled, edited.compiled())
    (change,) = difference.recipes + difference.retention
    assert (change.kind, change.where) == (kind, where)
    assert {outcome.kind for outcome in difference.outcomes} == ({kind} if file == "tiers.yaml" else set())


def test_a_face_budget_closes_and_taking_it_away_opens(compiled, edited):
    limited = edited.change("tiers.yaml", "face_px: 5,", "face_px: 4,").compiled()
    assert kinds(diff(compiled, limited)) == {ChangeKind.CLOSES}
    assert kinds(diff(limited, compiled)) == {ChangeKind.OPENS}


def test_taking_a_check_out_or_changing_it_needs_safety_and_adding_one_does_not(compiled, edited):
    new = edited.change(
        "checks.yaml",
        "id: blocked-none, where: {relation: blocked}, tier_at_most: none",
        "id: blocked-none, where: {relation: blocked}, tier_at_most: tiny",
    ).compiled()
    difference = diff(compiled, new)
    assert difference.checks == ("check 'blocked-none' was changed: tier_at_most: none -> tiny",)
    assert difference.opens
    added = diff(new, compiled)
    assert added.opens  # changed back is a change too: a person looks at it
    edited.add("checks.yaml", "  - {id: another, along: region, where: {relation: blocked}}\n")
    assert diff(new, edited.compiled()).same


def test_a_group_that_changes_what_a_check_means_is_a_changed_check(compiled, edited):
    """The rules say the same in plain words, so the table is the same; the checks silently cover less."""
    before = edited.change(
        "vocabulary.yaml",
        "relation: {outsider: [mutual, stranger]}",
        "relation: {outsider: [mutual, stranger], far: [mutual, stranger]}",
    ).compiled()
    text = (edited.folder / "rules.yaml").read_text()
    (edited.folder / "rules.yaml").write_text(
        text.replace("relation: outsider", "relation: far").replace(", outsider]", ", far]")
    )
    edited.change("vocabulary.yaml", "outsider: [mutual, stranger],", "outsider: [stranger],")
    after = edited.without_cases().compiled()
    assert after.table.digest == before.table.digest
    difference = diff(before, after)
    assert difference.opens
    (line,) = [line for line in difference.checks if line.startswith("check 'outsider-tiny'")]
    assert line == "check 'outsider-tiny' was changed: where.relation: mutual or stranger -> stranger"


def test_an_approval_of_one_change_to_a_check_does_not_fit_another(compiled, edited):
    check = "{id: blocked-none, where: {relation: blocked}, tier_at_most: none}"
    changed = edited.change("checks.yaml", check, check.replace("tier_at_most: none", "tier_at_most: tiny")).compiled()
    other = edited.change(
        "checks.yaml", check.replace("none}", "tiny}"), check.replace("tier_at_most: none", "tier_at_most: full")
    ).compiled()
    first, second = diff(compiled, changed), diff(compiled, other)
    assert first.checks != second.checks
    assert first.digest != second.digest


def test_a_new_word_was_none_before_and_an_attribute_that_is_new_did_not_matter(compiled, edited):
    edited.change("vocabulary.yaml", "in, my, other]", "in, jp, my, other]")
    difference = diff(compiled, edited.compiled())
    assert kinds(difference) == {ChangeKind.OPENS}
    assert all("region jp" in change.where for change in difference.outcomes)
    edited.without_cases().change("vocabulary.yaml", "  report_flag: [clear, reported]", "  #")
    edited.change(
        "rules.yaml", "    when: {report_flag: reported}\n    unless", "    when: {choice: hidden}\n    unless"
    )
    edited.change("checks.yaml", "where: {report_flag: reported, ", "where: {choice: hidden, ")
    (edited.folder / "regimes/us-take-it-down.yaml").unlink()
    narrow = edited.compiled()
    wider = diff(narrow, compiled).outcomes
    assert any("report_flag reported" in change.where for change in wider)


def test_a_tier_put_between_others_keeps_the_order(compiled, edited):
    edited.change("vocabulary.yaml", "tier: [none, tiny, low,", "tier: [none, tiny, small, low,")
    edited.change("tiers.yaml", "  low: ", "  small: {edge: 112, face_px: 9, no_face_px: 16}\n  low: ")
    edited.change(
        "rules.yaml",
        "at_most: {tier: tiny, cache_s: 3600, per_hour: 120}",
        "at_most: {tier: small, cache_s: 3600, per_hour: 120}",
    )
    new = edited.without_cases().compiled()
    assert kinds(diff(compiled, new)) == {ChangeKind.OPENS, ChangeKind.CHANGES}
    assert {change.kind for change in diff(new, compiled).outcomes} == {ChangeKind.CLOSES}


def test_the_digest_of_a_difference_follows_what_differs_and_not_the_traffic(compiled, edited):
    new = edited.change("rules.yaml", "per_hour: 120", "per_hour: 30").without_cases().compiled()
    traffic = Traffic(1.0, tuple(compiled.space.attributes), {})
    assert diff(compiled, new).digest == diff(compiled, new, traffic).digest
    assert diff(compiled, new).digest != diff(new, compiled).digest
    json.dumps(diff(compiled, new, traffic).to_json())


def test_traffic_says_how_many_views_a_day_a_sentence_touches(compiled, edited, tmp_path):
    new = (
        edited.change(
            "rules.yaml",
            "when: {relation: self}\n    at_most: {tier: full",
            "when: {relation: self}\n    at_most: {tier: medium",
        )
        .without_cases()
        .compiled()
    )
    cells = {
        ("adult", "verified", "self", "uk", "peer", "profile", "everyone", "clear"): 700,
        ("adult", "verified", "stranger", "uk", "peer", "profile", "everyone", "clear"): 10**6,
    }
    path = tmp_path / "w.json"
    path.write_text(json.dumps(Traffic(7.0, tuple(compiled.space.attributes), cells).to_json()))
    (change,) = diff(compiled, new, read_traffic(path)).outcomes
    assert change.views_a_day == 100.0
    assert "100 views a day" in str(change)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": "policy-traffic/1", "days": 0, "attributes": [], "cells": {}}',
     '{"format": "x", "days": 1, "attributes": ["a"], "cells": {"b": 1}}',
     '{"format": "policy-traffic/1", "days": 1, "attributes": ["a"], "cells": {"b,c": 1}}',
     '{"format": "policy-traffic/1", "days": 1, "attributes": ["a"], "cells": {"b": -1}}',
     '{"format": "policy-traffic/1", "days": "x", "attributes": ["a"], "cells": {"b": 1}}'],
)  # fmt: skip
def test_files_that_hold_no_traffic_are_refused(tmp_path, text):
    path = tmp_path / "w.json"
    path.write_text(text)
    with pytest.raises(PolicyRefused):
        read_traffic(path)


def test_markdown_is_a_table_for_each_part(compiled, edited):
    edited.change("retention.yaml", "keep_days: 180", "keep_days: 60").change("tiers.yaml", "edge: 96", "edge: 112")
    text = markdown(diff(compiled, edited.without_cases().compiled()))
    assert text.startswith("### Policy: **safety must approve")
    assert "| **OPENS** | tier tiny, edge | 96 | 112 | edge | 1 |" in text
    assert "| **CLOSES** (safety) | state deactivated | kept 180 days | kept 60 days |" in text


def test_random_edits_never_lose_a_combination(compiled, edited):
    """Loosen and tighten rules at random; the sentences' counts are the number of combinations that differ."""
    generator = random.Random(11)
    text = (edited.folder / "rules.yaml").read_text()
    edited.without_cases()
    for _ in range(5):
        changed = text
        for _ in range(3):
            old = generator.choice(["tier: tiny", "tier: medium", "cache_s: 3600,", "per_hour: 600}", "tier: low"])
            new = {
                "tier": generator.choice(["tier: tiny", "tier: low", "tier: full"]),
                "cach": "cache_s: 60,",
                "per_": "per_hour: 30}",
            }[old[:4]]
            changed = changed.replace(old, new, 1)
        (edited.folder / "rules.yaml").write_text(changed)
        other = edited.compiled()
        differing = sum((compiled.ranks[f] != other.ranks[f]).astype(int) for f in compiled.ranks) > 0
        assert sum(change.count for change in diff(compiled, other).outcomes) == int(differing.sum())
