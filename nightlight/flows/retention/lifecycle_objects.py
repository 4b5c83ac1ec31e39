"""The objects that lifecycle rules are about: how many, how large, and which outlived their rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from nightlight.retention.lifecycle_conflicts import days_kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nightlight.retention.bucket_client import BucketClient, BucketObject
    from nightlight.retention.lifecycle_plan import LifecyclePlan
    from nightlight.retention.lifecycle_rule import LifecycleRule

# Days are rounded up to the next midnight, and a server takes its time: an object is late only after so many more.
GRACE_DAYS = 2
# Who would have to be asked for the tags of more objects than these is not counted.
MOST_TAGS = 10_000
Progress = Callable[[int], None]


class RuleEffect(NamedTuple):
    """What a rule is about: objects and bytes, and how many of them it deletes at once.

    Of a rule of somebody else's that deletes sooner, these are the objects that it deletes sooner (``sooner``).
    ``counted`` is False where there are too many objects to ask for their tags.
    """

    rule_id: str
    objects: int
    bytes: int
    at_once: int
    counted: bool
    sooner: bool = False


class OverdueObject(NamedTuple):
    """An object that is there although its rule should have deleted it."""

    bucket: str
    key: str
    rule_id: str
    written_at: datetime
    due_at: datetime


def count_effects(
    bucket: BucketClient, plan: LifecyclePlan, now: datetime, day: timedelta, progress: Progress, *, forever: bool
) -> list[RuleEffect]:
    """Return what each rule that is added or changed is about, and what each foreign one deletes sooner."""
    ours = [change.after for change in plan.changes if change.after is not None and change.after.expire_days]
    sooner = [change.after for change in plan.actions if change.sooner and change.after is not None]
    rules = [*ours, *sooner]
    effects = {rule.rule_id: RuleEffect(rule.rule_id, 0, 0, 0, counted=True, sooner=rule in sooner) for rule in rules}
    tagged = any(rule.tags for rule in (*rules, *(plan.ours if sooner else ())))
    listed = 0
    for object_ in bucket.objects() if rules else ():
        listed += 1
        tags = bucket.tags(object_.key) if tagged and listed <= MOST_TAGS else {}
        for rule in rules:
            if not rule.matches(object_.key, tags, object_.size):
                continue
            if rule in sooner and not _too_soon(rule, object_, tags, plan.ours, day, forever=forever):
                continue
            name, objects, size, at_once, counted, is_sooner = effects[rule.rule_id]
            due = _gone_at(rule, object_, day)
            at_once += due is not None and due <= now
            effects[name] = RuleEffect(name, objects + 1, size + object_.size, at_once, counted, is_sooner)
        progress(listed)
    uncounted = {rule.rule_id for rule in rules if listed > MOST_TAGS and (rule.tags or (rule in sooner and tagged))}
    return [effect._replace(counted=effect.rule_id not in uncounted) for effect in effects.values()]


def overdue_objects(
    bucket: BucketClient, rules: Sequence[LifecycleRule], now: datetime, day: timedelta, progress: Progress
) -> Iterator[OverdueObject]:
    """Yield the objects that outlived a rule that was applied, with two days of grace."""
    timed = [rule for rule in rules if rule.expire_days is not None]
    for number, object_ in enumerate(bucket.objects() if timed else ()):
        progress(number + 1)
        old = [rule for rule in timed if due_at(object_, rule, day) + GRACE_DAYS * day < now]
        tags = bucket.tags(object_.key) if any(rule.tags for rule in old) else {}
        for rule in old:
            if rule.matches(object_.key, tags, object_.size):
                due = due_at(object_, rule, day)
                yield OverdueObject(bucket.name, object_.key, rule.rule_id, object_.written_at, due)
                break


def due_at(object_: BucketObject, rule: LifecycleRule, day: timedelta) -> datetime:
    """Return when a rule of days deletes an object."""
    return object_.written_at + (rule.expire_days or 0) * day


def _gone_at(rule: LifecycleRule, object_: BucketObject, day: timedelta) -> datetime | None:
    """Return when a rule deletes an object, None where it is only about earlier versions."""
    if rule.expire_date is not None:
        return datetime.fromisoformat(rule.expire_date).replace(tzinfo=object_.written_at.tzinfo)
    return due_at(object_, rule, day) if rule.expire_days is not None else None


def _too_soon(
    rule: LifecycleRule, object_: BucketObject, tags: Mapping[str, str], ours: Sequence[LifecycleRule], day: timedelta,
    *, forever: bool,
) -> bool:  # fmt: skip
    gone = _gone_at(rule, object_, day)
    if gone is None:
        return False
    days = days_kept(object_.key, tags, object_.size, ours)
    return forever if days is None else gone < object_.written_at + days * day
