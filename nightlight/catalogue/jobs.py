"""Jobs: work on one thing, leased to one attempt at a time and fenced by the attempt's number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, func, insert, select, union_all, update

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import images, jobs, written_keys
from nightlight_core.errors import LeaseLost
from nightlight_core.ids import ImageId, JobId, ProfileId, TraceId

QUEUED = "queued"
LEASED = "leased"
DONE = "done"
FAILED = "failed"

_OPEN = jobs.c.state.in_((QUEUED, LEASED))
# A job that is found leased by somebody who does not finish it has crashed once more.
_CRASHES = jobs.c.crashes + case((jobs.c.state == LEASED, 1), else_=0)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a job.

    ``column`` says what the job is on, and ``subject`` which. ``attempt`` counts from one and fences off older
    attempts; ``crashes`` counts attempts that took the job and were never heard of again.
    """

    job_id: JobId
    kind: str
    column: str
    subject: str
    attempt: int
    crashes: int

    @property
    def named(self) -> dict[str, str]:
        """Return what the job is on, as log lines name it."""
        return {self.column: self.subject}

    @property
    def image_id(self) -> ImageId:
        """Return the image that the job is on; raise LookupError if it is on something else."""
        return ImageId(self._on("image_id"))

    @property
    def trace_id(self) -> TraceId:
        """Return the trace that the job is on; raise LookupError if it is on something else."""
        return TraceId(self._on("trace_id"))

    @property
    def other_id(self) -> str:
        """Return the imported key, sweep or export that the job is on; raise LookupError if it is on something else."""
        return self._on("other_id")

    def _on(self, column: str) -> str:
        if self.column != column:
            raise LookupError(self.kind)
        return self.subject


