"""Jobs: work on one thing, leased to one attempt at a time and fenced by the attempt's number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import and_, case, func, insert, or_, select, update

from nightlight.catalogue.tables import images, jobs
from nightlight.jobs.kinds import (
    ERASE,
    FORGET,
    PROVE,
    RENAME,
    RENDER,
    RESCREEN,
    RESTATE,
    SWEEP,
    TAKE,
    TRACE,
    VAULT,
)
from nightlight.jobs.lanes import LANE_OF, LANES, RANKS
from nightlight_core.errors import LeaseLost
from nightlight_core.ids import ImageId, JobId, ProfileId, TraceId

if TYPE_CHECKING:
    from sqlalchemy import Connection

# The kinds are said here too, where who adds jobs and who leases them finds them.
__all__ = [
    "DONE",
    "ERASE",
    "FAILED",
    "FORGET",
    "LEASED",
    "PROVE",
    "QUEUED",
    "RENAME",
    "RENDER",
    "RESCREEN",
    "RESTATE",
    "SWEEP",
    "TAKE",
    "TRACE",
    "VAULT",
    "Jobs",
    "Lease",
]

_ON_TRACES = frozenset({TRACE, FORGET})
_ON_OTHERS = frozenset({TAKE, SWEEP, RESCREEN})

QUEUED = "queued"
LEASED = "leased"
DONE = "done"
FAILED = "failed"

# A job that is found leased by somebody who does not finish it has crashed once more.
_CRASHES = jobs.c.crashes + case((jobs.c.state == LEASED, 1), else_=0)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a job.

    ``attempt`` counts from one and fences off older attempts; ``crashes`` counts attempts that took the
    job and were never heard of again.
    """

    job_id: JobId
    kind: str
    subject: str
    attempt: int
    crashes: int

    @property
    def named(self) -> dict[str, str]:
        """Return what the job is on, as log lines name it."""
        return {_column(self.kind): self.subject}

    @property
    def image_id(self) -> ImageId:
        """Return the image that the job is on; raise LookupError if it is on something else."""
        if _column(self.kind) != "image_id":
            raise LookupError(self.kind)
        return ImageId(self.subject)

    @property
    def trace_id(self) -> TraceId:
        """Return the trace that the job is on; raise LookupError if it is on something else."""
        if self.kind not in _ON_TRACES:
            raise LookupError(self.kind)
        return TraceId(self.subject)

    @property
    def other_id(self) -> str:
        """Return the arrival or the sweep that the job is on; raise LookupError if it is on something else."""
        if self.kind not in _ON_OTHERS:
            raise LookupError(self.kind)
        return self.subject


def _column(kind: str) -> str:
    """Return the column that names what a job of this kind is on."""
    if kind in _ON_TRACES:
        return "trace_id"
    return "other_id" if kind in _ON_OTHERS else "image_id"


