"""The names and arguments of the tasks that flows ask for through the outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.catalogue.jobs import ERASE, FORGET, PROVE, RENAME, RENDER, RESCREEN, RESTATE, SWEEP, TAKE, TRACE, VAULT
from nightlight_core.ids import JobId

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Transaction

TASKS = {
    RENDER: "nightlight.render",
    ERASE: "nightlight.erase",
    PROVE: "nightlight.prove",
    RENAME: "nightlight.rename",
    RESTATE: "nightlight.restate",
    TRACE: "nightlight.trace",
    FORGET: "nightlight.forget",
    VAULT: "nightlight.vault",
    TAKE: "nightlight.take",
    SWEEP: "nightlight.sweep",
    RESCREEN: "nightlight.rescreen",
}


def ask(tx: Transaction, kind: str, job_id: JobId, now: datetime) -> None:
    """Put the message for a job into the outbox, in the job's lane."""
    tx.outbox.add(TASKS[kind], job_id, now, lane=tx.jobs.lane(job_id))
