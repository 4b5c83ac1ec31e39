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

from nightlight.retention.lifecycle_conflicts import kept_longer
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
    """One rule: what is there, what is wanted, and what is to be known of it.

    ``sooner``: it is somebody else's, and deletes what a rule of ours keeps longer.
    """

    step: PlanStep
    rule_id: str
    present: LifecycleRule | None
    after: LifecycleRule | None
    notes: tuple[str, ...] = ()
    sooner: bool = False


@dataclass(frozen=True, slots=True)
class LifecyclePlan:
    """What is to be done to one bucket, so that its rules are ``wanted``; ``ours`` are those of the policy among them.

    ``fingerprint`` is the fingerprint of the rules that it was made from. ``snapshot_id`` is of a plan that goes back
    to what was there before.
    """

    bucket: str
    actions: tuple[PlannedChange, ...]
    fingerprint: str
    ours: tuple[LifecycleRule, ...] = field(repr=False)
    wanted: tuple[Raw, ...] = field(repr=False)
    snapshot_id: int | None = None

    @property
    def changes(self) -> list[PlannedChange]:
        """Return what is not as it should be."""
        return [change for change in self.actions if change.step in {PlanStep.ADD, PlanStep.CHANGE, PlanStep.REMOVE}]

    @property
    def digest(self) -> str:
        """Return a SHA-256, in hexadecimal, of the state that it was made for and of all that it comes to."""
        changes = [(str(change.step), change.rule_id) for change in self.changes]
        whole = [self.bucket, self.fingerprint, fingerprint(self.wanted), changes]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def fingerprint(live: Sequence[Raw]) -> str:
    """Return a SHA-256, in hexadecimal, of everything that is there, word by word."""
    ordered = sorted(json.dumps(rule, sort_keys=True, default=_plain) for rule in live)
    return hashlib.sha256("\n".join(ordered).encode()).hexdigest()


def plan_changes(
    bucket: str,
    wanted: Sequence[LifecycleRule],
    applied: Sequence[LifecycleRule],
    live: Sequence[Raw],
    *,
    forever: bool = False,
) -> LifecyclePlan:
    """Return the plan; raise LifecycleRefused where it cannot be carried out. ``forever``: see PrefixRules."""
    ours = {rule.rule_id: rule for rule in wanted}
    last = {rule.rule_id: rule for rule in applied}
    present = rules_by_id(live)
    actions = [_action(ours[name], last.get(name), present.get(name)) for name in sorted(ours)]
    for name in sorted(present.keys() - ours.keys()):
        before = read_rule(present[name])
        if name in last:
            notes = () if before == last[name] else ("somebody has changed it since it was applied",)
            actions.append(PlannedChange(PlanStep.REMOVE, name, before, None, notes))
        else:
            actions.append(_foreign(before, wanted, forever=forever))
    foreign = [raw for raw in live if str(raw.get("ID", "")) not in ours.keys() | last.keys()]
    all_rules = [*foreign, *(write_rule(ours[name]) for name in sorted(ours))]
    if len(all_rules) > MOST_RULES:
        raise LifecycleRefused(f"{bucket}: {len(all_rules):,} rules; a bucket holds {MOST_RULES:,}")
    return LifecyclePlan(bucket, tuple(actions), fingerprint(live), tuple(wanted), tuple(all_rules))


def plan_return(
    bucket: str,
    snapshot_id: int,
    earlier: Sequence[Raw],
    ours: Sequence[LifecycleRule],
    applied: Sequence[LifecycleRule],
    live: Sequence[Raw],
) -> LifecyclePlan:
    """Return the plan that takes our rules back to ``earlier``, and leaves everybody else's as they are now.

    ``ours`` are those of ours among ``earlier``. A rule that somebody else has removed or changed meanwhile is theirs:
    it is not brought back.
    """
    own_ids = {rule.rule_id for rule in (*ours, *applied)}
    back = {name: raw for name, raw in rules_by_id(earlier).items() if name in own_ids}
    present = rules_by_id(live)
    actions = []
    for name in sorted(own_ids & (back.keys() | present.keys())):
        before = read_rule(present[name]) if name in present else None
        after = read_rule(back[name]) if name in back else None
        step = PlanStep.ADD if before is None else PlanStep.REMOVE if after is None else PlanStep.CHANGE
        actions.append(PlannedChange(PlanStep.KEEP if before == after else step, name, before, after))
    foreign = {name: raw for name, raw in present.items() if name not in own_ids}
    actions += [
        PlannedChange(PlanStep.FOREIGN, name, read_rule(raw), read_rule(raw)) for name, raw in sorted(foreign.items())
    ]
    wanted = (*foreign.values(), *(back[name] for name in sorted(back)))
    return LifecyclePlan(bucket, tuple(actions), fingerprint(live), tuple(ours), wanted, snapshot_id)


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


def _foreign(rule: LifecycleRule, wanted: Sequence[LifecycleRule], *, forever: bool) -> PlannedChange:
    """Return a rule of somebody else's, with what it does that the policy does not say."""
    longer = kept_longer(rule, wanted, forever=forever)
    notes = [f"DELETES SOONER than {', '.join(longer)}: {rule.about()} is {rule.does()}"] if longer else []
    if rule.rule_id.startswith(OURS):
        notes.append("it has a name like ours and was not applied by this catalogue")
    return PlannedChange(PlanStep.FOREIGN, rule.rule_id, rule, rule, tuple(notes), bool(longer))


def rules_by_id(live: Sequence[Raw]) -> dict[str, Raw]:
    """Return rules by their ids; raise LifecycleRefused where two have one."""
    by_id: dict[str, Raw] = {}
    for raw in live:
        name = str(raw.get("ID", ""))
        if name in by_id:
            raise LifecycleRefused(f"two rules have the id '{name}'")
        by_id[name] = raw
    return by_id


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def disabled(rules: Sequence[Raw], names: set[str]) -> list[Raw]:
    """Return the rules with those that are named turned off."""
    return [{**rule, "Status": "Disabled"} if rule.get("ID") in names else rule for rule in rules]


def lost_rules(wanted: Sequence[Raw], live: Sequence[Raw]) -> list[str]:
    """Return the ids of what is not there as it was put: nothing where the server kept all that it was told."""
    present = {name: read_rule(raw) for name, raw in rules_by_id(live).items()}
    expected = {str(raw.get("ID", "")): read_rule(raw) for raw in wanted}
    return sorted(name for name in expected.keys() | present.keys() if expected.get(name) != present.get(name))
