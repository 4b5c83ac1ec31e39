"""Buckets' lifecycle rules from the policy: plan, apply, drift, verify, undo, adopt.

S3 replaces all rules at once and has no compare-and-swap, and a server may drop what it does not know without a word.
So an application holds the bucket's row in the catalogue, reads again, refuses if anything differs from the plan, puts
the new rules turned off, reads them back, and turns them on only if all is there as it was put; else it puts back what
was there before. Who did it is who the server says that the caller is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from nightlight import logs
from nightlight.catalogue.lifecycles import AppliedRules
from nightlight.flows.retention.lifecycle_objects import (
    OverdueObject,
    Progress,
    RuleEffect,
    count_effects,
    overdue_objects,
)
from nightlight.retention.lifecycle_drift import NOT_APPLIED, DriftEntry, find_drift
from nightlight.retention.lifecycle_plan import (
    LifecyclePlan,
    PlannedChange,
    PlanStep,
    Raw,
    disabled,
    fingerprint,
    lost_rules,
    plan_changes,
    plan_return,
    rules_as_values,
    rules_by_id,
)
from nightlight.retention.lifecycle_rule import LifecycleRule, read_rule, write_rule
from nightlight.retention.wanted_rules import PrefixRules, wanted_rules
from nightlight_core.errors import LifecycleRefused, NightlightError, NotFound

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.catalogue.lifecycles import RulesSnapshot
    from nightlight.policy.retention import RetentionTable
    from nightlight.retention.bucket_client import BucketClient
    from nightlight_core.clock import Clock

_ACTOR_CHARS = 128


class ApplyResult(NamedTuple):
    """What an application came to: rules that were changed, and the number of what was there before."""

    bucket: str
    changes: int
    snapshot_id: int | None


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
        return wanted_rules(self.retention(), self._prefixes(bucket))

    def plan(self, bucket: str) -> LifecyclePlan:
        """Return what is to be done to a bucket; raises LifecycleRefused, or what the server answers."""
        live = self._bucket(bucket).rules()
        _, rules = self._applied(bucket)
        return plan_changes(bucket, self.wanted(bucket), rules, live, forever=self._prefixes(bucket).forever)

    def touched(self, plan: LifecyclePlan, progress: Progress = lambda _: None) -> list[RuleEffect]:
        """Return what each rule that is added or changed is about, among the objects that are there."""
        forever = self._prefixes(plan.bucket).forever
        return count_effects(self._bucket(plan.bucket), plan, self.clock(), self.day, progress, forever=forever)

    def apply(self, plan: LifecyclePlan, *, actor: str | None = None) -> ApplyResult:
        """Carry out a plan; raises LifecycleRefused, and then the bucket's rules are as they were.

        A plan without changes writes nothing to the bucket and makes no snapshot: what is there counts as applied.
        """
        bucket, now = self._bucket(plan.bucket), self.clock()
        by = actor or bucket.caller()
        with self.catalogue.transaction() as tx:
            last = tx.lifecycles.lock(plan.bucket, now)
            before = bucket.rules()
            if fingerprint(before) != plan.fingerprint:
                raise LifecycleRefused(f"{plan.bucket}: its rules have changed since the plan was made; plan again")
            if tuple(self.wanted(plan.bucket)) != plan.ours:
                raise LifecycleRefused(f"{plan.bucket}: the policy has changed since the plan was made; plan again")
            ours = [write_rule(rule) for rule in plan.ours]
            if not plan.changes:
                self._accept(tx, last, ours, before, now, by)
                return ApplyResult(plan.bucket, 0, None)
            after = self._put(bucket, before, plan.wanted, {change.rule_id for change in plan.changes})
            number = tx.lifecycles.snapshot(plan.bucket, rules_as_values(before), last.rules, now)
            self._write(tx, plan.bucket, ours, after, now, by)
            _audit(tx, "lifecycle.applied", plan, before, now, by)
        return ApplyResult(plan.bucket, len(plan.changes), number)

    def history(self, name: str) -> list[RulesSnapshot]:
        """Return what was there before each application that can be taken back, the newest first."""
        with self.catalogue.reading() as tx:
            return tx.lifecycles.snapshots(self._bucket(name).name)

    def plan_undo(self, name: str, *, to: int | None = None) -> LifecyclePlan:
        """Return what takes our rules back to before the last application, or to a snapshot.

        Raises NotFound, or LifecycleRefused where somebody has changed our rules since they were applied.
        """
        live = self._bucket(name).rules()
        applied, rules = self._applied(name)
        snapshot = next((each for each in self.history(name) if to in {None, each.snapshot_id}), None)
        if snapshot is None or applied is None:
            raise NotFound(f"{name}: nothing was applied" if to is None else f"{name}: there is no snapshot {to}")
        if any(entry.ours and entry.rule for entry in find_drift(rules, None, live, applied.fingerprint)):
            message = f"{name}: its rules have changed since they were applied; see `nightlight lifecycle drift`"
            raise LifecycleRefused(message)
        ours = [read_rule(raw) for raw in snapshot.ours]
        return plan_return(name, snapshot.snapshot_id, snapshot.rules, ours, rules, live)

    def undo(self, plan: LifecyclePlan, *, actor: str | None = None) -> ApplyResult:
        """Carry out a plan of ``plan_undo``; raises LifecycleRefused, and then the bucket's rules are as they were."""
        bucket, now = self._bucket(plan.bucket), self.clock()
        by = actor or bucket.caller()
        if plan.snapshot_id is None:
            raise LifecycleRefused(f"{plan.bucket}: this plan does not go back")
        with self.catalogue.transaction() as tx:
            tx.lifecycles.lock(plan.bucket, now)
            before = bucket.rules()
            if fingerprint(before) != plan.fingerprint:
                raise LifecycleRefused(f"{plan.bucket}: its rules have changed meanwhile; undo again")
            snapshot = next(
                (s for s in tx.lifecycles.snapshots(plan.bucket) if s.snapshot_id == plan.snapshot_id), None
            )
            if snapshot is None:
                raise LifecycleRefused(f"{plan.bucket}: somebody else has gone back meanwhile; undo again")
            after: Sequence[Raw] = before
            if plan.changes:
                after = self._put(bucket, before, plan.wanted, {change.rule_id for change in plan.changes})
            tx.lifecycles.drop_snapshots(plan.bucket, plan.snapshot_id)
            self._write(tx, plan.bucket, snapshot.ours, after, now, by)
            _audit(tx, "lifecycle.undone", plan, before, now, by)
        return ApplyResult(plan.bucket, len(plan.changes), plan.snapshot_id)

    def foreign(self, name: str, rule_id: str) -> LifecycleRule:
        """Return a rule of somebody else's that is there; raises NotFound, or LifecycleRefused where it is ours."""
        _, applied = self._applied(name)
        raw = rules_by_id(self._bucket(name).rules()).get(rule_id)
        if raw is None:
            raise NotFound(f"{name}: there is no rule {rule_id}")
        if rule_id in {rule.rule_id for rule in applied}:
            raise LifecycleRefused(f"{name}: {rule_id} is Nightlight's already")
        return read_rule(raw)

    def adopt(self, name: str, rule: LifecycleRule, *, actor: str | None = None) -> None:
        """Take a rule of somebody else's over as it is: from now on it counts as applied by us.

        The bucket is not touched. The next plan makes the rule what the policy says, or removes it where the policy has
        none of that name. Raises LifecycleRefused if it has changed.
        """
        bucket, now = self._bucket(name), self.clock()
        by = actor or bucket.caller()
        with self.catalogue.transaction() as tx:
            last = tx.lifecycles.lock(name, now)
            present = bucket.rules()
            raw = rules_by_id(present).get(rule.rule_id)
            if raw is None or read_rule(raw) != rule:
                raise LifecycleRefused(f"{name}: {rule.rule_id} has changed meanwhile; import again")
            ours = [
                *(own_rule for own_rule in last.rules if own_rule.get("ID") != rule.rule_id),
                *rules_as_values([raw]),
            ]
            known: list[Raw] = [*rules_as_values(present)] if last.present is None else [
                *(each for each in last.present if each.get("ID") != rule.rule_id), *rules_as_values([raw]),
            ]  # fmt: skip
            # The fingerprint is of what was known: what else has drifted stays drift.
            seen = AppliedRules(name, ours, fingerprint(known), now, by[:_ACTOR_CHARS], rules_as_values(known))
            tx.lifecycles.write(seen)
            detail = {"bucket": name, "rule": rule.rule_id, "before": _as_text(raw), "after": _as_text(raw), "by": by}
            tx.audit.append("lifecycle.imported", now=now, actor=by[:_ACTOR_CHARS], detail=detail)

    def drift(self, name: str) -> list[DriftEntry]:
        """Return what differs in a bucket from what was applied to it."""
        live = self._bucket(name).rules()
        applied, rules = self._applied(name)
        if applied is None:
            return [DriftEntry("", NOT_APPLIED, ours=True)]
        return find_drift(rules, applied.present, live, applied.fingerprint)

    def late(self, name: str, progress: Progress = lambda _: None) -> Iterator[OverdueObject]:
        """Yield the objects that outlived a rule that was applied, with two days of grace."""
        return overdue_objects(self._bucket(name), self._applied(name)[1], self.clock(), self.day, progress)

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

    def _accept(
        self, tx: Transaction, last: AppliedRules, ours: list[dict[str, object]], present: Sequence[Raw], now: datetime,
        by: str,
    ) -> None:  # fmt: skip
        """Count what is there as applied, where it is not what was applied last."""
        if (last.rules, last.fingerprint) == (ours, fingerprint(present)) and last.present is not None:
            return
        self._write(tx, last.bucket, ours, present, now, by)
        detail: dict[str, str | int] = {"bucket": last.bucket, "rules": len(present), "by": by}
        tx.audit.append("lifecycle.accepted", now=now, actor=by[:_ACTOR_CHARS], detail=detail)

    @staticmethod
    def _write(
        tx: Transaction, bucket: str, ours: list[dict[str, object]], present: Sequence[Raw], now: datetime, by: str
    ) -> None:
        seen = rules_as_values(present)
        tx.lifecycles.write(AppliedRules(bucket, ours, fingerprint(present), now, by[:_ACTOR_CHARS], seen))

    def _applied(self, name: str) -> tuple[AppliedRules | None, list[LifecycleRule]]:
        """Return what was applied to a bucket last, and its rules by what they mean."""
        with self.catalogue.reading() as tx:
            applied = tx.lifecycles.applied(name)
        return applied, [read_rule(raw) for raw in applied.rules] if applied is not None else []

    def _prefixes(self, name: str) -> PrefixRules:
        return self.prefixes.get(name, PrefixRules())

    def _bucket(self, name: str) -> BucketClient:
        try:
            return self.buckets[name]
        except KeyError:
            raise NotFound(f"no bucket '{name}'; there are {', '.join(self.buckets)}") from None


