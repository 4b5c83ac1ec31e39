"""What has changed in a bucket's rules since they were applied: which rule, whose, and from what to what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightlight.retention.lifecycle_plan import fingerprint, rules_by_id
from nightlight.retention.lifecycle_rule import read_rule

if TYPE_CHECKING:
    from nightlight.retention.lifecycle_plan import Raw
    from nightlight.retention.lifecycle_rule import LifecycleRule

ADDED, CHANGED, REMOVED = "added", "changed", "removed"
NOT_APPLIED, REWRITTEN = "not applied", "rewritten"


@dataclass(frozen=True, slots=True)
class DriftEntry:
    """One rule that differs from what was applied. ``before`` and ``after`` say in words what it is about and does.

    ``rule`` is empty where a whole bucket is meant: nothing was applied to it yet, or its rules are only written
    differently.
    """

    rule: str
    change: str
    ours: bool
    before: str | None = None
    after: str | None = None

    def sentence(self) -> str:
        """Return it in a sentence."""
        whose = "" if self.ours else " (somebody else's)"
        if self.change == NOT_APPLIED:
            return "nothing was applied yet"
        if self.change == REWRITTEN:
            return "rules that are not ours were changed since, or are written differently"
        if self.change == REMOVED:
            return f"{self.rule}{whose}: removed since; was {self.before}"
        if self.change == ADDED:
            return f"{self.rule}{whose}: added since; is {self.after}"
        return f"{self.rule}{whose}: was {self.before}; is {self.after}"


def find_drift(
    applied: Sequence[LifecycleRule], known: Sequence[Raw] | None, live: Sequence[Raw], known_fingerprint: str
) -> list[DriftEntry]:
    """Return what differs from what was applied, our rules first.

    ``known`` is every rule that was there then, None where an earlier release did not write it down;
    ``known_fingerprint`` is of the same rules.
    """
    present = rules_by_id(live)
    expected = {rule.rule_id: rule for rule in applied}
    entries = _compared(
        expected, {name: read_rule(raw) for name, raw in present.items() if name in expected}, ours=True
    )
    if known is not None:
        theirs = {name: read_rule(raw) for name, raw in rules_by_id(known).items() if name not in expected}
        now = {name: read_rule(raw) for name, raw in present.items() if name not in expected}
        entries += _compared(theirs, now, ours=False)
    if not entries and fingerprint(live) != known_fingerprint:
        entries.append(DriftEntry("", REWRITTEN, ours=False))
    return entries


def in_words(rule: LifecycleRule | None) -> str | None:
    """Return what a rule is about and does, None for no rule."""
    if rule is None:
        return None
    return f"{rule.about()}: {rule.does()}" + ("" if rule.enabled else " (disabled)")


def _compared(
    before: Mapping[str, LifecycleRule], after: Mapping[str, LifecycleRule], *, ours: bool
) -> list[DriftEntry]:
    entries = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new:
            change = REMOVED if new is None else ADDED if old is None else CHANGED
            entries.append(DriftEntry(name, change, ours, in_words(old), in_words(new)))
    return entries


def as_values(entry: DriftEntry) -> dict[str, Any]:
    """Return an entry in plain values."""
    return {
        "rule": entry.rule, "change": entry.change, "owner": "ours" if entry.ours else "foreign",
        "before": entry.before, "after": entry.after, "sentence": entry.sentence(),
    }  # fmt: skip
