"""What is kept of the picture that comes with a notice.

The picture itself is deleted as soon as the notice is carried out, by a job of its own. While the notice stands, a
softened picture is kept where it was, so that a reviewer has something to compare matches with: where the service
cannot read, and for the days of a trace's copy at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight import logs
from nightlight.flows.takedowns.make_review_picture import MEDIA_TYPE, Soften
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.store.interface import SEAL_BYTES, Open, put_bytes, require_stored
from nightlight_core.errors import DecoderDied, ImageRefused, ObjectMissing
from nightlight_core.ids import SOFTENED, new_softened_key

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.takedowns import Takedown
    from nightlight.store.interface import ObjectStore


@dataclass(frozen=True, slots=True)
class NoticeCopies:
    """The pictures that came with notices, for workers. ``max_bytes`` is what one may have."""

    originals: ObjectStore
    soften: Soften
    open_: Open
    max_bytes: int

    def opened(self, takedown: Takedown) -> bytes:
        """Return the bytes of a notice's picture; raises ObjectMissing or StoreUnavailable."""
        if takedown.copy_key is None:
            raise ObjectMissing("the notice's picture is not kept any more")
        stored = self.originals.get(takedown.copy_key, max_bytes=self.max_bytes + SEAL_BYTES)
        return self.open_(stored.data, takedown.sealed_key)

    def softened(self, takedown: Takedown) -> bytes:
        """Return the softened picture of a notice; raises as ``opened`` does, and as ``soften`` does."""
        data = self.opened(takedown)
        return data if (takedown.copy_key or "").startswith(SOFTENED) else self.soften(data)

    def store_softened(self, takedown: Takedown) -> str | None:
        """Store the softened picture of a notice; return its key, None where there is no picture or can be none."""
        if takedown.copy_key is None:
            return None
        try:
            softened = self.softened(takedown)
        except (ImageRefused, ObjectMissing, DecoderDied) as error:
            logs.get("takedown").warning("takedown.not_softened", code=error.code, detail=str(error))
            return None
        key = new_softened_key()
        require_stored(put_bytes(self.originals, key, softened, MEDIA_TYPE), key)
        return key


def replace_copy(tx: Transaction, takedown: Takedown, kept: str | None, now: datetime) -> None:
    """Have a job delete what is kept of a notice's picture, in the caller's transaction; ``kept`` takes its place."""
    if takedown.copy_key is not None:
        delete_copy(tx, takedown.takedown_id, takedown.copy_key, now)
        tx.takedowns.set(takedown.takedown_id, copy_key=kept, sealed_key=None)


def delete_copy(tx: Transaction, takedown_id: str, key: str, now: datetime) -> None:
    """Have an object of a notice's deleted by a job."""
    enqueue(tx, kinds.DELETE_REVIEW, takedown_id, now, planned=[key])
