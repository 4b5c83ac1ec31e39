"""Pictures of another bucket, from the word that they are there to a job for each.

What a listing or a notification says is only a reason to look: the job (flows.imports.import_picture) looks at what is
under the key then. So nothing depends on the order in which words come, and a word that comes twice is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight import logs
from nightlight.catalogue import jobs
from nightlight.catalogue.imports import DROPPED, LISTED, ImportItem, ImportRun, SourceObject
from nightlight.jobs.enqueue import TASKS
from nightlight.jobs.lanes import BACKGROUND, UPLOAD, URGENT
from nightlight_core.errors import Conflict, InvalidInput, NotFound
from nightlight_core.ids import JobId, ProfileId, new_job_id

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.store.event_notifications import ObjectEvent
    from nightlight.store.key_template import KeyTemplate
    from nightlight.store.source_buckets import Page
    from nightlight_core.clock import Clock

_TRIES = 5
_MOST_TOLD = 20
# An import's jobs are published by the outbox; if that was lost, again after so long.
_AGAIN = timedelta(hours=1)


class NotificationCounts(NamedTuple):
    """What came of words: keys to look at, those that were told of before, and those that are nobody's picture."""

    queued: int
    known: int
    unmatched: int


@dataclass(frozen=True, slots=True)
class ImportNotifications:
    """Takes the word of notifications. ``templates`` are of the buckets that are listened to."""

    catalogue: Catalogue
    templates: Mapping[str, KeyTemplate]
    clock: Clock

    def record(self, notices: Sequence[ObjectEvent]) -> NotificationCounts:
        """Queue a look at each key; once this returns it is not forgotten. Raises CatalogueUnavailable."""
        told, unmatched = [], 0
        for one in notices:
            template = self.templates.get(one.bucket)
            profile_id = template.profile(one.key) if template is not None else None
            if profile_id is None:
                unmatched += 1
            else:
                mark = one.mark or "notice"
                told.append(SourceObject(one.bucket, one.key, ProfileId(profile_id), one.etag, mark, one.removed))
        fresh = _again(lambda: self._queue(told)) if told else 0
        return NotificationCounts(fresh, len(told) - fresh, unmatched)

    def _queue(self, told: Sequence[SourceObject]) -> int:
        with self.catalogue.transaction() as tx:
            return queue_imports(tx, told, self.clock)


@dataclass(frozen=True, slots=True)
class Backfill:
    """Walks through a bucket once, a page at a time: keys, jobs, messages and the place to go on in one transaction."""

    catalogue: Catalogue
    clock: Clock

    def begin(self, source: str, template: KeyTemplate, *, actor: str, again: bool = False) -> ImportRun:
        """Return the walk through a source that was interrupted, or a new one (``again``: in any case)."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            found = tx.arrivals.unfinished(source, template.text)
            if found is not None and not again:
                return found
            if found is not None:
                tx.arrivals.end(found.import_id, DROPPED, now)
            made = tx.arrivals.begin(source, template.text, actor=actor, now=now)
            tx.audit.append("import.begun", now=now, actor=actor, detail={"import_id": made.import_id})
            return made

    def walk(
        self, import_id: str, bucket: str, template: KeyTemplate, pages: Callable[[dict[str, Any]], Iterator[Page]]
    ) -> Iterator[NotificationCounts]:
        """Go on with a walk to its end; yield what came of each page, once it is written."""
        with self.catalogue.reading() as tx:
            found = tx.arrivals.walk(import_id)
        if found is None:
            message = f"no import {import_id}"
            raise NotFound(message)
        for listed, cursor in pages(found.cursor):
            told, unmatched = [], 0
            for one in listed:
                profile_id = template.profile(one.key)
                if profile_id is None:
                    unmatched += 1
                else:
                    told.append(SourceObject(bucket, one.key, ProfileId(profile_id), one.etag))
            yield self._write(import_id, told, unmatched, cursor)
        with self.catalogue.transaction() as tx:
            tx.arrivals.end(import_id, LISTED, self.clock())

    def outcome(self, import_id: str) -> tuple[ImportRun, dict[str, int], list[ImportItem]]:
        """Return a walk, how many of its keys are in each state, and some that were refused; raises NotFound."""
        with self.catalogue.reading() as tx:
            found = tx.arrivals.walk(import_id)
            if found is None:
                raise NotFound
            return found, tx.arrivals.counts(import_id), tx.arrivals.refusals(import_id, limit=_MOST_TOLD)

    def walks(self) -> list[tuple[ImportRun, dict[str, int]]]:
        """Return the newest walks, each with how many of its keys are in each state."""
        with self.catalogue.reading() as tx:
            return [(one, tx.arrivals.counts(one.import_id)) for one in tx.arrivals.walks(limit=_MOST_TOLD)]

    def waiting(self, import_id: str) -> int:
        """Return how many keys of a walk nobody has looked at yet."""
        with self.catalogue.reading() as tx:
            return tx.arrivals.waiting(import_id)

    def _write(
        self, import_id: str, told: Sequence[SourceObject], unmatched: int, cursor: dict[str, Any]
    ) -> NotificationCounts:
        def write() -> NotificationCounts:
            with self.catalogue.transaction() as tx:
                fresh = queue_imports(tx, told, self.clock, import_id=import_id)
                heard = NotificationCounts(fresh, len(told) - fresh, unmatched)
                counted = {"keys_found": len(told) + unmatched, **heard._asdict()}
                tx.arrivals.advance(import_id, cursor, counted)
                return heard

        heard: NotificationCounts = _again(write)
        return heard


def queue_imports(tx: Transaction, told: Sequence[SourceObject], clock: Clock, *, import_id: str | None = None) -> int:
    """Queue a look at each key that was not told of before, in the caller's transaction; return how many."""
    now = clock()
    # A whole bucket waits behind what platforms tell of one by one, and nothing that is gone waits behind uploads.
    lane = UPLOAD if import_id is None else BACKGROUND
    gone = [one for one in told if one.removed]
    count = 0
    for of, lane_of in ((gone, URGENT), ([one for one in told if not one.removed], lane)):
        fresh = tx.arrivals.add(of, now, import_id=import_id) if of else []
        on: list[tuple[JobId, str]] = [(new_job_id(), arrival_id) for arrival_id in fresh]
        tx.jobs.add_many(jobs.TAKE, on, now, due=now + _AGAIN, lane=lane_of)
        tx.outbox.add_many(TASKS[jobs.TAKE], [job_id for job_id, _ in on], now, lane=lane_of)
        count += len(fresh)
    return count


def refuse_own_bucket(bucket: str, own: Sequence[str]) -> None:
    """Raise InvalidInput where a bucket that is to be taken from is one of Nightlight's own."""
    if bucket in own:
        message = f"{bucket} is Nightlight's own bucket; name the one that pictures come from"
        raise InvalidInput(message)


def _again(write: Callable[[], Any]) -> Any:
    """Write, and again if somebody else was told of the same key at this moment."""
    for tries in range(_TRIES):
        try:
            return write()
        except Conflict:
            logs.get("arrive").info("arrivals.again", count=tries + 1)
    return write()
