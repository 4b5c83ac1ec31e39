"""Buckets' lifecycle rules from the policy: plan, apply, drift, verify, undo.

S3 replaces all rules at once and has no compare-and-swap, and a server may drop what it does not know without a word.
So an application holds the bucket's row in the catalogue, reads again, refuses if anything differs from the plan, puts
the new rules turned off, reads them back, and turns them on only if all is there as it was put; else it puts back what
was there before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from nightlight import logs
from nightlight.catalogue.lifecycles import AppliedRules
from nightlight.retention.lifecycle_plan import (
    LifecyclePlan,
    Raw,
    disabled,
    drift,
    fingerprint,
    lost_rules,
    plan_changes,
    rules_as_values,
)
from nightlight.retention.lifecycle_rule import LifecycleRule, read_rule, write_rule
from nightlight.retention.wanted_rules import PrefixRules, wanted_rules
from nightlight_core.errors import LifecycleRefused, NightlightError, NotFound

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.policy.retention import RetentionTable
    from nightlight.retention.bucket_client import BucketClient, BucketObject
    from nightlight_core.clock import Clock

# Days are rounded up to the next midnight, and a server takes its time: an object is late only after so many more.
GRACE_DAYS = 2
# Who would have to be asked for the tags of more objects than these is not counted.
MOST_TAGS = 10_000
Progress = Callable[[int], None]


class RuleEffect(NamedTuple):
    """What a rule is about: objects and bytes, and how many of them it deletes at once; None where nobody counted."""

    rule_id: str
    objects: int
    bytes: int
    at_once: int
    counted: bool


class OverdueObject(NamedTuple):
    """An object that is there although its rule should have deleted it."""

    bucket: str
    key: str
    rule_id: str
    written_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class ManageLifecycle:
    """Plans and applies. ``prefixes`` are the keys of each bucket that have days of their own."""

    catalogue: Catalogue
    buckets: Mapping[str, BucketClient]
    prefixes: Mapping[str, PrefixRules]
    retention: Callable[[], RetentionTable]
    clock: Clock
    day: timedelta = timedelta(days=1)

    def wanted(self, bucket: str) -> list[LifecycleRule]:
        """Return the rules that the policy comes to for a bucket."""
        return wanted_rules(self.retention(), self.prefixes.get(bucket, PrefixRules()))

    def plan(self, bucket: str) -> LifecyclePlan:
        """Return what is to be done to a bucket; raises LifecycleRefused, or what the server answers."""
        _, rules = self._applied(bucket)
        return plan_changes(bucket, self.wanted(bucket), rules, self._bucket(bucket).rules())

    def touched(self, plan: LifecyclePlan, progress: Progress = lambda _: None) -> list[RuleEffect]:
        """Return what each rule that is added or changed is about, among the objects that are there."""
        bucket, now = self._bucket(plan.bucket), self.clock()
        after = [change.after for change in plan.changes if change.after is not None]
        rules = [rule for rule in after if rule.expire_days is not None]
        effects = {rule.rule_id: RuleEffect(rule.rule_id, 0, 0, 0, counted=True) for rule in rules}
        tagged = any(rule.tags for rule in rules)
        listed = 0
        for object_ in bucket.objects() if rules else ():
            listed += 1
            tags = bucket.tags(object_.key) if tagged and listed <= MOST_TAGS else {}
            for rule in rules:
                if rule.matches(object_.key, tags, object_.size):
                    name, objects, size, at_once, _ = effects[rule.rule_id]
                    due = _due(object_, rule, self.day) <= now
                    effects[name] = RuleEffect(name, objects + 1, size + object_.size, at_once + due, counted=True)
            progress(listed)
        too_many = {rule.rule_id for rule in rules if rule.tags and listed > MOST_TAGS}
        return [effect._replace(counted=effect.rule_id not in too_many) for effect in effects.values()]

    def apply(self, plan: LifecyclePlan, *, actor: str) -> None:
        """Carry out a plan; raises LifecycleRefused, and then the bucket's rules are as they were."""
        bucket, now = self._bucket(plan.bucket), self.clock()
        with self.catalogue.transaction() as tx:
            last = tx.lifecycles.lock(plan.bucket, now)
            before = bucket.rules()
            if fingerprint(before) != plan.fingerprint:
                raise LifecycleRefused(f"{plan.bucket}: its rules have changed since the plan was made; plan again")
            if tuple(self.wanted(plan.bucket)) != plan.ours:
                raise LifecycleRefused(f"{plan.bucket}: the policy has changed since the plan was made; plan again")
            after = self._put(bucket, before, plan.wanted, {change.rule_id for change in plan.changes})
            tx.lifecycles.snapshot(plan.bucket, rules_as_values(before), last.rules, now)
            ours = [write_rule(rule) for rule in plan.ours]
            tx.lifecycles.write(AppliedRules(plan.bucket, ours, fingerprint(after), now, actor))
            detail: dict[str, str | int] = {
                "bucket": plan.bucket, "changes": len(plan.changes), "rules": len(plan.wanted),
            }  # fmt: skip
            tx.audit.append("lifecycle.applied", now=now, actor=actor, detail=detail)

    def undo(self, name: str, *, actor: str) -> None:
        """Put back what was there before the last application; raises NotFound, or LifecycleRefused."""
        bucket, now = self._bucket(name), self.clock()
        with self.catalogue.transaction() as tx:
            last = tx.lifecycles.lock(name, now)
            snapshot = tx.lifecycles.last_snapshot(name)
            if snapshot is None:
                raise NotFound(f"{name}: nothing was applied")
            before = bucket.rules()
            if fingerprint(before) != last.fingerprint:
                message = f"{name}: its rules have changed since they were applied; see `nightlight lifecycle drift`"
                raise LifecycleRefused(message)
            names = {str(raw.get("ID", "")) for raw in snapshot.rules}
            after = self._put(bucket, before, snapshot.rules, names)
            tx.lifecycles.drop_snapshot(snapshot.snapshot_id)
            tx.lifecycles.write(AppliedRules(name, snapshot.ours, fingerprint(after), now, actor))
            undone: dict[str, str | int] = {"bucket": name, "rules": len(snapshot.rules)}
            tx.audit.append("lifecycle.undone", now=now, actor=actor, detail=undone)

    def drift(self, name: str) -> list[str]:
        """Return, in sentences, what differs in a bucket from what was applied to it."""
        applied, rules = self._applied(name)
        if applied is None:
            return ["nothing was applied yet"]
        return drift(rules, self._bucket(name).rules(), applied.fingerprint)

    def late(self, name: str, progress: Progress = lambda _: None) -> Iterator[OverdueObject]:
        """Yield the objects that outlived a rule that was applied, with two days of grace."""
        bucket, now = self._bucket(name), self.clock()
        rules = [rule for rule in self._applied(name)[1] if rule.expire_days is not None]
        for number, object_ in enumerate(bucket.objects() if rules else ()):
            progress(number + 1)
            old = [rule for rule in rules if _due(object_, rule, self.day) + GRACE_DAYS * self.day < now]
            tags = bucket.tags(object_.key) if any(rule.tags for rule in old) else {}
            for rule in old:
                if rule.matches(object_.key, tags, object_.size):
                    yield OverdueObject(
                        name, object_.key, rule.rule_id, object_.written_at, _due(object_, rule, self.day)
                    )
                    break

    def _put(self, bucket: BucketClient, before: Sequence[Raw], rules: Sequence[Raw], fresh: set[str]) -> list[Raw]:
        """Put rules and return what is there; raise LifecycleRefused, with ``before`` put back, if that is another."""
        try:
            for request in (disabled(rules, fresh), rules):
                bucket.put(request)
                present = bucket.rules()
                lost = lost_rules(request, present)
                if lost:
                    raise LifecycleRefused(f"{bucket.name}: the server did not keep {', '.join(lost)} as it was told")
        except NightlightError as error:
            logs.get("lifecycle").error("lifecycle.rolled_back", code=error.code, detail=str(error))
            bucket.put(before)
            if lost_rules(before, bucket.rules()):
                message = f"{error}; AND WHAT WAS THERE BEFORE COULD NOT BE PUT BACK: look at the bucket's rules now"
                raise LifecycleRefused(message) from error
            raise
        return list(present)

    def _applied(self, name: str) -> tuple[AppliedRules | None, list[LifecycleRule]]:
        """Return what was applied to a bucket last, and its rules by what they mean."""
        with self.catalogue.reading() as tx:
            applied = tx.lifecycles.applied(name)
        return applied, [read_rule(raw) for raw in applied.rules] if applied is not None else []

    def _bucket(self, name: str) -> BucketClient:
        try:
            return self.buckets[name]
        except KeyError:
            raise NotFound(f"no bucket '{name}'; there are {', '.join(self.buckets)}") from None


def _due(object_: BucketObject, rule: LifecycleRule, day: timedelta) -> datetime:
    return object_.written_at + (rule.expire_days or 0) * day
