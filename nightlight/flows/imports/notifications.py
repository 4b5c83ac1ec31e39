"""Pictures of another bucket, from the word that they are there to a job for each.

What a listing or a notification says is only a reason to look: the job (flows.imports.import_picture) looks at what is
under the key then. So nothing depends on the order in which words come, and a word that comes twice is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from nightlight import logs
from nightlight.catalogue.imports import SourceObject
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue_many
from nightlight.jobs.lanes import BACKGROUND, URGENT
from nightlight_core.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.store.event_notifications import ObjectEvent
    from nightlight.store.key_template import KeyTemplate
    from nightlight_core.clock import Clock

_TRIES = 5
_Answer = TypeVar("_Answer")


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
        fresh = written(self.catalogue, lambda tx: queue_imports(tx, sources, self.clock)) if sources else 0
        return NotificationCounts(fresh, len(sources) - fresh, len(notices) - len(sources))


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


def written(catalogue: Catalogue, write: Callable[[Transaction], _Answer]) -> _Answer:
    """Write in a transaction, and again if somebody else was told of the same key at this moment."""
    for tries in range(_TRIES):
        try:
            with catalogue.transaction() as tx:
                return write(tx)
        except Conflict:
            logs.get("imports").info("imports.again", count=tries + 1)
    with catalogue.transaction() as tx:
        return write(tx)