def _audit(tx: Transaction, event: str, plan: LifecyclePlan, before: Sequence[Raw], now: datetime, by: str) -> None:
    """Write a line for the whole, and one for each rule that is another: what it was, and what it is."""
    actor = by[:_ACTOR_CHARS]
    whole: dict[str, str | int] = {"bucket": plan.bucket, "changes": len(plan.changes), "rules": len(plan.wanted)}
    tx.audit.append(event, now=now, actor=actor, detail={**whole, "by": by})
    old, new = rules_by_id(before), rules_by_id(plan.wanted)
    for change in plan.changes:
        detail = {
            "bucket": plan.bucket, "rule": change.rule_id, "step": str(change.step),
            "before": _as_text(old.get(change.rule_id)), "after": _as_text(_after(change, new)), "by": by,
        }  # fmt: skip
        tx.audit.append(f"{event}_rule", now=now, actor=actor, detail=detail)


def _after(change: PlannedChange, new: Mapping[str, Raw]) -> Raw | None:
    return None if change.step is PlanStep.REMOVE else new.get(change.rule_id)


def _as_text(raw: Raw | None) -> str:
    """Return a rule as JSON, ``none`` where there is none."""
    return json.dumps(rules_as_values([raw])[0], sort_keys=True) if raw is not None else "none"
