"""Pictures that come from other buckets: walks through them, and each key that is to be looked at."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, or_, select, update

from nightlight.catalogue.images import DELETED, FAILED, RECEIVING, REJECTED
from nightlight.catalogue.retention_schema import import_items, imports
from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import images, jobs
from nightlight_core.errors import SourceDenied
from nightlight_core.ids import ImageId, ProfileId

# Of a walk: it goes on, everything was queued, somebody took another one instead.
RUNNING, LISTED, DROPPED = "running", "listed", "dropped"
# So many keys that are left out are told of; all of them are written to a file where one is named.
MOST_LEFT_OUT = 100
# Of a key: waiting; imported; not the newest, or known already; refused as a picture; gone from its bucket.
QUEUED, TAKEN, SKIPPED, REFUSED, REMOVED = "queued", "taken", "skipped", "refused", "removed"

# What an item's row has of the source object.
_SOURCE_COLUMNS = ("bucket", "key", "profile_id", "etag")
# What is left of where a picture came from once it is erased.
_GONE: dict[str, Any] = {"key": "", "profile_id": "", "etag": ""}


@dataclass(frozen=True, slots=True)
class ImportRun:
    """One walk through a bucket or an inventory; the numbers are of keys."""

    import_id: str
    source: str
    template: str
    state: str
    cursor: dict[str, Any]
    keys_found: int
    queued: int
    known: int
    unmatched: int
    actor: str
    created_at: datetime
    finished_at: datetime | None
    left_out: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a walk tells of keys that are nobody's picture.

    ``reasons`` counts them, ``first`` has the first MOST_LEFT_OUT as (key, reason, detail). ``file`` is where all of
    them are written, ``file_bytes`` how much of that file is written for sure. ``refused`` is the last error of the
    listing, and ``refused_at`` when that was (RFC 3339).
    """

    reasons: Mapping[str, int] = field(default_factory=dict)
    first: Sequence[Sequence[str]] = ()
    file: str | None = None
    file_bytes: int = 0
    refused: str | None = None
    refused_at: str | None = None

    def more(self, entries: Sequence[Sequence[str]], *, file_bytes: int) -> LeftOut:
        """Return what is told after one more page: the listing has answered."""
        reasons = dict(Counter(self.reasons) + Counter(entry[1] for entry in entries))
        first = [*self.first, *entries[: max(0, MOST_LEFT_OUT - len(self.first))]]
        return LeftOut(reasons, first, self.file, file_bytes)


