"""Takedown notices, from accepted to in force or undone, and the list of hashes that they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.takedown_schema import takedown_revision, takedowns
from nightlight_core.ids import ImageId

# The life of a notice: receiving -> pending -> in_force -> undoing -> undone; pending -> rejected | failed. It is
# `receiving` until its picture is safely stored and the request acknowledged.
RECEIVING, PENDING, IN_FORCE = "receiving", "pending", "in_force"
REJECTED, FAILED, UNDOING, UNDONE = "rejected", "failed", "undoing", "undone"
# Notices that have yet to be carried out, and whose clock runs.
OPEN = (RECEIVING, PENDING)
# What the matches of notices stand under among those of hash lists. No file of a list can have this name.
LIST = "-takedowns"


@dataclass(frozen=True, slots=True)
class Takedown:
    """One notice. ``due_at`` is when the policy wants all copies hidden; ``hidden`` is how many images are.

    ``hashes`` are its entries, 32 bytes each, while it stands; ``aside`` are the numbers of those entries that match
    many unlike pictures, and count for nothing until a person has looked.
    """

    takedown_id: str
    state: str
    reason: str | None
    kind: str
    reference: str
    image_id: ImageId | None
    copy_key: str | None
    hidden: int
    aside: list[int]
    actor: str
    received_at: datetime
    due_at: datetime
    created_at: datetime
    dark_at: datetime | None
    undone_at: datetime | None
    sequence: int = 0
    revision: int = 0
    sealed_key: str | None = field(default=None, repr=False)
    hashes: bytes | None = field(default=None, repr=False)


_COLUMNS = tuple(takedowns.c[name] for name in Takedown.__slots__)


class Takedowns(Rows):
    """Rows of notices, inside one transaction."""

    def add(self, takedown: Takedown) -> None:
        """Write a new notice; its number is given here."""
        values = {name: getattr(takedown, name) for name in Takedown.__slots__ if name != "sequence"}
        self._execute(insert(takedowns).values(values))

    def get(self, takedown_id: str, *, lock: bool = False) -> Takedown | None:
        """Return the notice or None; ``lock`` holds its row until the transaction ends."""
        query = select(*_COLUMNS).where(takedowns.c.takedown_id == takedown_id)
        row = self._execute(query.with_for_update() if lock else query).one_or_none()
        return Takedown(*row) if row else None

    def listed(self, *, states: Sequence[str] = (), limit: int = 1_000) -> list[Takedown]:
        """Return notices, the newest first; those in some states alone if they are given."""
        query = select(*_COLUMNS).where(takedowns.c.state != RECEIVING).order_by(takedowns.c.sequence.desc())
        if states:
            query = query.where(takedowns.c.state.in_(states))
        return [Takedown(*row) for row in self._execute(query.limit(limit))]

    def placed_since(self, actor: str, since: datetime, *, limit: int) -> list[datetime]:
        """Return when a caller's notices were placed after a moment: the newest ``limit``, the newest first."""
        placed = takedowns.c.actor == actor, takedowns.c.created_at > since
        query = select(takedowns.c.created_at).where(*placed).order_by(takedowns.c.created_at.desc()).limit(limit)
        return [row.created_at for row in self._execute(query)]

    def set(self, takedown_id: str, **values: Any) -> None:
        """Write columns of a notice."""
        self._execute(update(takedowns).where(takedowns.c.takedown_id == takedown_id).values(**values))

    def revision(self, *, hold: str = "") -> int:
        """Return the revision of the own list; ``hold`` keeps it unchanged (``share``) or ours (``own``)."""
        query = select(takedown_revision.c.revision)
        if hold:
            query = query.with_for_update(read=hold == "share")
        return self._count(query)

    def change_list(self) -> int:
        """Raise the revision of the own list, which is held until the transaction ends; return it."""
        revision = self.revision(hold="own") + 1
        self._execute(update(takedown_revision).values(revision=revision))
        return revision

    def standing_after(self, revision: int, *, limit: int) -> list[tuple[int, bytes]]:
        """Return (number, hashes) of the next ``limit`` standing notices that joined the list after a revision.

        A notice's number is the revision at which it joined.
        """
        standing = takedowns.c.revision > revision, takedowns.c.hashes.is_not(None)
        query = select(takedowns.c.revision, takedowns.c.hashes).where(*standing).order_by(takedowns.c.revision)
        return [(row.revision, bytes(row.hashes)) for row in self._execute(query.limit(limit))]

    def in_force(self, kind: str, after: int, *, limit: int) -> list[Takedown]:
        """Return the next ``limit`` notices of a kind that are in force, by their numbers, after one."""
        wanted = takedowns.c.state == IN_FORCE, takedowns.c.kind == kind, takedowns.c.sequence > after
        query = select(*_COLUMNS).where(*wanted, takedowns.c.hashes.is_not(None)).order_by(takedowns.c.sequence)
        return [Takedown(*row) for row in self._execute(query.limit(limit))]

    def any_standing(self) -> bool:
        """Say whether any notice stands."""
        query = select(takedowns.c.sequence).where(takedowns.c.hashes.is_not(None)).limit(1)
        return self._execute(query).first() is not None

    def standing(self, numbers: Sequence[int]) -> dict[int, Takedown]:
        """Return the standing notices with these numbers."""
        query = select(*_COLUMNS).where(takedowns.c.revision.in_(numbers), takedowns.c.hashes.is_not(None))
        return {row.revision: Takedown(*row) for row in self._execute(query)}

    def overdue(self, now: datetime) -> int:
        """Return how many notices are not carried out although they are due."""
        late = takedowns.c.state.in_(OPEN), takedowns.c.due_at <= now
        return self._count(select(func.count()).where(*late))

    def stale(self, before: datetime, *, limit: int) -> list[str]:
        """Return notices that began to be received before a moment and were never acknowledged; they are held."""
        query = select(takedowns.c.takedown_id).where(takedowns.c.state == RECEIVING, takedowns.c.created_at < before)
        return [row.takedown_id for row in self._execute(query.limit(limit).with_for_update(skip_locked=True))]

    def copies_kept(self, before: datetime, *, limit: int) -> list[Takedown]:
        """Return carried out notices from before a moment of whose own picture something is kept; they are held."""
        kept = takedowns.c.copy_key.is_not(None), takedowns.c.created_at < before, takedowns.c.state != PENDING
        query = select(*_COLUMNS).where(*kept).limit(limit)
        return [Takedown(*row) for row in self._execute(query.with_for_update(skip_locked=True))]

    def forget_image(self, image_id: ImageId) -> None:
        """Forget that notices named an image: it is erased. What they count, and their hashes, stay."""
        self._execute(update(takedowns).where(takedowns.c.image_id == image_id).values(image_id=None))
