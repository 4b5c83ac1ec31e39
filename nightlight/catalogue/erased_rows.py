"""Removing the rows of what was erased: everything that names an image or a profile, but for the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, text

from nightlight.catalogue.holds import ENDED
from nightlight.catalogue.images import DELETED
from nightlight.catalogue.jobs import LEASED, QUEUED
from nightlight.catalogue.matching_schema import hash_list_matches, screenings, trace_origins
from nightlight.catalogue.policy_schema import rerender_demand
from nightlight.catalogue.retention_schema import erasures, held, holds, vaulted
from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import (
    DELETION_STEPS,
    audit,
    idempotency,
    images,
    jobs,
    profiles,
    renditions,
    revocations,
    written_keys,
)
from nightlight.catalogue.takedown_schema import takedown_matches, takedown_reviews, view_hashes
from nightlight_core.ids import ImageId, ProfileId

if TYPE_CHECKING:
    from sqlalchemy import Table

# What names an image, in an order that no foreign key forbids; traces' results and hashes are dropped before.
_OF_IMAGE: tuple[Table, ...] = (
    revocations, renditions, screenings, hash_list_matches, takedown_matches, takedown_reviews, view_hashes,
    trace_origins, rerender_demand, idempotency, erasures, held, jobs, written_keys,
)  # fmt: skip
_JOBS = ("erase", "verify_erasure")


class ErasedRows(Rows):
    """Rows of erased images and profiles, inside one transaction."""

    def kept_by_hold(self, image_id: ImageId) -> bool:
        """Say whether a hold that has not ended covers an image, or the vault has it still."""
        return self._execute(select(1).where(or_(*_held(image_id)))).first() is not None

    def worked_on(self, image_id: ImageId, but: str, now: datetime) -> bool:
        """Say whether somebody has a job on an image, besides the job ``but``, whose lease has not run out."""
        leased = jobs.c.image_id == image_id, jobs.c.state == LEASED, jobs.c.lease_until > now, jobs.c.job_id != but
        return self._execute(select(1).where(exists().where(*leased))).first() is not None

    def remove_image(self, image_id: ImageId) -> None:
        """Remove a deleted image, and every row that names it."""
        for table in _OF_IMAGE:
            self._execute(delete(table).where(table.c.image_id == image_id))
        self._execute(delete(images).where(images.c.image_id == image_id))

    def remove_profile(self, profile_id: ProfileId) -> None:
        """Remove a deleted profile without images. A trigger takes what else is kept under its id."""
        self._execute(delete(profiles).where(profiles.c.profile_id == profile_id))

    def has_images(self, profile_id: ProfileId) -> bool:
        """Say whether there is a row of any image of a profile."""
        return self._execute(select(1).where(exists().where(images.c.profile_id == profile_id))).first() is not None

    def profiles_without_images(self, *, limit: int) -> list[ProfileId]:
        """Return deleted profiles that have no image any more, and hold their rows."""
        owned = exists().where(images.c.profile_id == profiles.c.profile_id)
        query = select(profiles.c.profile_id).where(profiles.c.state == DELETED, ~owned).limit(limit)
        return [ProfileId(row.profile_id) for row in self._execute(query.with_for_update(skip_locked=True))]

    def images_left_over(self, *, limit: int) -> list[ImageId]:
        """Return deleted images that no erasure is under way for, and that no hold keeps."""
        open_ = exists().where(
            jobs.c.image_id == images.c.image_id, jobs.c.kind.in_(_JOBS), jobs.c.state.in_((QUEUED, LEASED))
        )
        kept = or_(*_held(images.c.image_id))
        query = select(images.c.image_id).where(images.c.state == DELETED, ~open_, ~kept).limit(limit)
        return [ImageId(row.image_id) for row in self._execute(query.with_for_update(skip_locked=True))]

    def left(self) -> int:
        """Return how many erased images and profiles have rows yet."""
        counts = [select(func.count()).where(table.c.state == DELETED) for table in (images, profiles)]
        return sum(self._count(count) for count in counts)

    def forget_audit(self, before: datetime, *, limit: int) -> int:
        """Drop all lines of the audit log about images that are gone, where each was written before a moment.

        ``limit`` is of lines about a deletion, by which they are found. An index has those of each step of it, since
        the release before dropped lines one by one.
        """
        later, line = audit.alias(), exists().where(images.c.image_id == audit.c.image_id)
        gone = text(DELETION_STEPS), audit.c.at < before, ~line
        gone_for_good = ~exists().where(later.c.image_id == audit.c.image_id, later.c.at >= before)
        query = select(audit.c.image_id).where(*gone, gone_for_good).order_by(audit.c.at).limit(limit)
        image_ids = set(self._execute(query).scalars())
        return self._execute(delete(audit).where(audit.c.image_id.in_(image_ids))).rowcount if image_ids else 0


def _held(image_id: ImageId | ColumnElement[str]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    joined = held.join(holds, holds.c.hold_id == held.c.hold_id)
    open_ = select(1).select_from(joined).where(held.c.image_id == image_id, holds.c.state != ENDED)
    return open_.exists(), exists().where(vaulted.c.image_id == image_id)
