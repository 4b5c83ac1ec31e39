"""Which lifecycle rules delete an object sooner than another rule keeps it.

A server goes by the earliest of all rules that match an object (Amazon S3 User Guide, "Lifecycle configuration
elements": the action that is taken first wins). So two rules are judged together, whoever wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightlight.retention.lifecycle_rule import LifecycleRule


def overlap(first: LifecycleRule, second: LifecycleRule) -> bool:
    """Say whether an object could match both rules: its key, its tags and its size."""
    values = dict(first.tags)
    least = max(first.larger_than or 0, second.larger_than or 0)
    most = min((rule.smaller_than for rule in (first, second) if rule.smaller_than is not None), default=None)
    return (
        (first.prefix.startswith(second.prefix) or second.prefix.startswith(first.prefix))
        and all(values.get(name, value) == value for name, value in second.tags)
        and (most is None or least + 1 < most)
    )


def narrower(first: LifecycleRule, second: LifecycleRule) -> bool:
    """Say whether every object of one rule matches the other too, and not the other way round."""
    return _within(first, second) and not _within(second, first)


def refused_pairs(rules: Sequence[LifecycleRule], apart: Sequence[str]) -> list[tuple[LifecycleRule, LifecycleRule]]:
    """Return (sooner, keeper) for each two rules of ours of which one deletes what the other still keeps.

    A narrower rule with fewer days is an exception, and meant. ``apart`` are prefixes whose objects carry no state:
    found copies and probes are never tagged, so the rule of a state keeps nothing there.
    """
    timed = [rule for rule in rules if rule.enabled and rule.expire_days is not None]
    return [
        (sooner, keeper)
        for sooner in timed
        for keeper in timed
        if (sooner.expire_days or 0) < (keeper.expire_days or 0)
        and overlap(sooner, keeper)
        and not narrower(sooner, keeper)
        and not (sooner.prefix in apart and keeper.tags)
        and not (keeper.prefix in apart and sooner.tags)
    ]


def kept_longer(rule: LifecycleRule, wanted: Sequence[LifecycleRule], *, forever: bool) -> list[str]:
    """Return what keeps longer than a rule of somebody else's deletes: names of our rules with their days.

    ``forever``: the bucket keeps everything until a person ends its hold, so that any deletion is too soon.
    """
    if not rule.enabled:
        return []
    deletes = rule.expire_days is not None or rule.expire_date is not None
    if forever:
        return ["the vault (until its hold ends)"] if deletes or rule.noncurrent_days is not None else []
    both = [ours for ours in wanted if overlap(rule, ours)]
    longer = [
        f"{ours.rule_id} ({ours.expire_days:,} days)"
        for ours in both
        if ours.expire_days is not None
        and (rule.expire_date is not None or (rule.expire_days is not None and rule.expire_days < ours.expire_days))
    ]
    longer += [
        f"{ours.rule_id} ({ours.noncurrent_days:,} days for earlier versions)"
        for ours in both
        if rule.noncurrent_days is not None
        and ours.noncurrent_days is not None
        and rule.noncurrent_days < ours.noncurrent_days
    ]
    return longer


def days_kept(key: str, tags: Mapping[str, str], size: int, wanted: Sequence[LifecycleRule]) -> int | None:
    """Return after how many days our rules delete an object, None where they never do."""
    days = [rule.expire_days for rule in wanted if rule.expire_days is not None and rule.matches(key, tags, size)]
    return min(days, default=None)


def _within(first: LifecycleRule, second: LifecycleRule) -> bool:
    return (
        first.prefix.startswith(second.prefix)
        and set(second.tags) <= set(first.tags)
        and (second.larger_than or 0) <= (first.larger_than or 0)
        and (
            second.smaller_than is None
            or (first.smaller_than is not None and first.smaller_than <= second.smaller_than)
        )
    )
