"""Profiles: what the platform asserts of an account, and which image is current."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, insert, select, text, update

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import ASSERTED, canaries, images, profiles
from nightlight_core.ids import ImageId, ProfileId

LIVE = "live"
DEACTIVATED = "deactivated"
DELETED = "deleted"
# States of images that nobody has looked into yet: nightlight.catalogue.images names them.
WAITING = ("receiving", "pending")
# Profiles whose pictures are kept. Decisions know of the live ones alone.
KEPT = (LIVE, DEACTIVATED)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the platform says of a profile; the words are the policy vocabulary's."""

    band: str
    assurance: str
    region: str
    choice: str


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile as the catalogue knows it; ``asserted_band`` is what was asserted last, lapsed or not."""

    profile_id: ProfileId
    state: str
    band: str
    assurance: str
    region: str
    choice: str
    report_flag: str
    asserted_at: datetime
    generation: int
    current_image_id: ImageId | None
    asserted_band: str
    deactivated_at: datetime | None


_COLUMNS = tuple(profiles.c[name] for name in Profile.__slots__)


class Profiles(Rows):
    """Profile rows, inside one transaction."""

    def declare(self, profile_id: ProfileId, declaration: Declaration, now: datetime) -> bool:
        """Write what the platform said; return True if the profile is new (or was deleted before).

        A deactivated profile stays so.
        """
        values = {**asdict(declaration), "asserted_band": declaration.band, "asserted_at": now}
        existing = self.get(profile_id, lock=True)
        if existing is None:
            fresh = {"profile_id": profile_id, "state": LIVE, "report_flag": "clear", "generation": 0, "uploads": 0}
            self._execute(insert(profiles).values(**fresh, created_at=now, **values))
            return True
        # An open report stays open until the erasure is done; whoever was erased before is somebody else from now on.
        revived = {"state": LIVE, "created_at": now} if existing.state == DELETED else {}
        self._execute(update(profiles).where(profiles.c.profile_id == profile_id).values(**values, **revived))
        return existing.state == DELETED

    def get(self, profile_id: ProfileId, *, lock: bool = False) -> Profile | None:
        """Return the profile, deleted ones too, or None; ``lock`` holds its row until the transaction ends."""
        query = select(*_COLUMNS).where(profiles.c.profile_id == profile_id)
        row = self._execute(query.with_for_update() if lock else query).one_or_none()
        return Profile(*row) if row else None

    def page(self, after: str, *, limit: int) -> list[tuple[ProfileId, datetime]]:
        """Return (profile, since when it is there) of profiles that are kept, in the order of their ids."""
        query = select(profiles.c.profile_id, profiles.c.created_at)
        query = query.where(profiles.c.profile_id > after, profiles.c.state.in_(KEPT))
        rows = self._execute(query.order_by(profiles.c.profile_id).limit(limit))
        return [(ProfileId(row.profile_id), row.created_at) for row in rows]

    def accounts_after(self, after: str, *, limit: int) -> list[ProfileId]:
        """Return live profiles that are no canaries, in the order of their ids."""
        canary = select(canaries.c.profile_id).where(canaries.c.profile_id == profiles.c.profile_id).exists()
        query = select(profiles.c.profile_id).where(profiles.c.profile_id > after, profiles.c.state == LIVE, ~canary)
        return [ProfileId(row.profile_id) for row in self._execute(query.order_by(profiles.c.profile_id).limit(limit))]

    def lapse(self, before: datetime, band: str, *, limit: int) -> list[ProfileId]:
        """Give live profiles whose band was not asserted since ``before`` this band instead; return those."""
        # Written as the index is: it holds the few whose band has not lapsed and was asserted longest ago.
        stale = text(ASSERTED), profiles.c.asserted_at < before, profiles.c.band != band
        due = select(profiles.c.profile_id).where(*stale).order_by(profiles.c.asserted_at).limit(limit)
        lapsed = [ProfileId(row.profile_id) for row in self._execute(due.with_for_update(skip_locked=True))]
        self._execute(update(profiles).where(profiles.c.profile_id.in_(lapsed)).values(band=band))
        return lapsed

    def next_upload(self, profile_id: ProfileId) -> int:
        """Count one more upload of a profile that is kept; return its number. The row is locked from here on."""
        statement = (
            update(profiles)
            .where(*_kept(profile_id))
            .values(uploads=profiles.c.uploads + 1)
            .returning(profiles.c.uploads)
        )
        return self._count(statement)

    def had_no_picture(self, profile_id: ProfileId) -> bool:
        """Say whether no picture of a live profile ever got further than the queue, and nothing of it was revoked."""
        waiting = select(func.count()).where(images.c.profile_id == profile_id, images.c.state.in_(WAITING))
        query = select(1).where(
            profiles.c.profile_id == profile_id,
            profiles.c.state == LIVE,
            profiles.c.generation == 0,
            profiles.c.current_image_id.is_(None),
            profiles.c.uploads == waiting.scalar_subquery(),
        )
        return self._execute(query).first() is not None

    def set_report_flag(self, profile_id: ProfileId, report_flag: str) -> bool:
        """Set the report flag of a profile that is kept; return False if there is none."""
        statement = update(profiles).where(*_kept(profile_id)).values(report_flag=report_flag)
        return self._execute(statement).rowcount == 1

    def set_current(self, profile_id: ProfileId, image_id: ImageId | None) -> None:
        """Make ``image_id`` the one that is shown."""
        self._execute(update(profiles).where(profiles.c.profile_id == profile_id).values(current_image_id=image_id))

    def raise_generation(self, profile_id: ProfileId) -> int | None:
        """Raise the generation of a profile that is kept, which is in its renditions' names; return it, or None."""
        statement = update(profiles).where(*_kept(profile_id)).values(generation=profiles.c.generation + 1)
        generation: int | None = self._execute(statement.returning(profiles.c.generation)).scalar()
        return generation

    def raise_generations(self, profile_ids: Sequence[ProfileId], by: int) -> None:
        """Raise the generations of profiles by more than anything can have raised them that nobody knows of."""
        chosen = profiles.c.profile_id.in_(profile_ids)
        self._execute(update(profiles).where(chosen).values(generation=profiles.c.generation + by))

    def deactivate(self, profile_id: ProfileId, now: datetime) -> bool:
        """Take a live profile out of every decision, and keep all that is its own; return False if there is none."""
        return self._move(profile_id, LIVE, DEACTIVATED, now)

    def reactivate(self, profile_id: ProfileId) -> bool:
        """Make a deactivated profile live again; return False if there is none."""
        return self._move(profile_id, DEACTIVATED, LIVE, None)

    def _move(self, profile_id: ProfileId, source: str, target: str, deactivated_at: datetime | None) -> bool:
        row = profiles.c.profile_id == profile_id, profiles.c.state == source
        statement = update(profiles).where(*row).values(state=target, deactivated_at=deactivated_at)
        return self._execute(statement).rowcount == 1

    def delete(self, profile_id: ProfileId) -> bool:
        """Mark a profile that is kept deleted, and raise its generation; return False if there is none.

        A trigger drops its blocks, what is known of proofs about it, and what was said of its owner.
        """
        statement = (
            update(profiles)
            .where(*_kept(profile_id))
            .values(state=DELETED, current_image_id=None, deactivated_at=None, generation=profiles.c.generation + 1)
        )
        return self._execute(statement).rowcount == 1


def _kept(profile_id: ProfileId) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return profiles.c.profile_id == profile_id, profiles.c.state.in_(KEPT)
