"""Runs of the sweep, and what each has done."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from nightlight.catalogue.retention_schema import sweeps
from nightlight.catalogue.rows import Rows

RUNNING, DONE = "running", "done"


@dataclass(frozen=True, slots=True)
class SweepRow:
    """One run: what it has done so far, by kind, in how many batches."""

    sweep_id: str
    state: str
    counts: dict[str, int]
    batches: int
    actor: str
    created_at: datetime
    finished_at: datetime | None


class Sweeps(Rows):
    """Sweep rows, inside one transaction."""

    def begin(self, *, actor: str, now: datetime) -> str:
        """Write a new run; return its id."""
        sweep = SweepRow(secrets.token_hex(16), RUNNING, {}, 0, actor, now, None)
        self._execute(insert(sweeps).values(asdict(sweep)))
        return sweep.sweep_id

    def last(self) -> SweepRow | None:
        """Return the newest run."""
        row = self._execute(select(sweeps).order_by(sweeps.c.created_at.desc()).limit(1)).first()
        return SweepRow(*row) if row is not None else None

    def get(self, sweep_id: str, *, lock: bool = False) -> SweepRow | None:
        """Return a run; ``lock`` holds its row until the transaction ends."""
        query = select(sweeps).where(sweeps.c.sweep_id == sweep_id)
        row = self._execute(query.with_for_update() if lock else query).one_or_none()
        return SweepRow(*row) if row is not None else None

    def write(self, sweep_id: str, counts: Mapping[str, int], batches: int, *, finished_at: datetime | None) -> None:
        """Write what a run has done."""
        values = {"counts": dict(counts), "batches": batches, "finished_at": finished_at}
        values |= {"state": DONE} if finished_at is not None else {}
        self._execute(update(sweeps).where(sweeps.c.sweep_id == sweep_id).values(values))
