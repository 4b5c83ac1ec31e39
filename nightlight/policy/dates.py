"""Dates of rules: the days on which a pack changes by itself, and which rules hold in between.

A rule holds from the day in ``from`` to the day in ``until``, both included; days begin at midnight, UTC. Between two
days on which anything changes lies a period, named by its first day. The first one has no such day: its name is empty.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nightlight.policy.models import PolicyRule


def switch_days(rules: Iterable[PolicyRule]) -> list[str]:
    """Return the days on which a rule begins, or has just ended, in order."""
    days = set[str]()
    for rule in rules:
        if rule.begins is not None:
            days.add(rule.begins)
        if rule.until is not None:
            days.add((date.fromisoformat(rule.until) + timedelta(days=1)).isoformat())
    return sorted(days)


def holds_on(rule: PolicyRule, day: str) -> bool:
    """Say whether a rule holds on a day; an empty text stands for the time before all dates."""
    return (rule.begins is None or rule.begins <= day) and (rule.until is None or day <= rule.until)


def when_text(begins: str) -> str:
    """Return a period as it is told after a sentence; nothing for the first one."""
    return f" from {begins}" if begins else ""
