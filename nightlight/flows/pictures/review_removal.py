"""Removing softened pictures: at once for whoever looks, and their objects by a job."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nightlight.catalogue.takedown_reviews import DELETED
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.takedown_reviews import ReviewPicture


def remove_review_pictures(tx: Transaction, rows: Iterable[ReviewPicture], now: datetime) -> None:
    """Remove softened pictures, in the caller's transaction. The job knows the key, whatever becomes of the row."""
    for row in rows:
        tx.takedown_reviews.set(row.review_id, state=DELETED)
        enqueue(tx, kinds.DELETE_REVIEW, row.review_id, now, planned=[row.object_key])
