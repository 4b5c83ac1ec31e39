"""Review of a notice's matches by a person, who sees both pictures softened.

::

    ask        the matches that wait, and the notice's own picture: a row and a job for each, then 202
    make       in a worker, which alone can read originals                         (takedowns.make_review_picture)
    give       the bytes, to whoever may review, for hours; each is in the audit log
    remove     after those hours, with the image, and with the notice

The service reads the bucket of exports, where softened pictures have a prefix of their own, and no original.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from nightlight.catalogue import hash_list_matches, images, takedown_reviews, takedowns
from nightlight.catalogue.hash_list_matches import HashListMatch
from nightlight.catalogue.takedown_reviews import ReviewPicture
from nightlight.catalogue.takedowns import LIST, Takedown
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight_core.errors import Conflict, NotFound, ObjectMissing
from nightlight_core.ids import ImageId, new_review_key

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.store.interface import StoredObject
    from nightlight_core.clock import Clock

# So many matches are prepared at a time: as many as a person looks at in one go.
MOST_AT_ONCE = 25
# A softened picture has a few kB.
MOST_BYTES = 200_000
# One that is not ready after so long is not made any more, and may be asked for again.
REVIEWS_WAIT = timedelta(hours=1)
WAITING = (hash_list_matches.OPEN, hash_list_matches.ASIDE)
# Images that a reviewer may be shown softened; the others are locked away, or gone.
SHOWN = (images.QUARANTINED, images.READY, images.SUPERSEDED, images.PENDING)


class ReviewedMatch(NamedTuple):
    """A match, and its softened picture if that was asked for."""

    match: HashListMatch
    picture: ReviewPicture | None


class TakedownReview(NamedTuple):
    """A notice, its own picture if that was asked for, and its matches: those that wait for a person first."""

    takedown: Takedown
    picture: ReviewPicture | None
    matches: list[ReviewedMatch]

    @property
    def waiting(self) -> list[ReviewedMatch]:
        """Return the matches that wait for a person."""
        return [entry for entry in self.matches if entry.match.verdict in WAITING]


class PictureSource(NamedTuple):
    """Where a softened picture comes from: an image, or the notice's own picture where ``image_id`` is None."""

    image_id: ImageId | None


def notice_source(takedown: Takedown, matches: Sequence[HashListMatch]) -> PictureSource | None:
    """Return what stands for the notice's picture; None where nothing does any more.

    It is the image that the notice names, what is kept of the picture that came with it, or else the nearest image of
    which a person has said that it is that picture.
    """
    if takedown.image_id is not None:
        return PictureSource(takedown.image_id)
    if takedown.copy_key is not None:
        return PictureSource(None)
    confirmed = [match for match in matches if match.verdict == hash_list_matches.CONFIRMED and match.state in SHOWN]
    nearest = min(confirmed, key=lambda match: (match.distance, match.image_id), default=None)
    return PictureSource(nearest.image_id) if nearest is not None else None


@dataclass(frozen=True, slots=True)
class ReviewSoftened:
    """The service's half. ``fetch`` reads an object of the exports' bucket, and of no other."""

    catalogue: Catalogue
    fetch: Callable[..., StoredObject]
    clock: Clock

    def ask(self, takedown_id: str, *, actor: str) -> TakedownReview:
        """Ask for the softened pictures of the next matches that wait; those that there are stay.

        Raises NotFound where there is no such notice, and Conflict where it does not stand.
        """
        now = self.clock()
        with self.catalogue.transaction() as tx:
            takedown = tx.takedowns.get(takedown_id, lock=True)
            if takedown is None or takedown.state == takedowns.RECEIVING:
                raise NotFound
            if takedown.state != takedowns.IN_FORCE:
                raise Conflict("the matches of a notice that stands are reviewed")
            matches = tx.takedown_matches.of_entry((LIST, takedown_id))
            kept = {row.image_id for row in _usable(tx, takedown_id, now)}
            wanted = [match.image_id for match in matches if match.verdict in WAITING and match.state in SHOWN]
            source = notice_source(takedown, matches)
            sources = [*([source.image_id] if source is not None else []), *wanted[:MOST_AT_ONCE]]
            rows = [
                ReviewPicture(
                    secrets.token_hex(16),
                    takedown_id,
                    image_id,
                    takedown_reviews.PENDING,
                    None,
                    new_review_key(),
                    actor,
                    now,
                )
                for image_id in dict.fromkeys(sources)
                if image_id not in kept
            ]
            tx.takedown_reviews.add(rows)
            for row in rows:
                enqueue(tx, kinds.REVIEW, row.review_id, now)
            detail: dict[str, str | int] = {"takedown_id": takedown_id, "pictures": len(rows)}
            tx.audit.append("takedown.review_asked", now=now, actor=actor, detail=detail)
        return self.status(takedown_id)

    def status(self, takedown_id: str) -> TakedownReview:
        """Return a notice and its matches with the softened pictures that there are; raises NotFound."""
        with self.catalogue.reading() as tx:
            takedown = tx.takedowns.get(takedown_id)
            if takedown is None or takedown.state == takedowns.RECEIVING:
                raise NotFound
            matches = tx.takedown_matches.of_entry((LIST, takedown_id))
            by_image = {row.image_id: row for row in _usable(tx, takedown_id, self.clock())}
        source = notice_source(takedown, matches)
        picture = by_image.get(source.image_id) if source is not None else None
        matches.sort(key=lambda match: (match.verdict not in WAITING, match.image_id not in by_image))
        return TakedownReview(
            takedown, picture, [ReviewedMatch(match, by_image.get(match.image_id)) for match in matches]
        )

    def give(self, takedown_id: str, review_id: str, *, actor: str) -> bytes:
        """Return the bytes of a softened picture, WebP; raises NotFound or StoreUnavailable."""
        with self.catalogue.reading() as tx:
            row = tx.takedown_reviews.get(review_id)
        if row is None or row.takedown_id != takedown_id or not _is_ready(row, self.clock()):
            raise NotFound
        try:
            stored = self.fetch(row.object_key, max_bytes=MOST_BYTES)
        except ObjectMissing as error:
            raise NotFound from error
        now = self.clock()
        with self.catalogue.transaction() as tx:
            current = tx.takedown_reviews.get(review_id)
            if current is None or not _is_ready(current, now):  # removed while it was read
                raise NotFound
            detail: dict[str, str | int] = {"takedown_id": takedown_id}
            tx.audit.append("takedown.picture_read", now=now, actor=actor, image_id=row.image_id, detail=detail)
        return stored.data


def _usable(tx: Transaction, takedown_id: str, now: datetime) -> list[ReviewPicture]:
    """Return the softened pictures of a notice that are ready, or are still made; or of which none could be made."""
    return [
        row
        for row in tx.takedown_reviews.of_notice(takedown_id)
        if _is_ready(row, now) or (row.state != takedown_reviews.READY and row.created_at > now - REVIEWS_WAIT)
    ]


def _is_ready(row: ReviewPicture, now: datetime) -> bool:
    return row.state == takedown_reviews.READY and row.expires_at is not None and row.expires_at > now