class Jobs:
    """Job rows, inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Work on ``connection``."""
        self._connection = connection

    def add(
        self,
        job_id: JobId,
        kind: str,
        subject: str,
        now: datetime,
        *,
        due: datetime,
        planned: Sequence[str] = (),
        lane: str | None = None,
    ) -> None:
        """Write a new job on what its kind is on; ``due`` is when it is published again if nobody has taken it.

        ``planned`` are object keys that it is about; ``lane`` is its kind's unless another is given.
        """
        row = _row(job_id, kind, subject, now, due)
        self._connection.execute(insert(jobs).values({**row, "planned": list(planned), **_lane(kind, lane)}))

    def add_many(
        self, kind: str, on: Sequence[tuple[JobId, str]], now: datetime, *, due: datetime, lane: str | None = None
    ) -> None:
        """Write new jobs of one kind, given as (job, what it is on)."""
        rows = [{**_row(job_id, kind, subject, now, due), **_lane(kind, lane)} for job_id, subject in on]
        if rows:
            self._connection.execute(insert(jobs), rows)

    def lease(
        self, job_id: JobId, kind: str, now: datetime, lease_s: float, *, take_over: bool = False
    ) -> Lease | None:
        """Take the job for ``lease_s`` seconds; None if it is done, of another kind, or somebody has it.

        ``take_over`` is for a message that the broker delivered again: its former holder is dead, so its
        lease does not count. If it was not dead after all, the attempt number keeps it from finishing.
        """
        free = or_(jobs.c.state == QUEUED, jobs.c.lease_until <= now)
        open_ = jobs.c.state.in_((QUEUED, LEASED))
        statement = (
            update(jobs)
            .where(jobs.c.job_id == job_id, jobs.c.kind == kind, open_ if take_over else and_(open_, free))
            .values(
                state=LEASED,
                attempt=jobs.c.attempt + 1,
                crashes=_CRASHES,
                lease_until=now + timedelta(seconds=lease_s),
            )
            .returning(jobs.c[_column(kind)].label("subject"), jobs.c.attempt, jobs.c.crashes)
        )
        row = self._connection.execute(statement).one_or_none()
        return Lease(job_id, kind, row.subject, row.attempt, row.crashes) if row else None

    def plan(self, lease: Lease, keys: list[str]) -> None:
        """Note the object keys that this attempt is going to write, so that an erasure finds them whatever happens."""
        query = select(jobs.c.planned).where(jobs.c.job_id == lease.job_id)
        planned = set(self._connection.execute(query).scalar_one()) | set(keys)
        self._write(lease, planned=sorted(planned))

    def planned_keys(self, image_id: ImageId) -> list[str]:
        """Return every object key that any attempt at this image may have written."""
        query = select(jobs.c.planned).where(jobs.c.image_id == image_id)
        return sorted({key for row in self._connection.execute(query) for key in row.planned})

    def asked_at(self, lease: Lease) -> datetime:
        """Return when a job was asked for."""
        query = select(jobs.c.created_at).where(jobs.c.job_id == lease.job_id)
        found: datetime = self._connection.execute(query).scalar_one()
        return found

    def ended(self, image_id: ImageId, kind: str) -> bool:
        """Say whether there was a job of a kind on an image, and it is done."""
        query = select(jobs.c.state).where(jobs.c.image_id == image_id, jobs.c.kind == kind)
        states = [row.state for row in self._connection.execute(query)]
        return bool(states) and all(state == DONE for state in states)

    def open(self, kind: str) -> int:
        """Return how many jobs of a kind are to be done yet."""
        query = select(func.count()).where(jobs.c.kind == kind, jobs.c.state.in_((QUEUED, LEASED)))
        count: int = self._connection.execute(query).scalar_one()
        return count

    def waiting(self, now: datetime) -> dict[str, tuple[int, float]]:
        """Return, for each lane, how many jobs were never begun, and for how many seconds the one asked for first was.

        What is asked for to be done much later does not count.
        """
        query = (
            select(jobs.c.lane, func.count().label("jobs"), func.min(jobs.c.created_at).label("first"))
            .where(jobs.c.state == QUEUED, jobs.c.attempt == 0, jobs.c.kind.not_in((PROVE, RESTATE)))
            .group_by(jobs.c.lane)
        )
        found = dict.fromkeys(LANES, (0, 0.0))
        for row in self._connection.execute(query):
            found[LANES[row.lane]] = (row.jobs, max(0.0, (now - row.first).total_seconds()))
        return found

    def overdue(self, kind: str, before: datetime) -> int:
        """Return how many jobs of a kind were asked for before a moment and are not done."""
        open_ = jobs.c.state.in_((QUEUED, LEASED))
        query = select(func.count()).where(jobs.c.kind == kind, open_, jobs.c.created_at < before)
        count: int = self._connection.execute(query).scalar_one()
        return count

    def finish(self, lease: Lease, now: datetime) -> None:
        """Mark the job done; raise LeaseLost if another attempt has it by now."""
        self._write(lease, state=DONE, lease_until=None, finished_at=now)

    def fail(self, lease: Lease, reason: str, now: datetime) -> None:
        """Mark the job failed for good; raise LeaseLost if another attempt has it by now."""
        self._write(lease, state=FAILED, lease_until=None, finished_at=now, reason=reason)

    def crashed(self, lease: Lease, reason: str, due: datetime) -> None:
        """Count a crash, and queue the job again for ``due``; raise LeaseLost if another attempt has it by now."""
        self._write(lease, state=QUEUED, crashes=jobs.c.crashes + 1, lease_until=None, next_run_at=due, reason=reason)

    def put_back(self, lease: Lease, reason: str, due: datetime) -> None:
        """Queue the job again for ``due``; raise LeaseLost if another attempt has it by now."""
        self._write(lease, state=QUEUED, lease_until=None, next_run_at=due, reason=reason)

    def lane(self, job_id: JobId) -> str:
        """Return a job's lane."""
        rank: int = self._connection.execute(select(jobs.c.lane).where(jobs.c.job_id == job_id)).scalar_one()
        return LANES[rank]

    def render_lane(self, image_id: ImageId) -> str:
        """Return the lane in which an image is to be rendered again: where it was."""
        query = select(func.max(jobs.c.lane)).where(jobs.c.image_id == image_id, jobs.c.kind == RENDER)
        rank: int | None = self._connection.execute(query).scalar_one()
        return LANE_OF[RENDER] if rank is None else LANES[rank]

    def open_renders(self, profile_id: ProfileId) -> int:
        """Return how many renders of a profile's images are to be done yet."""
        query = (
            select(func.count())
            .select_from(jobs.join(images, images.c.image_id == jobs.c.image_id))
            .where(images.c.profile_id == profile_id, jobs.c.kind == RENDER, jobs.c.state.in_((QUEUED, LEASED)))
        )
        count: int = self._connection.execute(query).scalar_one()
        return count

    def claim_due(self, now: datetime, *, limit: int, again_after_s: float) -> list[tuple[JobId, str]]:
        """Return (job, kind) of jobs that are due or whose lease ran out, and put each off by ``again_after_s``.

        Those of the first lane come first. Rows that another process is claiming are skipped, so each is returned to
        one caller.
        """
        query = (
            select(jobs.c.job_id)
            .where(
                or_(
                    and_(jobs.c.state == QUEUED, jobs.c.next_run_at <= now),
                    and_(jobs.c.state == LEASED, jobs.c.lease_until <= now),
                )
            )
            .order_by(jobs.c.lane, jobs.c.next_run_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        due = [row.job_id for row in self._connection.execute(query)]
        if not due:
            return []
        statement = (
            update(jobs)
            .where(jobs.c.job_id.in_(due))
            .values(
                state=QUEUED, crashes=_CRASHES, lease_until=None, next_run_at=now + timedelta(seconds=again_after_s)
            )
            .returning(jobs.c.job_id, jobs.c.kind)
        )
        return [(JobId(row.job_id), row.kind) for row in self._connection.execute(statement)]

    def _write(self, lease: Lease, **values: object) -> None:
        statement = (
            update(jobs)
            .where(jobs.c.job_id == lease.job_id, jobs.c.state == LEASED, jobs.c.attempt == lease.attempt)
            .values(**values)
        )
        if self._connection.execute(statement).rowcount != 1:
            message = f"attempt {lease.attempt} has lost the job"
            raise LeaseLost(message)


def _lane(kind: str, lane: str | None) -> dict[str, int]:
    return {"lane": RANKS[lane or LANE_OF[kind]]}


def _row(job_id: JobId, kind: str, subject: str, now: datetime, due: datetime) -> dict[str, object]:
    return {
        "job_id": job_id,
        "kind": kind,
        _column(kind): subject,
        "state": QUEUED,
        "attempt": 0,
        "crashes": 0,
        "planned": [],
        "next_run_at": due,
        "created_at": now,
    }