class Jobs(Rows):
    """Job rows, inside one transaction."""

    def add(
        self,
        kind: str,
        column: str,
        on: Sequence[tuple[JobId, str]],
        now: datetime,
        *,
        due: datetime,
        rank: int,
        planned: Sequence[str] = (),
    ) -> None:
        """Write new jobs of one kind, given as (job, what ``column`` is to name).

        ``due`` is when they are published again if nobody has taken them, ``rank`` their lane's; ``planned`` are object
        keys that they are about.
        """
        same = {
            "kind": kind, "state": QUEUED, "attempt": 0, "crashes": 0, "lane": rank, "planned": list(planned),
            "next_run_at": due, "created_at": now,
        }  # fmt: skip
        if on:
            self._execute(insert(jobs), [{**same, "job_id": job_id, column: name} for job_id, name in on])

    def lease(
        self, job_id: JobId, kind: str, column: str, now: datetime, lease_s: float, *, take_over: bool = False
    ) -> Lease | None:
        """Take the job for ``lease_s`` seconds; None if it is done, of another kind, or somebody has it.

        ``take_over`` is for a message that the broker delivered again: its former holder is dead, so its
        lease does not count. If it was not dead after all, the attempt number keeps it from finishing.
        """
        free = (jobs.c.state == QUEUED) | (jobs.c.lease_until <= now)
        statement = (
            update(jobs)
            .where(jobs.c.job_id == job_id, jobs.c.kind == kind, _OPEN if take_over else _OPEN & free)
            .values(
                state=LEASED, attempt=jobs.c.attempt + 1, crashes=_CRASHES, lease_until=now + timedelta(seconds=lease_s)
            )
            .returning(jobs.c[column].label("subject"), jobs.c.attempt, jobs.c.crashes)
        )
        row = self._execute(statement).one_or_none()
        return Lease(job_id, kind, column, row.subject, row.attempt, row.crashes) if row else None

    def plan(self, lease: Lease, keys: list[str]) -> None:
        """Note the object keys that this attempt is going to write, so that an erasure finds them whatever happens."""
        query = select(jobs.c.planned).where(jobs.c.job_id == lease.job_id)
        planned = set(self._execute(query).scalar_one()) | set(keys)
        self._write(lease, planned=sorted(planned))

    def planned(self, lease: Lease) -> list[str]:
        """Return the object keys that were noted for this job."""
        query = select(jobs.c.planned).where(jobs.c.job_id == lease.job_id)
        return list(self._execute(query).scalar_one())

    def planned_elsewhere(self, lease: Lease) -> set[str]:
        """Return the object keys that other open jobs on the same image may write."""
        others = jobs.c.image_id == lease.image_id, jobs.c.job_id != lease.job_id, jobs.c.state.in_((QUEUED, LEASED))
        return {key for row in self._execute(select(jobs.c.planned).where(*others)) for key in row.planned}

    def planned_keys(self, image_id: ImageId) -> list[str]:
        """Return every object key that any attempt at this image may have written."""
        of_jobs = select(jobs.c.planned).where(jobs.c.image_id == image_id)
        of_old_jobs = select(written_keys.c.planned).where(written_keys.c.image_id == image_id)
        # One statement: rows move from the one table to the other.
        return sorted({key for row in self._execute(union_all(of_jobs, of_old_jobs)) for key in row.planned})

    def asked_at(self, lease: Lease) -> datetime:
        """Return when a job was asked for."""
        query = select(jobs.c.created_at).where(jobs.c.job_id == lease.job_id)
        moment: datetime = self._execute(query).scalar_one()
        return moment

    def ended(self, image_id: ImageId, kind: str) -> bool:
        """Say whether there was a job of a kind on an image, and it is done."""
        query = select(jobs.c.state).where(jobs.c.image_id == image_id, jobs.c.kind == kind)
        states = [row.state for row in self._execute(query)]
        return bool(states) and all(state == DONE for state in states)

    def is_open(self, image_id: ImageId, kind: str) -> bool:
        """Say whether a job of a kind on an image is to be done yet."""
        return (
            self._execute(select(1).where(jobs.c.image_id == image_id, jobs.c.kind == kind, _OPEN)).first() is not None
        )

    def open(self, kind: str) -> int:
        """Return how many jobs of a kind are to be done yet."""
        return self._count(select(func.count()).where(jobs.c.kind == kind, _OPEN))

    def waiting(self, now: datetime, *, but: Sequence[str]) -> dict[int, tuple[int, float]]:
        """Return how many jobs were never begun, and for how many seconds the first of them waits, by lane's rank.

        Jobs of the kinds ``but`` are put off, and do not count.
        """
        query = (
            select(jobs.c.lane, func.count().label("jobs"), func.min(jobs.c.created_at).label("first"))
            .where(jobs.c.state == QUEUED, jobs.c.attempt == 0, jobs.c.kind.not_in(but))
            .group_by(jobs.c.lane)
        )
        rows = self._execute(query)
        return {row.lane: (row.jobs, max(0.0, (now - row.first).total_seconds())) for row in rows}

    def overdue(self, kind: str, before: datetime) -> int:
        """Return how many jobs of a kind were asked for before a moment and are not done."""
        return self._count(select(func.count()).where(jobs.c.kind == kind, _OPEN, jobs.c.created_at < before))

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

    def rank_before(self, image_id: ImageId, kind: str) -> int | None:
        """Return the lane's rank of an image's jobs of a kind; None if it has none."""
        query = select(func.max(jobs.c.lane)).where(jobs.c.image_id == image_id, jobs.c.kind == kind)
        rank: int | None = self._execute(query).scalar_one()
        return rank

    def open_on(self, profile_id: ProfileId, kind: str) -> int:
        """Return how many jobs of a kind on a profile's images are to be done yet."""
        query = (
            select(func.count())
            .select_from(jobs.join(images, images.c.image_id == jobs.c.image_id))
            .where(images.c.profile_id == profile_id, jobs.c.kind == kind, _OPEN)
        )
        return self._count(query)

    def claim_due(
        self, now: datetime, *, limit: int, again_after_s: float, sooner: Mapping[str, float] | None = None
    ) -> list[tuple[JobId, str, int]]:
        """Return (job, kind, lane's rank) of jobs due or whose lease ran out; put each off by ``again_after_s``.

        Jobs of a kind in ``sooner`` are put off by the seconds that it gives, if those are fewer. Those of the first
        lane come first. Rows that another process is claiming are skipped, so each is returned to one caller.
        """
        expired = (jobs.c.state == LEASED) & (jobs.c.lease_until <= now)
        query = (
            select(jobs.c.job_id)
            .where(expired | ((jobs.c.state == QUEUED) & (jobs.c.next_run_at <= now)))
            .order_by(jobs.c.lane, jobs.c.next_run_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        due = [row.job_id for row in self._execute(query)]
        if not due:
            return []
        later = now + timedelta(seconds=again_after_s)
        soon = {kind: min(later, now + timedelta(seconds=seconds)) for kind, seconds in (sooner or {}).items()}
        moment = case(soon, value=jobs.c.kind, else_=later) if soon else later
        statement = (
            update(jobs)
            .where(jobs.c.job_id.in_(due))
            .values(state=QUEUED, crashes=_CRASHES, lease_until=None, next_run_at=moment)
            .returning(jobs.c.job_id, jobs.c.kind, jobs.c.lane)
        )
        return [(JobId(row.job_id), row.kind, row.lane) for row in self._execute(statement)]

    def _write(self, lease: Lease, **values: object) -> None:
        statement = (
            update(jobs)
            .where(jobs.c.job_id == lease.job_id, jobs.c.state == LEASED, jobs.c.attempt == lease.attempt)
            .values(**values)
        )
        if self._execute(statement).rowcount != 1:
            raise LeaseLost(f"attempt {lease.attempt} has lost the job")