@dataclass(frozen=True, slots=True)
class SourceObject:
    """A key that somebody told of: ``etag`` as listed or in the event, ``event_id`` tells two events of one key apart.

    ``removed`` says that it was told to be gone: what is there counts, and it is looked at first.
    """

    bucket: str
    key: str
    profile_id: ProfileId
    etag: str
    event_id: str = ""
    removed: bool = False

    @property
    def identity(self) -> str:
        """Return a hash of what was told, in hexadecimal."""
        return hashlib.sha256(f"{self.bucket}\n{self.key}\n{self.etag}\n{self.event_id}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ImportItem:
    """A key that is to be looked at, and what came of it."""

    item_id: str
    bucket: str
    key: str
    profile_id: ProfileId
    state: str
    reason: str | None
    etag: str
    written_at: datetime | None
    image_id: ImageId | None
    import_id: str | None

    @property
    def listed(self) -> bool:
        """Say whether a walk told of it, and not a notification."""
        return self.import_id is not None


class Imports(Rows):
    """Import and arrival rows, inside one transaction."""

    def unfinished(self, source: str, template: str) -> ImportRun | None:
        """Return the newest walk through a source that did not come to its end, and hold its row."""
        query = select(imports).where(
            imports.c.source == source, imports.c.template == template, imports.c.state == RUNNING
        )
        row = self._execute(query.order_by(imports.c.created_at.desc()).limit(1).with_for_update()).first()
        return ImportRun(*row) if row is not None else None

    def begin(self, source: str, template: str, *, actor: str, now: datetime, file: str | None) -> ImportRun:
        """Write a new walk from the beginning; ``file`` is where keys that are left out are written."""
        left_out = asdict(LeftOut(file=file))
        run = ImportRun(secrets.token_hex(16), source, template, RUNNING, {}, 0, 0, 0, 0, actor, now, None, left_out)
        self._execute(insert(imports).values(asdict(run)))
        return run

    def walk(self, import_id: str) -> ImportRun | None:
        """Return a walk."""
        row = self._execute(select(imports).where(imports.c.import_id == import_id)).one_or_none()
        return ImportRun(*row) if row is not None else None

    def walks(self, *, limit: int) -> list[ImportRun]:
        """Return walks, the newest first."""
        query = select(imports).order_by(imports.c.created_at.desc()).limit(limit)
        return [ImportRun(*row) for row in self._execute(query)]

    def advance(self, import_id: str, cursor: Mapping[str, Any], counted: Mapping[str, int], left_out: LeftOut) -> None:
        """Write how far a walk has come, what was ``counted`` since, and what is left out so far."""
        values: dict[str, Any] = {"cursor": dict(cursor), "left_out": asdict(left_out)}
        values |= {name: imports.c[name] + number for name, number in counted.items()}
        self._execute(update(imports).where(imports.c.import_id == import_id).values(values))

    def left_out(self, import_id: str) -> LeftOut:
        """Return what a walk has told of keys that it leaves out; hold its row."""
        query = select(imports.c.left_out).where(imports.c.import_id == import_id).with_for_update()
        return LeftOut(**(self._execute(query).scalar_one_or_none() or {}))

    def refuse(self, import_id: str, code: str, now: datetime) -> None:
        """Write that the listing failed."""
        noted = replace(self.left_out(import_id), refused=code, refused_at=now.isoformat())
        self._write_left_out(import_id, noted)

    def _write_left_out(self, import_id: str, summary: LeftOut) -> None:
        self._execute(update(imports).where(imports.c.import_id == import_id).values(left_out=asdict(summary)))

    def end(self, import_id: str, state: str, now: datetime) -> None:
        """Write that a walk is over."""
        values = {"state": state, "finished_at": now}
        self._execute(update(imports).where(imports.c.import_id == import_id).values(values))

    def counts(self, import_id: str) -> dict[str, int]:
        """Return how many keys of a walk are in each state."""
        query = select(import_items.c.state, func.count()).where(import_items.c.import_id == import_id)
        return {row[0]: row[1] for row in self._execute(query.group_by(import_items.c.state))}

    def waiting(self, import_id: str) -> int:
        """Return how many keys nobody has looked at yet, of a walk and of earlier ones through the same source."""
        own = select(imports.c.source, imports.c.template).where(imports.c.import_id == import_id).subquery()
        same = select(imports.c.import_id).join(
            own, (own.c.source == imports.c.source) & (own.c.template == imports.c.template)
        )
        query = select(func.count()).where(import_items.c.import_id.in_(same), import_items.c.state == QUEUED)
        return self._count(query)

    def held_up(self, import_id: str) -> dict[str, int]:
        """Return how many keys of a walk wait after an attempt that failed, by the code of its error."""
        waiting = import_items.join(jobs, jobs.c.other_id == import_items.c.item_id)
        query = select(jobs.c.reason, func.count()).select_from(waiting).where(import_items.c.import_id == import_id)
        query = query.where(import_items.c.state == QUEUED, jobs.c.kind == "import", jobs.c.reason.is_not(None))
        return {row[0]: row[1] for row in self._execute(query.group_by(jobs.c.reason))}

    def denied_and_ended(self, import_id: str) -> tuple[int, int]:
        """Return how many keys of a walk their bucket refuses to give, and how many have come to an end."""
        ended = select(func.count()).where(import_items.c.import_id == import_id, import_items.c.state != QUEUED)
        return self.held_up(import_id).get(SourceDenied.code, 0), self._count(ended)

    def denied(self, import_id: str, *, limit: int) -> list[ImportItem]:
        """Return keys of a walk that wait since their bucket refused them."""
        waiting = import_items.join(jobs, jobs.c.other_id == import_items.c.item_id)
        query = select(*_COLUMNS).select_from(waiting).where(import_items.c.import_id == import_id)
        query = query.where(import_items.c.state == QUEUED, jobs.c.kind == "import", jobs.c.reason == SourceDenied.code)
        return [ImportItem(*row) for row in self._execute(query.limit(limit))]

    def refusals(self, import_id: str, *, limit: int) -> list[ImportItem]:
        """Return keys of a walk that were refused."""
        query = select(*_COLUMNS).where(import_items.c.import_id == import_id, import_items.c.state == REFUSED)
        return [ImportItem(*row) for row in self._execute(query.limit(limit))]

    def add(self, sources: Sequence[SourceObject], now: datetime, *, import_id: str | None = None) -> list[str]:
        """Write what was told, once; return the ids of what is new; raises IntegrityError if others tell it now."""
        fresh = {source.identity: source for source in sources}
        recorded = select(import_items.c.identity).where(import_items.c.identity.in_(fresh))
        for row in self._execute(recorded):
            del fresh[row.identity]
        common = {"import_id": import_id, "state": QUEUED, "created_at": now}
        rows = [
            {
                **common,
                **{name: getattr(source, name) for name in _SOURCE_COLUMNS},
                "item_id": secrets.token_hex(16),
                "identity": identity,
            }
            for identity, source in fresh.items()
        ]
        if rows:
            self._execute(insert(import_items), rows)
        return [str(row["item_id"]) for row in rows]

    def get(self, item_id: str) -> ImportItem | None:
        """Return an arrival."""
        row = self._execute(select(*_COLUMNS).where(import_items.c.item_id == item_id)).one_or_none()
        return ImportItem(*row) if row is not None else None

    def seen(self, item_id: str, image_id: ImageId, etag: str, written_at: datetime) -> None:
        """Write what is being made of a key: the image, and what was there."""
        values = {"image_id": image_id, "etag": etag, "written_at": written_at}
        self._execute(update(import_items).where(import_items.c.item_id == item_id).values(values))

    def set_outcome(
        self, item_id: str, state: str, now: datetime, *, reason: str | None = None, forget: bool = False
    ) -> None:
        """Write what came of an arrival; ``forget`` drops its key and profile."""
        values = {"state": state, "reason": reason, "finished_at": now} | (_GONE if forget else {})
        self._execute(update(import_items).where(import_items.c.item_id == item_id).values(values))

    def images_of(self, item: ImportItem) -> list[ImageId]:
        """Return the images, not deleted, that were taken from an arrival's key."""
        joined = import_items.join(images, images.c.image_id == import_items.c.image_id)
        query = select(images.c.image_id).select_from(joined)
        same = (import_items.c.bucket == item.bucket, import_items.c.key == item.key)
        query = query.where(import_items.c.profile_id == item.profile_id, *same, images.c.state != DELETED)
        return [ImageId(row.image_id) for row in self._execute(query.distinct())]

    def known(self, item: ImportItem, etag: str) -> bool:
        """Say whether what is under a key now was taken from there before, or is being taken; the profile is held."""
        same = (import_items.c.bucket == item.bucket, import_items.c.key == item.key, import_items.c.etag == etag)
        query = select(import_items.c.item_id).where(*same, import_items.c.profile_id == item.profile_id)
        query = query.where(import_items.c.image_id.is_not(None), import_items.c.item_id != item.item_id)
        query = query.where(import_items.c.state.in_((QUEUED, TAKEN)))
        return self._execute(query.limit(1)).first() is not None

    def newer(self, item: ImportItem, written_at: datetime) -> bool:
        """Say whether a profile has a picture that is newer than what was written then; the profile is held.

        A picture of another key is as old as its object, one that was uploaded as old as its upload.
        """
        live = images.c.state.not_in((DELETED, RECEIVING, REJECTED, FAILED))
        joined = images.outerjoin(import_items, import_items.c.image_id == images.c.image_id)
        age = func.coalesce(import_items.c.written_at, images.c.created_at)
        query = select(images.c.image_id).select_from(joined)
        query = query.where(images.c.profile_id == item.profile_id, live, age > written_at)
        if self._execute(query.limit(1)).first() is not None:
            return True
        taking = (import_items.c.profile_id == item.profile_id, import_items.c.state == QUEUED)
        later = or_(
            import_items.c.written_at > written_at,
            (import_items.c.written_at == written_at) & (import_items.c.item_id > item.item_id),
        )
        query = select(import_items.c.image_id).where(*taking, import_items.c.image_id.is_not(None), later)
        return self._execute(query.limit(1)).first() is not None

    def forget(self, image_id: ImageId) -> None:
        """Drop the key and the profile that an image came from: it was erased. That it came stays known."""
        self._execute(update(import_items).where(import_items.c.image_id == image_id).values(_GONE))

    def forget_profile(self, profile_id: ProfileId) -> None:
        """Drop what is known of a deleted profile's keys of which nothing was taken, and keys that may name it."""
        has_outcome = import_items.c.state.in_((SKIPPED, REFUSED, REMOVED))
        self._execute(update(import_items).where(import_items.c.profile_id == profile_id, has_outcome).values(_GONE))
        for row in self._execute(select(imports.c.import_id, imports.c.left_out)).all():
            if any(profile_id in entry[0] for entry in (row.left_out or {}).get("first") or ()):
                summary = self.left_out(row.import_id)
                summary = replace(summary, first=[entry for entry in summary.first if profile_id not in entry[0]])
                self._write_left_out(row.import_id, summary)


_COLUMNS = tuple(import_items.c[name] for name in ImportItem.__slots__)
