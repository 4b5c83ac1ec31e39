"""How a deployment stands: what waits and since when, what failed, what is overdue, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import httpx

from nightlight.catalogue.position import CURRENT
from nightlight.catalogue.webhooks import DISABLED
from nightlight.jobs.kinds import ERASE, KINDS
from nightlight.jobs.lanes import BACKGROUND, ERASURE, RANKS, TRACE, UPLOAD, URGENT
from nightlight_core.errors import NightlightError

if TYPE_CHECKING:
    from nightlight.catalogue.backlog import OpenJobs, Waiting
    from nightlight.catalogue.engine import Catalogue
    from nightlight_core.clock import Clock

# Seconds after which waiting is a problem: those of infra/alerts.yaml.
MOST_WAIT_S = {ERASURE: 60, URGENT: 60, TRACE: 300, UPLOAD: 120, BACKGROUND: 21_600}
# The relay publishes many times a second; webhooks are tried again after 5 s, 5 min and 30 min.
MOST_OUTBOX_S, MOST_EVENTS_S = 60, 3_600
LEAST_CERTIFICATE_DAYS = 14
_FAILURES = timedelta(hours=24)
_ASK_S = 10.0
_PUT_OFF = tuple(kind.name for kind in KINDS.values() if kind.delay is not None)
# What looks at something that is not in the catalogue; it returns sentences about what is wrong, or raises.
Look = Callable[[], Sequence[str]]


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """Jobs of a lane that were never begun; ``oldest_s`` is for how many seconds the first of them waits."""

    lane: str
    waiting: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class KindStatus:
    """Open jobs of a kind; ``oldest_s`` counts from when the first was asked for, without what it was put off for."""

    kind: str
    lane: str
    waiting: int
    leased: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class BacklogStatus:
    """Rows that wait for somebody else to take them."""

    count: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class FailureCount:
    """Jobs that failed for good within a day, by kind and reason."""

    kind: str
    reason: str
    jobs: int


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """What a process says at ``/readyz``: each part that is not ok, with its code."""

    address: str
    ready: bool
    parts: dict[str, str]


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    """Everything that an operator looks at first. ``problems`` are sentences; without any all is well."""

    at: datetime
    version: str
    schema: str
    catalogue: str
    policy_digest: str
    certificate_days: float | None
    lanes: list[LaneStatus]
    kinds: list[KindStatus]
    outbox: BacklogStatus
    webhooks: BacklogStatus
    webhooks_disabled: list[str]
    failures: list[FailureCount]
    erasures_overdue: int
    takedowns_overdue: int
    last_sweep_at: datetime | None
    processes: list[ProcessStatus]
    drift: dict[str, list[str]]
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StatusReader:
    """Looks at a deployment.

    ``erasure_days`` is what the policy gives an erasure; ``certificate_days`` are those that the certificate may still
    sign, None without one. ``looks`` are at buckets, by name.
    """

    catalogue: Catalogue
    clock: Clock
    version: str
    schema: str
    policy_digest: str
    erasure_days: int
    certificate_days: Callable[[], float | None]
    looks: Mapping[str, Look]

    def look(self, addresses: Sequence[str] = ()) -> DeploymentStatus:
        """Return how it stands, and what the processes at ``addresses`` say. Raises CatalogueUnavailable."""
        now = self.clock()
        with self.catalogue.reading() as tx:
            waiting = tx.jobs.waiting(now, but=_PUT_OFF)
            open_jobs = tx.backlog.open_jobs()
            outbox, events = tx.backlog.outbox(), tx.backlog.events()
            failures = tx.statistics.failures((now - _FAILURES, now))
            erasures = tx.jobs.overdue(ERASE.name, now - timedelta(days=self.erasure_days))
            takedowns = tx.takedowns.overdue(now)
            sweep = tx.sweeps.last()
            position = tx.position.get()
            disabled = [endpoint.url for endpoint in tx.webhooks.endpoints() if endpoint.state == DISABLED]
        status = DeploymentStatus(
            at=now,
            version=self.version,
            schema=self.schema,
            catalogue=position.state if position is not None else "no position",
            policy_digest=self.policy_digest,
            certificate_days=self.certificate_days(),
            lanes=[LaneStatus(lane, *waiting.get(rank, (0, 0.0))) for lane, rank in RANKS.items()],
            kinds=[_kind_status(jobs, now) for jobs in open_jobs],
            outbox=_backlog_status(outbox, now),
            webhooks=_backlog_status(events, now),
            webhooks_disabled=disabled,
            failures=[FailureCount(kind, reason, count) for (kind, reason), count in sorted(failures.items())],
            erasures_overdue=erasures,
            takedowns_overdue=takedowns,
            last_sweep_at=sweep.finished_at if sweep is not None else None,
            processes=[ask_process(address) for address in addresses],
            drift={name: _sentences(look) for name, look in self.looks.items()},
        )
        status.problems.extend(problems_of(status))
        return status


def problems_of(status: DeploymentStatus) -> list[str]:
    """Return what is wrong with a status, a sentence each, the most urgent first."""
    problems = [
        f"{lane.lane}: a job has waited for {lane.oldest_s:,.0f} s; no more than {MOST_WAIT_S[lane.lane]:,} is usual"
        for lane in status.lanes
        if lane.oldest_s > MOST_WAIT_S[lane.lane]
    ]
    if status.catalogue != CURRENT:
        problems.insert(0, "the catalogue was restored, and shows nothing until `nightlight catalogue resume`")
    if status.erasures_overdue:
        problems.append(f"erasures: {status.erasures_overdue:,} are not done although their time is over")
    if status.takedowns_overdue:
        problems.append(
            f"takedown notices: {status.takedowns_overdue:,} are not carried out although their time is over"
        )
    for process in status.processes:
        if not process.ready:
            parts = ", ".join(f"{part} {code}" for part, code in process.parts.items())
            problems.append(f"{process.address} is not ready: {parts}")
    if status.outbox.oldest_s > MOST_OUTBOX_S:
        problems.append(f"outbox: a message has waited for {status.outbox.oldest_s:,.0f} s; does a schedule run?")
    if status.webhooks.oldest_s > MOST_EVENTS_S:
        problems.append(f"webhooks: an event has waited for {status.webhooks.oldest_s:,.0f} s for the platform")
    problems += [
        f"webhooks: {url} is disabled and sent nothing until `nightlight webhooks enable`"
        for url in status.webhooks_disabled
    ]
    if status.certificate_days is not None and status.certificate_days < LEAST_CERTIFICATE_DAYS:
        problems.append(f"certificate: it may sign for {status.certificate_days:.1f} more days")
    if status.failures:
        problems.append(f"jobs: {sum(failure.jobs for failure in status.failures):,} failed for good within a day")
    return problems + [f"{name}: {sentence}" for name, sentences in status.drift.items() for sentence in sentences]


def ask_process(address: str) -> ProcessStatus:
    """Return what the process at an address (``http://host:port``) says of itself."""
    try:
        answer = httpx.get(f"{address.rstrip('/')}/readyz", timeout=_ASK_S, follow_redirects=False)
        parts = answer.json()["parts"]
        wrong = {str(part): str(code) for part, code in parts.items() if code != "ok"}
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return ProcessStatus(address, ready=False, parts={"answer": type(error).__name__})
    except (ValueError, KeyError, TypeError, AttributeError):
        return ProcessStatus(address, ready=False, parts={"answer": "no /readyz"})
    return ProcessStatus(address, ready=answer.is_success and not wrong, parts=wrong)


def _kind_status(jobs: OpenJobs, now: datetime) -> KindStatus:
    kind = KINDS.get(jobs.kind)
    delay = kind.delay if kind is not None and kind.delay is not None else timedelta()
    lane = kind.lane if kind is not None else ""
    return KindStatus(jobs.kind, lane, jobs.waiting, jobs.leased, _seconds(now - jobs.first_at - delay))


def _backlog_status(waiting: Waiting, now: datetime) -> BacklogStatus:
    return BacklogStatus(waiting.count, _seconds(now - waiting.first_at) if waiting.first_at is not None else 0.0)


def _seconds(duration: timedelta) -> float:
    return round(max(0.0, duration.total_seconds()), 1)


def _sentences(look: Look) -> list[str]:
    """Return what a look found; that it could not look is a problem too."""
    try:
        return list(look())
    except NightlightError as error:
        return [f"could not be looked at: {error.code}"]
