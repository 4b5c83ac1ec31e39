"""Exports: a person's own data, asked for by the platform, made by a worker, and kept for a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from nightlight.catalogue.retention_schema import exports
from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import profiles, renditions
from nightlight_core.ids import ImageId, ProfileId

# The life of an export: pending -> ready | failed; any -> deleted.
PENDING, READY, FAILED, DELETED = "pending", "ready", "failed", "deleted"


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One export. ``seal_to`` is the age recipient that it is sealed to; ``object_key`` is None once it is gone."""

    export_id: str
    profile_id: ProfileId
    state: str
    reason: str | None
    seal_to: str | None
    object_key: str | None
    bytes: int | None
    sha256: str | None
    actor: str
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class RenditionFacts:
    """What a person is told of a rendition; its name is a secret, and not among it."""

    tier: str
    format: str
    width: int
    height: int
    bytes: int
    created_at: datetime


class Exports(Rows):
    """Export rows, inside one transaction."""

    def add(self, row: ExportRow) -> None:
        """Write a new export."""
        self._execute(insert(exports).values(asdict(row)))

    def get(self, export_id: str, *, lock: bool = False) -> ExportRow | None:
        """Return an export or None; ``lock`` holds its row until the transaction ends."""
        query = select(exports).where(exports.c.export_id == export_id)
        row = self._execute(query.with_for_update() if lock else query).one_or_none()
        return ExportRow(*row) if row else None

    def kept(self, profile_id: ProfileId) -> list[ExportRow]:
        """Return the exports of a profile that are not deleted, the newest first."""
        query = select(exports).where(exports.c.profile_id == profile_id, exports.c.state != DELETED)
        return [ExportRow(*row) for row in self._execute(query.order_by(exports.c.created_at.desc()))]

    def asked_since(self, profile_id: ProfileId, since: datetime) -> list[datetime]:
        """Return when exports of a profile were asked for after ``since``, the newest first."""
        asked = exports.c.profile_id == profile_id, exports.c.created_at > since
        query = select(exports.c.created_at).where(*asked).order_by(exports.c.created_at.desc())
        return [row.created_at for row in self._execute(query)]

    def made_since(self, since: datetime) -> int:
        """Return how many exports of the whole deployment were made after ``since``."""
        return self._count(select(func.count()).where(exports.c.finished_at > since, exports.c.sha256.is_not(None)))

    def set(self, export_id: str, **values: Any) -> None:
        """Write columns of an export."""
        self._execute(update(exports).where(exports.c.export_id == export_id).values(**values))

    def forget_profile(self, profile_id: ProfileId) -> None:
        """Take the profile's id out of every export of it."""
        self._execute(update(exports).where(exports.c.profile_id == profile_id).values(profile_id=""))

    def due(self, now: datetime, *, asked_before: datetime, limit: int) -> list[ExportRow]:
        """Return exports to delete: those that expired, and those asked for before a moment and not ready."""
        over = (exports.c.state == READY) & (exports.c.expires_at <= now)
        over |= exports.c.state.in_((PENDING, FAILED)) & (exports.c.created_at < asked_before)
        query = select(exports).where(over).limit(limit).with_for_update(skip_locked=True)
        return [ExportRow(*row) for row in self._execute(query)]

    def drop(self, *, asked_before: datetime) -> None:
        """Drop the rows of deleted exports whose objects are gone, asked for before a moment."""
        gone = exports.c.state == DELETED, exports.c.object_key.is_(None), exports.c.created_at < asked_before
        self._execute(delete(exports).where(*gone))

    def declared_first(self, profile_id: ProfileId) -> datetime:
        """Return when a profile was declared for the first time."""
        query = select(profiles.c.created_at).where(profiles.c.profile_id == profile_id)
        moment: datetime = self._execute(query).scalar_one()
        return moment

    def renditions(self, image_id: ImageId) -> Sequence[RenditionFacts]:
        """Return what there is to tell of an image's renditions, the smallest first."""
        columns = [renditions.c[name] for name in RenditionFacts.__slots__]
        query = (
            select(*columns).where(renditions.c.image_id == image_id).order_by(renditions.c.width, renditions.c.tier)
        )
        return [RenditionFacts(*row) for row in self._execute(query)]
