"""Pictures of another bucket, from the word that they are there to a job for each.

What a listing or a notification says is only a reason to look: the job (flows.imports.import_picture) looks at what is
under the key then. So nothing depends on the order in which words come, and a word that comes twice is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from nightlight import logs
from nightlight.catalogue.imports import DROPPED, LISTED, ImportItem, ImportRun, SourceObject
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue_many
from nightlight.jobs.lanes import BACKGROUND, URGENT
from nightlight_core.errors import Conflict, InvalidInput, NotFound, StoreDenied

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.store.event_notifications import ObjectEvent
    from nightlight.store.key_template import KeyTemplate
    from nightlight.store.source_buckets import Page
    from nightlight_core.clock import Clock

_TRIES = 5
_MOST_SHOWN = 20
_Answer = TypeVar("_Answer")


class UnmatchedKey(NamedTuple):
    """A key that is nobody's picture, and why."""

    key: str
    why: str


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
        sources = [
            SourceObject(event.bucket, event.key, profile_id, event.etag, event.event_id or "notice", event.removed)
            for event in notices
            if (template := self.templates.get(event.bucket)) and (profile_id := template.profile(event.key))
        ]
        fresh = _written(self.catalogue, lambda tx: queue_imports(tx, sources, self.clock)) if sources else 0
        return NotificationCounts(fresh, len(sources) - fresh, len(notices) - len(sources))


@dataclass(frozen=True, slots=True)
class Backfill:
    """Walks through a bucket once, a page at a time: keys, jobs, messages and the place to go on in one transaction."""

    catalogue: Catalogue
    clock: Clock

    def begin(self, source: str, template: KeyTemplate, *, actor: str, again: bool = False) -> ImportRun:
        """Return the walk through a source that was interrupted, or a new one (``again``: in any case)."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            unfinished = tx.imports.unfinished(source, template.text)
            if unfinished is not None and not again:
                return unfinished
            if unfinished is not None:
                tx.imports.end(unfinished.import_id, DROPPED, now)
            run = tx.imports.begin(source, template.text, actor=actor, now=now)
            tx.audit.append("import.begun", now=now, actor=actor, detail={"import_id": run.import_id})
            return run

    def walk(
        self,
        import_id: str,
        bucket: str,
        template: KeyTemplate,
        pages: Callable[[dict[str, Any]], Iterator[Page]],
        left_out: Callable[[Sequence[UnmatchedKey]], None] = lambda _: None,
    ) -> Iterator[NotificationCounts]:
        """Go on with a walk to its end; yield what came of each page, once it is written.

        ``left_out`` is told the keys of a page that are nobody's picture before the page is written: a walk that is
        killed in between tells them twice, and never not at all.
        """
        with self.catalogue.reading() as tx:
            run = tx.imports.walk(import_id)
        if run is None:
            raise NotFound(f"no import {import_id}")
        for listed, cursor in pages(run.cursor):
            sources = [
                SourceObject(bucket, key.key, profile_id, key.etag)
                for key in listed
                if (profile_id := template.profile(key.key))
            ]
            taken = {source.key for source in sources}
            left_out([UnmatchedKey(key.key, template.why_not(key.key)) for key in listed if key.key not in taken])
            yield self._write(import_id, sources, len(listed) - len(sources), cursor)
        with self.catalogue.transaction() as tx:
            tx.imports.end(import_id, LISTED, self.clock())

    def outcome(self, import_id: str) -> tuple[ImportRun, dict[str, int], list[ImportItem]]:
        """Return a walk, how many of its keys are in each state, and some that were refused; raises NotFound."""
        with self.catalogue.reading() as tx:
            run = tx.imports.walk(import_id)
            if run is None:
                raise NotFound
            return run, tx.imports.counts(import_id), tx.imports.refusals(import_id, limit=_MOST_SHOWN)

    def walks(self) -> list[tuple[ImportRun, dict[str, int]]]:
        """Return the newest walks, each with how many of its keys are in each state."""
        with self.catalogue.reading() as tx:
            return [(run, tx.imports.counts(run.import_id)) for run in tx.imports.walks(limit=_MOST_SHOWN)]

    def denied(self, import_id: str) -> int:
        """Return how many keys wait because the other bucket refused them to the workers, who ask again."""
        with self.catalogue.reading() as tx:
            return tx.imports.refused_by_source(import_id, StoreDenied.code)

    def waiting(self, import_id: str) -> int:
        """Return how many keys of a walk nobody has looked at yet."""
        with self.catalogue.reading() as tx:
            return tx.imports.waiting(import_id)

    def _write(
        self, import_id: str, sources: Sequence[SourceObject], unmatched: int, cursor: dict[str, Any]
    ) -> NotificationCounts:
        def write(tx: Transaction) -> NotificationCounts:
            fresh = queue_imports(tx, sources, self.clock, import_id=import_id)
            counts = NotificationCounts(fresh, len(sources) - fresh, unmatched)
            tx.imports.advance(import_id, cursor, {"keys_found": len(sources) + unmatched, **counts._asdict()})
            return counts

        return _written(self.catalogue, write)


def queue_imports(
    tx: Transaction, sources: Sequence[SourceObject], clock: Clock, *, import_id: str | None = None
) -> int:
    """Queue a look at each key that was not told of before, in the caller's transaction; return how many."""
    now = clock()
    # A whole bucket waits behind what platforms tell of one by one, and nothing that is gone waits behind uploads.
    lane = None if import_id is None else BACKGROUND
    gone = [source for source in sources if source.removed]
    count = 0
    for group, group_lane in ((gone, URGENT), ([source for source in sources if not source.removed], lane)):
        fresh = tx.imports.add(group, now, import_id=import_id) if group else []
        enqueue_many(tx, kinds.IMPORT, fresh, now, lane=group_lane)
        count += len(fresh)
    return count


def refuse_own_bucket(bucket: str, own: Sequence[str]) -> None:
    """Raise InvalidInput where a bucket that is to be taken from is one of Nightlight's own."""
    if bucket in own:
        raise InvalidInput(f"{bucket} is Nightlight's own bucket; name the one that pictures come from")


def _written(catalogue: Catalogue, write: Callable[[Transaction], _Answer]) -> _Answer:
    """Write in a transaction, and again if somebody else was told of the same key at this moment."""
    for tries in range(_TRIES):
        try:
            with catalogue.transaction() as tx:
                return write(tx)
        except Conflict:
            logs.get("imports").info("imports.again", count=tries + 1)
    with catalogue.transaction() as tx:
        return write(tx)
