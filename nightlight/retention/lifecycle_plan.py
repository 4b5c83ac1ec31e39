"""What is to be done to a bucket's rules: what the policy wants, what was applied last, and what is there, compared.

Rules are compared by meaning. A rule is ours if the policy wants it or it was applied last; every other one is foreign,
and is kept as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from nightlight.retention.lifecycle_rule import MOST_RULES, LifecycleRule, read_rule, write_rule
from nightlight.retention.wanted_rules import OURS
from nightlight_core.errors import LifecycleRefused

Raw = Mapping[str, Any]


class PlanStep(StrEnum):
    """What is done to a rule."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"
    KEEP = "keep"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One rule: what is there, what is wanted, and what is to be known of it."""

    step: PlanStep
    rule_id: str
    present: LifecycleRule | None
    after: LifecycleRule | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LifecyclePlan:
    """What is to be done to one bucket, so that its rules are ``wanted``; ``ours`` are those of the policy among them.

    ``fingerprint`` is the fingerprint of the rules that it was made from.
    """

    bucket: str
    actions: tuple[PlannedChange, ...]
    fingerprint: str
    ours: tuple[LifecycleRule, ...] = field(repr=False)
    wanted: tuple[Raw, ...] = field(repr=False)

    @property
    def changes(self) -> list[PlannedChange]:
        """Return what is not as it should be."""
        return [change for change in self.actions if change.step in {PlanStep.ADD, PlanStep.CHANGE, PlanStep.REMOVE}]


def fingerprint(live: Sequence[Raw]) -> str:
    """Return a SHA-256, in hexadecimal, of everything that is there, word by word."""
    ordered = sorted(json.dumps(rule, sort_keys=True, default=_plain) for rule in live)
    return hashlib.sha256("\n".join(ordered).encode()).hexdigest()


def plan_changes(
    bucket: str, wanted: Sequence[LifecycleRule], applied: Sequence[LifecycleRule], live: Sequence[Raw]
) -> LifecyclePlan:
    """Return the plan; raise LifecycleRefused where it cannot be carried out."""
    ours = {rule.rule_id: rule for rule in wanted}
    last = {rule.rule_id: rule for rule in applied}
    present = _by_id(live)
    actions = [_action(ours[name], last.get(name), present.get(name)) for name in sorted(ours)]
    for name in sorted(present.keys() - ours.keys()):
        before = read_rule(present[name])
        if name in last:
            notes = () if before == last[name] else ("somebody has changed it since it was applied",)
            actions.append(PlannedChange(PlanStep.REMOVE, name, before, None, notes))
        else:
            actions.append(PlannedChange(PlanStep.FOREIGN, name, before, before, _warnings(before, wanted)))
    foreign = [raw for raw in live if str(raw.get("ID", "")) not in ours.keys() | last.keys()]
    all_rules = [*foreign, *(write_rule(ours[name]) for name in sorted(ours))]
    if len(all_rules) > MOST_RULES:
        raise LifecycleRefused(f"{bucket}: {len(all_rules):,} rules; a bucket holds {MOST_RULES:,}")
    return LifecyclePlan(bucket, tuple(actions), fingerprint(live), tuple(wanted), tuple(all_rules))


def drift(applied: Sequence[LifecycleRule], live: Sequence[Raw], known_fingerprint: str) -> list[str]:
    """Return, in sentences, what differs from what was applied; ``known_fingerprint`` is of all rules then."""
    present, sentences = _by_id(live), []
    for rule in applied:
        raw = present.get(rule.rule_id)
        if raw is None:
            sentences.append(f"{rule.rule_id}: removed since")
        elif read_rule(raw) != rule:
            sentences.append(
                f"{rule.rule_id}: was {rule.about()}: {_text(rule)}; is "
                f"{read_rule(raw).about()}: {_text(read_rule(raw))}"
            )
    if not sentences and fingerprint(live) != known_fingerprint:
        sentences.append("rules that are not ours were changed since, or are written differently")
    return sentences


def rules_as_values(rules: Sequence[Raw]) -> list[dict[str, Any]]:
    """Return rules in plain values, as they are kept."""
    values: list[dict[str, Any]] = json.loads(json.dumps(list(rules), default=_plain))
    return values


def _action(wanted: LifecycleRule, last: LifecycleRule | None, raw: Raw | None) -> PlannedChange:
    if raw is None:
        gone = ("it was applied before, and somebody has removed it",) if last is not None else ()
        return PlannedChange(PlanStep.ADD, wanted.rule_id, None, wanted, gone)
    before = read_rule(raw)
    if before == wanted:
        return PlannedChange(PlanStep.KEEP, wanted.rule_id, before, wanted)
    notes: list[str] = []
    if last is None:
        notes.append("it is there already, and was not applied by this catalogue")
    elif before != last:
        notes.append("somebody has changed it since it was applied")
    sooner = [
        f"deletes after {after} days, until now {now}"
        for now, after in (
            (before.expire_days, wanted.expire_days),
            (before.noncurrent_days, wanted.noncurrent_days),
        )
        if after is not None and (now is None or after < now)
    ]
    return PlannedChange(PlanStep.CHANGE, wanted.rule_id, before, wanted, (*notes, *sooner))


def _warnings(foreign: LifecycleRule, wanted: Sequence[LifecycleRule]) -> tuple[str, ...]:
    """Return what a rule of somebody else's does that the policy does not say."""
    warnings = []
    longest = max((rule.expire_days for rule in wanted if rule.expire_days is not None), default=None)
    if foreign.enabled and (foreign.expire_date or (longest and (foreign.expire_days or longest) < longest)):
        warnings.append(f"DELETES SOONER than the policy ({longest:,} days): {foreign.about()} is {foreign.does()}")
    if foreign.rule_id.startswith(OURS):
        warnings.append("it has a name like ours and was not applied by this catalogue")
    return tuple(warnings)


def _by_id(live: Sequence[Raw]) -> dict[str, Raw]:
    by_id: dict[str, Raw] = {}
    for raw in live:
        name = str(raw.get("ID", ""))
        if name in by_id:
            raise LifecycleRefused(f"two rules have the id '{name}'")
        by_id[name] = raw
    return by_id


def _text(rule: LifecycleRule) -> str:
    return rule.does() + ("" if rule.enabled else " (disabled)")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def disabled(rules: Sequence[Raw], names: set[str]) -> list[Raw]:
    """Return the rules with those that are named turned off."""
    return [{**rule, "Status": "Disabled"} if rule.get("ID") in names else rule for rule in rules]


def lost_rules(wanted: Sequence[Raw], live: Sequence[Raw]) -> list[str]:
    """Return the ids of what is not there as it was put: nothing where the server kept all that it was told."""
    present = {name: read_rule(raw) for name, raw in _by_id(live).items()}
    expected = {str(raw.get("ID", "")): read_rule(raw) for raw in wanted}
    return sorted(name for name in expected.keys() | present.keys() if expected.get(name) != present.get(name))
