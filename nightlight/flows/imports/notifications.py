"""Pictures of another bucket, from the word that they are there to a job for each.

What a listing or a notification says is only a reason to look: the job (flows.imports.import_picture) looks at what is
under the key then. So nothing depends on the order in which words come, and a word that comes twice is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight import logs
from nightlight.catalogue.imports import DROPPED, LISTED, Arrival, Import, Told
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue_many
from nightlight.jobs.lanes import BACKGROUND, URGENT
from nightlight_core.errors import Conflict, InvalidInput, NotFound
from nightlight_core.ids import ProfileId

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.store.event_notifications import Notice
    from nightlight.store.key_template import KeyTemplate
    from nightlight.store.source_buckets import Page
    from nightlight_core.clock import Clock

_TRIES = 5
_MOST_TOLD = 20


class Heard(NamedTuple):
    """What came of words: keys to look at, those that were told of before, and those that are nobody's picture."""

    queued: int
    known: int
    unmatched: int


@dataclass(frozen=True, slots=True)
class Arrive:
    """Takes the word of notifications. ``templates`` are of the buckets that are listened to."""

    catalogue: Catalogue
    templates: Mapping[str, KeyTemplate]
    clock: Clock

    def hear(self, notices: Sequence[Notice]) -> Heard:
        """Queue a look at each key; once this returns it is not forgotten. Raises CatalogueUnavailable."""
        told, unmatched = [], 0
        for one in notices:
            template = self.templates.get(one.bucket)
            profile_id = template.profile(one.key) if template is not None else None
            if profile_id is None:
                unmatched += 1
            else:
                mark = one.mark or "notice"
                told.append(Told(one.bucket, one.key, ProfileId(profile_id), one.etag, mark, one.removed))
        fresh = _again(lambda: self._queue(told)) if told else 0
        return Heard(fresh, len(told) - fresh, unmatched)

    def _queue(self, told: Sequence[Told]) -> int:
        with self.catalogue.transaction() as tx:
            return queue(tx, told, self.clock)


@dataclass(frozen=True, slots=True)
class Backfill:
    """Walks through a bucket once, a page at a time: keys, jobs, messages and the place to go on in one transaction."""

    catalogue: Catalogue
    clock: Clock

    def begin(self, source: str, template: KeyTemplate, *, actor: str, again: bool = False) -> Import:
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
    ) -> Iterator[Heard]:
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
                    told.append(Told(bucket, one.key, ProfileId(profile_id), one.etag))
            yield self._write(import_id, told, unmatched, cursor)
        with self.catalogue.transaction() as tx:
            tx.arrivals.end(import_id, LISTED, self.clock())

    def outcome(self, import_id: str) -> tuple[Import, dict[str, int], list[Arrival]]:
        """Return a walk, how many of its keys are in each state, and some that were refused; raises NotFound."""
        with self.catalogue.reading() as tx:
            found = tx.arrivals.walk(import_id)
            if found is None:
                raise NotFound
            return found, tx.arrivals.counts(import_id), tx.arrivals.refusals(import_id, limit=_MOST_TOLD)

    def walks(self) -> list[tuple[Import, dict[str, int]]]:
        """Return the newest walks, each with how many of its keys are in each state."""
        with self.catalogue.reading() as tx:
            return [(one, tx.arrivals.counts(one.import_id)) for one in tx.arrivals.walks(limit=_MOST_TOLD)]

    def waiting(self, import_id: str) -> int:
        """Return how many keys of a walk nobody has looked at yet."""
        with self.catalogue.reading() as tx:
            return tx.arrivals.waiting(import_id)

    def _write(self, import_id: str, told: Sequence[Told], unmatched: int, cursor: dict[str, Any]) -> Heard:
        def write() -> Heard:
            with self.catalogue.transaction() as tx:
                fresh = queue(tx, told, self.clock, import_id=import_id)
                heard = Heard(fresh, len(told) - fresh, unmatched)
                counted = {"found": len(told) + unmatched, **heard._asdict()}
                tx.arrivals.advance(import_id, cursor, counted)
                return heard

        heard: Heard = _again(write)
        return heard


def queue(tx: Transaction, told: Sequence[Told], clock: Clock, *, import_id: str | None = None) -> int:
    """Queue a look at each key that was not told of before, in the caller's transaction; return how many."""
    now = clock()
    # A whole bucket waits behind what platforms tell of one by one, and nothing that is gone waits behind uploads.
    lane = None if import_id is None else BACKGROUND
    gone = [one for one in told if one.removed]
    count = 0
    for of, lane_of in ((gone, URGENT), ([one for one in told if not one.removed], lane)):
        fresh = tx.arrivals.add(of, now, import_id=import_id) if of else []
        enqueue_many(tx, kinds.IMPORT, fresh, now, lane=lane_of)
        count += len(fresh)
    return count


def refuse_own(bucket: str, own: Sequence[str]) -> None:
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
