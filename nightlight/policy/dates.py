"""Dates of rules: the days on which a pack changes by itself, and which rules hold in between.

A rule holds from the day in ``from`` to the day in ``until``, both included; days begin at midnight, UTC. Between two
days on which anything changes lies a period, named by its first day. The first one has no such day: its name is empty.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nightlight.policy.models import PolicyRule

# After every day that can be written.
END = "9999"
_DAY = timedelta(days=1)


def switch_days(rules: Iterable[PolicyRule]) -> list[str]:
    """Return the days on which a rule begins, or has just ended, in order."""
    days = set[str]()
    for rule in rules:
        if rule.begins is not None:
            days.add(rule.begins)
        if rule.until is not None:
            days.add(_next(rule.until))
    return sorted(days)


def holds_on(rule: PolicyRule, day: str) -> bool:
    """Say whether a rule holds on a day; an empty text stands for the time before all dates."""
    return (rule.begins is None or rule.begins <= day) and (rule.until is None or day <= rule.until)


def moved_dates(rule: PolicyRule) -> list[tuple[str, str, str]]:
    """Return mistakes in a rule's dates: what was done, the first day that the rule loses, and the day after the last.

    A rule that only holds on more days than before loses none: both are the same day. A rule that would end before it
    begins is refused, and left out.
    """
    moved = []
    if (begins := rule.begins) is not None:
        moved += [
            (f"from moved to {day}", begins, max(begins, day)) for day in _near(begins) if day <= (rule.until or END)
        ]
        moved.append(("from taken out", begins, begins))
    if (until := rule.until) is not None:
        after = _next(until)
        moved += [
            (f"until moved to {day}", min(_next(day), after), after)
            for day in _near(until)
            if (rule.begins or "") <= day
        ]
        moved.append(("until taken out", after, after))
    return moved


def _near(day: str) -> list[str]:
    """Return the days that are a day and a month before and after a day."""
    at = date.fromisoformat(day)
    months = [at.year * 12 + at.month - 1 + step for step in (-1, 1)]
    firsts = [date(number // 12, number % 12 + 1, 1) for number in months]
    same = [first.replace(day=min(at.day, monthrange(first.year, first.month)[1])) for first in firsts]
    return [near.isoformat() for near in (at - _DAY, at + _DAY, *same)]


def _next(day: str) -> str:
    return (date.fromisoformat(day) + _DAY).isoformat()


def when_text(begins: str) -> str:
    """Return a period as it is told after a sentence; nothing for the first one."""
    return f" from {begins}" if begins else ""
