"""Softened pictures of takedown notices and their matches: asked for by reviewers, made by workers, kept for hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.takedown_schema import takedown_reviews
from nightlight_core.ids import ImageId

# The life of a review picture: pending -> ready | failed; any -> deleted.
PENDING, READY, FAILED, DELETED = "pending", "ready", "failed", "deleted"


@dataclass(frozen=True, slots=True)
class ReviewPicture:
    """One softened picture: of an image, or of the notice's own picture where ``image_id`` is None."""

    review_id: str
    takedown_id: str
    image_id: ImageId | None
    state: str
    reason: str | None
    object_key: str
    actor: str
    created_at: datetime
    made_at: datetime | None = None
    expires_at: datetime | None = None


class TakedownReviews(Rows):
    """Rows of review pictures, inside one transaction."""

    def add(self, rows: Sequence[ReviewPicture]) -> None:
        """Write new rows."""
        if rows:
            self._execute(insert(takedown_reviews), [asdict(row) for row in rows])

    def get(self, review_id: str, *, lock: bool = False) -> ReviewPicture | None:
        """Return a row or None; ``lock`` holds it until the transaction ends."""
        query = select(takedown_reviews).where(takedown_reviews.c.review_id == review_id)
        row = self._execute(query.with_for_update() if lock else query).one_or_none()
        return ReviewPicture(*row) if row else None

    def of_notice(self, takedown_id: str) -> list[ReviewPicture]:
        """Return the rows of a notice that are not deleted, the oldest first."""
        return self._kept(takedown_reviews.c.takedown_id == takedown_id)

    def of_image(self, image_id: ImageId) -> list[ReviewPicture]:
        """Return the rows of an image that are not deleted, the oldest first."""
        return self._kept(takedown_reviews.c.image_id == image_id)

    def set(self, review_id: str, **values: Any) -> None:
        """Write columns of a row."""
        self._execute(update(takedown_reviews).where(takedown_reviews.c.review_id == review_id).values(**values))

    def drop(self, review_id: str) -> None:
        """Remove a row whose object is gone."""
        self._execute(delete(takedown_reviews).where(takedown_reviews.c.review_id == review_id))

    def made_since(self, since: datetime) -> int:
        """Return how many pictures of the whole deployment were made after a moment."""
        return self._count(select(func.count()).where(takedown_reviews.c.made_at > since))

    def due(self, now: datetime, *, asked_before: datetime, limit: int) -> list[ReviewPicture]:
        """Return rows to delete: those that expired, and those asked for before a moment and not ready."""
        over = (takedown_reviews.c.state == READY) & (takedown_reviews.c.expires_at <= now)
        over |= takedown_reviews.c.state.in_((PENDING, FAILED)) & (takedown_reviews.c.created_at < asked_before)
        query = select(takedown_reviews).where(over).limit(limit).with_for_update(skip_locked=True)
        return [ReviewPicture(*row) for row in self._execute(query)]

    def _kept(self, which: Any) -> list[ReviewPicture]:
        query = select(takedown_reviews).where(which, takedown_reviews.c.state != DELETED)
        rows = self._execute(query.order_by(takedown_reviews.c.created_at, takedown_reviews.c.review_id))
        return [ReviewPicture(*row) for row in rows]
