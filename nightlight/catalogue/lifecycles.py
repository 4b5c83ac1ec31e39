"""Which lifecycle rules were applied to each bucket, and what was there before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update

from nightlight.catalogue.retention_schema import lifecycle_snapshots, lifecycles
from nightlight.catalogue.rows import Rows

Rules = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class AppliedRules:
    """What was applied to a bucket last: our rules, and everything that was there afterwards.

    ``present`` is None where an earlier release applied them: it kept the fingerprint alone.
    """

    bucket: str
    rules: list[dict[str, Any]]
    fingerprint: str
    applied_at: datetime
    actor: str
    present: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class RulesSnapshot:
    """Every rule of a bucket as it was before a change, and our rules of the change before it."""

    snapshot_id: int
    rules: list[dict[str, Any]]
    ours: list[dict[str, Any]]
    taken_at: datetime


class LifecycleRules(Rows):
    """Lifecycle rows, inside one transaction."""

    def lock(self, bucket: str, now: datetime) -> AppliedRules:
        """Hold a bucket until the transaction ends, so that nobody else applies; return what was applied last."""
        same_row = lifecycles.c.bucket == bucket
        locked = select(lifecycles).where(same_row).with_for_update()
        if self._execute(locked).one_or_none() is None:
            nothing = {"bucket": bucket, "rules": [], "fingerprint": "", "applied_at": now, "actor": ""}
            self._execute(insert(lifecycles).values(nothing))
        return AppliedRules(*self._execute(locked).one())

    def applied(self, bucket: str) -> AppliedRules | None:
        """Return what was applied to a bucket last."""
        row = self._execute(select(lifecycles).where(lifecycles.c.bucket == bucket)).one_or_none()
        return AppliedRules(*row) if row is not None and row.actor else None

    def write(self, applied: AppliedRules) -> None:
        """Write what was applied, to a bucket that is locked."""
        self._execute(update(lifecycles).where(lifecycles.c.bucket == applied.bucket).values(asdict(applied)))

    def snapshot(self, bucket: str, rules: Rules, ours: Rules, now: datetime) -> int:
        """Keep what was there before a change; return its number."""
        values = {"bucket": bucket, "rules": list(rules), "ours": list(ours), "taken_at": now}
        return self._count(insert(lifecycle_snapshots).values(values).returning(lifecycle_snapshots.c.snapshot_id))

    def snapshots(self, bucket: str) -> list[RulesSnapshot]:
        """Return what was there before each change that can be taken back, the newest first."""
        columns = (lifecycle_snapshots.c[name] for name in ("snapshot_id", "rules", "ours", "taken_at"))
        query = select(*columns).where(lifecycle_snapshots.c.bucket == bucket)
        rows = self._execute(query.order_by(lifecycle_snapshots.c.snapshot_id.desc()))
        return [RulesSnapshot(*row) for row in rows]

    def drop_snapshots(self, bucket: str, since: int) -> None:
        """Forget a snapshot that was gone back to, and every later one."""
        of_bucket = lifecycle_snapshots.c.bucket == bucket
        self._execute(delete(lifecycle_snapshots).where(of_bucket, lifecycle_snapshots.c.snapshot_id >= since))
