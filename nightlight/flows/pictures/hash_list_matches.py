"""Uploads that are on a hash list of others: kept from everybody until a person has looked.

A match is a likeness of perceptual hashes, not a proof: whoever is in charge clears it, and the image is rendered after
all, or confirms it, and it stays where it is. Nothing tells outsiders of either: they see the placeholder, as for any
picture that is not ready.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nightlight import logs, metrics
from nightlight.catalogue import hash_list_matches, images
from nightlight.catalogue.events import TAKEN_DOWN
from nightlight.catalogue.image_states import CLEAR, LISTED, QUARANTINE, TAKEDOWN
from nightlight.catalogue.takedowns import LIST as NOTICES
from nightlight.flows.pictures.change_state import change_state
from nightlight.flows.pictures.revoke import revoke
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight_core.errors import NotFound
from nightlight_core.ids import ImageId

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.matching.list_index import ListIndexMatch
    from nightlight_core.clock import Clock

# Images that are, or may be again, shown to somebody: those that are held against a list that changes.
SCREENED = (images.READY, images.SUPERSEDED)


# Lumas of an upload, uint8 (512, 512) each, to the entries that it is near to; raises ListsUnavailable.
Search = Callable[[Sequence[Any]], "Sequence[ListIndexMatch]"]


def quarantine(
    tx: Transaction, image: images.ImageRow, entries: Sequence[ListIndexMatch], now: datetime, *, actor: str = "worker"
) -> bool:
    """Keep an image from everybody if it is near to entries, unless a person said that it is another picture.

    Returns whether it is; the caller holds the image's lock (its profile's too, where the image is shown) and ends the
    job. What was made of it is revoked, and forgotten: it is made again if the image is cleared.
    """
    verdicts = tx.hash_list_matches.verdicts(image.image_id) | tx.takedown_matches.verdicts(image.image_id)
    distances = {(listed.list, listed.reference): listed.distance for listed in reversed(entries)}
    distances = {entry: bits for entry, bits in distances.items() if verdicts.get(entry) != hash_list_matches.CLEARED}
    if not distances:
        return False
    new = [(*entry, distance) for entry, distance in distances.items() if entry not in verdicts]
    tx.hash_list_matches.add(image.image_id, [row for row in new if row[0] != NOTICES], now)
    tx.takedown_matches.add(image.image_id, [row for row in new if row[0] == NOTICES], now)
    for entry in distances:
        if verdicts.get(entry) == hash_list_matches.ASIDE:
            tx.takedown_matches.decide_entry(image.image_id, entry, hash_list_matches.OPEN, actor=None, now=None)
    taken_down = any(name == NOTICES for name, _ in distances)
    if image.state != images.PENDING:
        _withdraw(tx, image, now)
    reason = TAKEDOWN if taken_down else LISTED
    change_state(tx, QUARANTINE, image.image_id, now, actor=actor, reason=reason)
    if taken_down:
        tx.events.add(image.profile_id, now, kind=TAKEN_DOWN, image_id=image.image_id)
    for name, _, distance in new:
        detail: dict[str, str | int] = {"list": name, "distance": distance}
        tx.audit.append("image.listed", now=now, actor=actor, image_id=image.image_id, detail=detail)
    metrics.HASH_LIST_MATCHES.inc()
    logs.get("screen").error("image.listed", image_id=image.image_id, count=len(distances), reason=reason)
    return True


def kept_dark(tx: Transaction, image_id: ImageId) -> bool:
    """Say whether an entry of a hash list or a takedown notice keeps an image from everybody."""
    return tx.hash_list_matches.standing(image_id) or tx.takedown_matches.standing(image_id)


def _withdraw(tx: Transaction, image: images.ImageRow, now: datetime) -> None:
    """Take back what was made of an image, wherever it may be kept; the jobs that this queues delete it."""
    profile = tx.profiles.get(image.profile_id)
    if profile is not None and profile.current_image_id == image.image_id:
        tx.profiles.set_current(profile.profile_id, None)
    revoke(tx, image.profile_id, now)
    tx.rendition_hashes.drop(image.image_id)
    tx.images.drop_renditions(image.image_id, keep_crop=True)


@dataclass(frozen=True, slots=True)
class ReviewMatches:
    """The report of matches, and the verdicts on them."""

    catalogue: Catalogue
    clock: Clock

    def report(self, *, verdict: str | None = None) -> list[hash_list_matches.HashListMatch]:
        """Return the matches, the newest first."""
        with self.catalogue.reading() as tx:
            return tx.hash_list_matches.report(verdict=verdict)

    def clear(self, image_id: ImageId, *, actor: str) -> None:
        """Say that an image is another picture than the listed one: it is rendered after all. Raises NotFound."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            self._decide(tx, image_id, hash_list_matches.CLEARED, now, actor)
            if not kept_dark(tx, image_id):  # a takedown notice may keep it where it is
                change_state(tx, CLEAR, image_id, now, actor=actor)

    def confirm(self, image_id: ImageId, *, actor: str) -> None:
        """Say that an image is what the list says: it stays in quarantine, for the days of it from now on.

        Raises NotFound.
        """
        with self.catalogue.transaction() as tx:
            now = self.clock()
            self._decide(tx, image_id, hash_list_matches.CONFIRMED, now, actor)
            tx.audit.append("image.confirmed", now=now, actor=actor, image_id=image_id)
            enqueue(tx, kinds.RETENTION_TAGS, image_id, now)  # written anew, so that the buckets count from now on too

    @staticmethod
    def _decide(tx: Transaction, image_id: ImageId, verdict: str, now: datetime, actor: str) -> None:
        image = tx.images.get(image_id, lock=True)
        if image is None or image.state != images.QUARANTINED:
            raise NotFound(f"{image_id} is not in quarantine")
        if not tx.hash_list_matches.decide(image_id, verdict, actor=actor, now=now):
            raise NotFound(f"there is a verdict on {image_id} already")
