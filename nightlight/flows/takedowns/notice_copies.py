"""What is kept of the picture that comes with a notice.

The picture itself is deleted as soon as the notice is carried out. While the notice stands, a softened picture is kept
where it was, so that a reviewer has something to compare matches with: where the service cannot read, and for the days
of a trace's copy at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight import logs
from nightlight.flows.takedowns.make_review_picture import MEDIA_TYPE, Soften
from nightlight.store.interface import SEAL_BYTES, Open, put_bytes, require_stored
from nightlight_core.errors import DecoderDied, ImageRefused, ObjectMissing
from nightlight_core.ids import SOFTENED, new_softened_key

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.catalogue.takedowns import Takedown
    from nightlight.store.interface import ObjectStore
    from nightlight_core.clock import Clock


@dataclass(frozen=True, slots=True)
class NoticeCopies:
    """The pictures that came with notices, for workers. ``max_bytes`` is what one may have."""

    catalogue: Catalogue
    originals: ObjectStore
    soften: Soften
    open_: Open
    max_bytes: int
    clock: Clock

    def opened(self, takedown: Takedown) -> bytes:
        """Return the bytes of a notice's picture; raises ObjectMissing or StoreUnavailable."""
        if takedown.copy_key is None:
            raise ObjectMissing("the notice's picture is not kept any more")
        stored = self.originals.get(takedown.copy_key, max_bytes=self.max_bytes + SEAL_BYTES)
        return self.open_(stored.data, takedown.sealed_key)

    def softened(self, takedown: Takedown) -> bytes:
        """Return the softened picture of a notice; raises as ``opened`` does, and as ``soften`` does."""
        data = self.opened(takedown)
        return data if _is_softened(takedown) else self.soften(data)

    def put_away(self, takedown: Takedown, *, stands: bool) -> None:
        """Delete a notice's picture; while the notice stands, a softened one takes its place.

        Where the deletion fails the picture's lifecycle rule does it, as for traces' copies.
        """
        key = takedown.copy_key
        if key is None or (stands and _is_softened(takedown)):
            return
        kept = self._stored(takedown) if stands else None
        self.originals.delete(key)
        with self.catalogue.transaction() as tx:
            tx.takedowns.set(takedown.takedown_id, copy_key=kept, sealed_key=None)
            detail: dict[str, str | int] = {"takedown_id": takedown.takedown_id}
            tx.audit.append("takedown.copy_deleted", now=self.clock(), actor="worker", detail=detail)

    def _stored(self, takedown: Takedown) -> str | None:
        """Store the softened picture of a notice; return its key, None where there can be none."""
        try:
            softened = self.softened(takedown)
        except (ImageRefused, ObjectMissing, DecoderDied) as error:
            logs.get("takedown").warning("takedown.not_softened", code=error.code, detail=str(error))
            return None
        key = new_softened_key()
        require_stored(put_bytes(self.originals, key, softened, MEDIA_TYPE), key)
        return key


def _is_softened(takedown: Takedown) -> bool:
    return (takedown.copy_key or "").startswith(SOFTENED)
