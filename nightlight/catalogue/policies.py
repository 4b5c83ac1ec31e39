"""Policy bundles as they were activated, which is in use, and counts of decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from nightlight.catalogue.policy_schema import (
    decision_counts,
    policy_bundles,
    policy_scheduled,
    policy_state,
    policy_withdrawals,
)
from nightlight.catalogue.rows import Rows

# Kinds of counts: decisions made, and what a candidate would have changed (followed by its version).
DECIDED = "decided"
WOULD_OPEN = "would_open"
WOULD_CLOSE = "would_close"

_ONLY = 1


@dataclass(frozen=True, slots=True)
class PolicyState:
    """Which bundles are in use; None where the pack in the folder is.

    ``candidate_permille`` is the share of profiles that the candidate decides for; 0 means that it is only
    watched (shadow). ``activated_at`` is when the active bundle became so, and the one before ceased to be.
    ``candidate_rendered`` is 1 where pictures are rendered by the candidate's recipes before it decides for anybody.
    """

    revision: int
    highest_version: int
    active_version: int | None
    previous_version: int | None
    candidate_version: int | None
    candidate_permille: int
    changed_at: datetime | None
    activated_at: datetime | None
    candidate_rendered: int


@dataclass(frozen=True, slots=True)
class ScheduledPolicy:
    """A bundle that becomes active by itself once ``due_at`` has come, if ``instead_of`` is still active then.

    ``restores`` is the version whose policy it is: where that was withdrawn meanwhile, nothing comes back.
    """

    version: int
    instead_of: int
    restores: int | None
    due_at: datetime


UNCHANGED = PolicyState(0, 0, None, None, None, 0, None, None, 0)


class Policies(Rows):
    """Bundle, state and count rows, inside one transaction."""

    def state(self, *, lock: bool = False) -> PolicyState:
        """Return which bundles are in use; ``lock`` holds the row until the transaction ends."""
        query = select(policy_state).where(policy_state.c.only == _ONLY)
        row = self._execute(query.with_for_update() if lock else query).one_or_none()
        return PolicyState(*row[1:]) if row else UNCHANGED

    def change(self, before: PolicyState, now: datetime, **values: int | datetime | None) -> None:
        """Change the state and raise its revision; raises Conflict if the first change is made twice at once."""
        values = {**values, "revision": before.revision + 1}
        if before.revision == 0:
            fresh: dict[str, Any] = {**asdict(UNCHANGED), **values, "only": _ONLY, "changed_at": now}
            self._execute(insert(policy_state).values(fresh))
            return
        self._execute(update(policy_state).where(policy_state.c.only == _ONLY).values(changed_at=now, **values))

    def schedule(self, scheduled: ScheduledPolicy | None) -> None:
        """Write which bundle comes back by itself, in place of what was written before; None for none."""
        self._execute(delete(policy_scheduled))
        if scheduled is not None:
            self._execute(insert(policy_scheduled).values(asdict(scheduled)))

    def scheduled(self) -> ScheduledPolicy | None:
        """Return which bundle comes back by itself, and when."""
        row = self._execute(select(policy_scheduled)).one_or_none()
        return ScheduledPolicy(*row) if row is not None else None

    def add_bundle(self, version: int, digest: str, data: bytes, now: datetime) -> None:
        """Keep a bundle; raises Conflict if its version was taken."""
        self._execute(insert(policy_bundles).values(version=version, digest=digest, data=data, created_at=now))

    def withdraw(self, version: int, now: datetime) -> None:
        """Let a version be none that can be activated or brought back by itself; once is enough."""
        if not self.withdrawn(version):
            self._execute(insert(policy_withdrawals).values(version=version, withdrawn_at=now))

    def withdrawn(self, version: int) -> bool:
        """Say whether a version was withdrawn."""
        query = select(policy_withdrawals.c.version).where(policy_withdrawals.c.version == version)
        return self._execute(query).one_or_none() is not None

    def bundle(self, version: int) -> bytes | None:
        """Return a bundle's bytes, or None."""
        query = select(policy_bundles.c.data).where(policy_bundles.c.version == version)
        row = self._execute(query).one_or_none()
        return bytes(row.data) if row else None

    def count(self, day: date, kind: str, counts: Mapping[str, int]) -> None:
        """Add to a day's counts. Rows are taken in order, so that processes counting at once do not deadlock."""
        for cell, count in sorted(counts.items()):
            where = (decision_counts.c.day == day) & (decision_counts.c.kind == kind) & (decision_counts.c.cell == cell)
            added = update(decision_counts).where(where).values(count=decision_counts.c.count + count)
            if self._execute(added).rowcount == 0:
                self._execute(insert(decision_counts).values(day=day, kind=kind, cell=cell, count=count))

    def counts(self, kind: str, since: date) -> tuple[dict[str, int], int]:
        """Return counts by combination since a day, and over how many different days they were made."""
        counted = decision_counts.c.kind == kind, decision_counts.c.day >= since
        cells = select(decision_counts.c.cell, func.sum(decision_counts.c.count)).where(*counted)
        days = select(func.count(func.distinct(decision_counts.c.day))).where(*counted)
        by_cell = {cell: int(count) for cell, count in self._execute(cells.group_by(decision_counts.c.cell))}
        return by_cell, self._count(days)

    def forget_counts(self, before: date) -> int:
        """Drop the counts of the first day, if it is before a day; return how many rows."""
        first = self._execute(select(func.min(decision_counts.c.day))).scalar_one()
        if first is None or first >= before:
            return 0
        return self._execute(delete(decision_counts).where(decision_counts.c.day == first)).rowcount
