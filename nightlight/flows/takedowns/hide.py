"""Hides an image for a takedown notice, and shows it again, in the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.catalogue import hash_list_matches, images
from nightlight.catalogue.events import RESTORED
from nightlight.catalogue.image_states import CLEAR
from nightlight.catalogue.takedowns import LIST
from nightlight.flows.pictures.change_state import change_state
from nightlight.flows.pictures.hash_list_matches import SCREENED, kept_dark, quarantine

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.images import ImageRow
    from nightlight.flows.takedowns.search import FoundImage
    from nightlight_core.ids import ImageId

_WORKER = "worker"
_COUNTED = (images.READY, images.SUPERSEDED, images.QUARANTINED, images.HELD)


def hide(tx: Transaction, takedown_id: str, copy: FoundImage, now: datetime) -> bool:
    """Keep an image from everybody for a notice, in the caller's transaction; return whether it is hidden for it.

    One that a person cleared stays as it is. One that is in quarantine or held already is kept there by this, too.
    """
    from nightlight.matching.list_index import ListIndexMatch

    tx.profiles.get(copy.profile_id, lock=True)
    image: ImageRow | None = tx.images.get(copy.image_id, lock=True)
    if image is None or image.state not in _COUNTED:
        return False
    if image.state in SCREENED:
        return quarantine(tx, image, [ListIndexMatch(LIST, takedown_id, copy.distance)], now)
    entry = (LIST, takedown_id)
    verdict = tx.takedown_matches.verdicts(image.image_id).get(entry)
    if verdict is None:
        tx.takedown_matches.add(image.image_id, [(*entry, copy.distance)], now)
    return verdict != hash_list_matches.CLEARED


def restore(tx: Transaction, image_id: ImageId, now: datetime) -> bool:
    """Render an image again if nothing keeps it in quarantine any more; return whether it is. Its row is locked."""
    image = tx.images.get(image_id, lock=True)
    if image is None or image.state != images.QUARANTINED or kept_dark(tx, image_id):
        return False
    change_state(tx, CLEAR, image_id, now, actor=_WORKER)
    tx.events.add(image.profile_id, now, kind=RESTORED, image_id=image_id)
    return True
