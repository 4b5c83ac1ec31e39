"""Takedown notices as they come in, and what people say of the matches.

::

    place      the notice's row, its picture into the originals' store where it names none of ours, then 202
    carry out  in a worker: find every copy, hide all in one transaction, with a receipt        (flows.takedowns.run)
    review     a person confirms a match, which stays hidden, or clears it, which is rendered after all
    undo       the notice was wrong: in a worker, everything that it hid is rendered again, with a receipt

A notice names no person here: whoever keeps its letter gives it a reference. Its clock begins when it was received.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import IO, TYPE_CHECKING, NamedTuple

from nightlight import metrics
from nightlight.catalogue import hash_list_matches, images, takedowns
from nightlight.catalogue.takedowns import LIST, Takedown
from nightlight.flows.traces.requests import inspected
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.store.interface import ORIGINAL_TYPE, Seal, require_stored, sealed
from nightlight_core.errors import Conflict, InvalidInput, NotFound, TooManyRequests
from nightlight_core.ids import ImageId, new_copy_key

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.settings.pictures import UploadSettings
    from nightlight.store.interface import PutOnly
    from nightlight_core.clock import Clock

# What a notice is about, in words of its own: they change nothing of what is done.
KINDS = ("intimate_image", "child_abuse", "other")
MAX_REFERENCE = 200
_EDGE = 512
_HOUR = timedelta(hours=1)


class Notice(NamedTuple):
    """What a notice says: what it is about, the platform's reference for it, and when it was received."""

    kind: str
    reference: str
    received_at: datetime | None = None


class TakedownStatus(NamedTuple):
    """A notice as it stands, and its matches."""

    takedown: Takedown
    matches: list[hash_list_matches.HashListMatch]

    @property
    def waits(self) -> bool:
        """Say whether anything of it waits: for a worker, or for a person to look at a match."""
        unseen = {hash_list_matches.OPEN, hash_list_matches.ASIDE}
        busy = self.takedown.state in {takedowns.PENDING, takedowns.UNDOING}
        return busy or any(match.verdict in unseen for match in self.matches)


@dataclass(frozen=True, slots=True)
class PlaceTakedowns:
    """The service's half. ``hours`` gives the hours within which the policy wants a notice carried out.

    One caller may place ``per_hour`` notices in an hour; without it, any number: an operator's command is not bounded.
    """

    catalogue: Catalogue
    originals: PutOnly
    limits: UploadSettings
    hours: Callable[[], float]
    clock: Clock
    seal: Seal | None = None
    per_hour: int | None = None

    def of_image(self, image_id: ImageId, notice: Notice, *, actor: str) -> Takedown:
        """Take a notice that names an image of ours; raises NotFound, InvalidInput or TooManyRequests."""
        now = self.clock()
        takedown = self._new(notice, actor, now, takedowns.PENDING, image_id=image_id)
        with self.catalogue.transaction() as tx:
            image = tx.images.get(image_id)
            if image is None or image.state in {images.RECEIVING, images.DELETED}:
                raise NotFound
            self._check_rate(tx, actor, now)
            self._write(tx, takedown, now)
        return takedown

    def of_picture(self, picture: IO[bytes], notice: Notice, *, actor: str) -> Takedown:
        """Take a notice with a picture; when this returns the picture is safely stored.

        Raises TooManyRequests, InvalidInput, ImageRefused and its kinds, PayloadTooLarge, StoreUnavailable or
        CatalogueUnavailable.
        """
        now = self.clock()
        with self.catalogue.reading() as tx:  # before anything is read of the picture
            self._check_rate(tx, actor, now)
        sha256 = inspected(picture, self.limits, _EDGE)
        body, stored_sha256, sealed_key = sealed(picture, sha256, self.seal)
        takedown = self._new(notice, actor, now, takedowns.RECEIVING, copy_key=new_copy_key(), sealed_key=sealed_key)
        with self.catalogue.transaction() as tx:
            self._check_rate(tx, actor, now)
            tx.takedowns.add(takedown)
        key = takedown.copy_key or ""
        put = self.originals.put(key, body, sha256=stored_sha256, content_type=ORIGINAL_TYPE)
        require_stored(put, key)
        takedown = replace(takedown, state=takedowns.PENDING)
        with self.catalogue.transaction() as tx:
            self._write(tx, takedown, now)
        return takedown

    def _new(self, notice: Notice, actor: str, now: datetime, state: str, **picture: str | ImageId | None) -> Takedown:
        received_at = notice.received_at or now
        if notice.kind not in KINDS:
            raise InvalidInput(f"a notice's kind is {', '.join(KINDS)}", pointer="/kind")
        if not 1 <= len(notice.reference) <= MAX_REFERENCE or not notice.reference.isprintable():
            raise InvalidInput(f"a reference is 1 to {MAX_REFERENCE} printable characters", pointer="/reference")
        if received_at > now + _CLOCKS_DIFFER:
            raise InvalidInput("a notice was received in the past", pointer="/received_at")
        due_at = received_at + timedelta(hours=self.hours())
        blank = dict.fromkeys(("reason", "image_id", "copy_key", "dark_at", "undone_at", "sealed_key"))
        return Takedown(
            **{**blank, **picture},  # type: ignore[arg-type]
            takedown_id=secrets.token_hex(16),
            state=state,
            kind=notice.kind,
            reference=notice.reference,
            hidden=0,
            aside=[],
            actor=actor,
            received_at=received_at,
            due_at=due_at,
            created_at=now,
        )

    def _check_rate(self, tx: Transaction, actor: str, now: datetime) -> None:
        if self.per_hour is None:
            return
        times = tx.takedowns.placed_since(actor, now - _HOUR, limit=self.per_hour)
        if len(times) >= self.per_hour:
            metrics.TAKEDOWNS.labels(TooManyRequests.code).inc()
            after_s = int((times[-1] + _HOUR - now).total_seconds()) + 1
            raise TooManyRequests(f"{self.per_hour} takedown notices in an hour", after_s=after_s)

    @staticmethod
    def _write(tx: Transaction, takedown: Takedown, now: datetime) -> None:
        """Write an acknowledged notice, and the job that carries it out."""
        if tx.takedowns.get(takedown.takedown_id) is None:
            tx.takedowns.add(takedown)
        else:
            tx.takedowns.set(takedown.takedown_id, state=takedown.state)
        enqueue(tx, kinds.TAKEDOWN, takedown.takedown_id, now)
        detail: dict[str, str | int] = {"takedown_id": takedown.takedown_id, "kind": takedown.kind}
        tx.audit.append("takedown.placed", now=now, actor=takedown.actor, image_id=takedown.image_id, detail=detail)
        metrics.TAKEDOWNS.labels("placed").inc()


# A platform's clock may run ahead of ours by so much.
_CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class ReviewTakedowns:
    """Says how notices stand, and takes verdicts on them."""

    catalogue: Catalogue
    clock: Clock

    def listed(self, *, open_only: bool = False) -> list[Takedown]:
        """Return notices, the newest first; with ``open_only`` those that have not ended."""
        states = (takedowns.PENDING, takedowns.IN_FORCE, takedowns.UNDOING) if open_only else ()
        with self.catalogue.reading() as tx:
            return tx.takedowns.listed(states=states)

    def status(self, takedown_id: str) -> TakedownStatus:
        """Return a notice and its matches; raises NotFound."""
        with self.catalogue.reading() as tx:
            return TakedownStatus(_existing(tx, takedown_id), tx.takedown_matches.of_entry((LIST, takedown_id)))

    def receipts(self, takedown_id: str) -> list[dict[str, str]]:
        """Return the signed receipts of a notice, the oldest first; raises NotFound."""
        with self.catalogue.reading() as tx:
            _existing(tx, takedown_id)
            return tx.receipts.of_image(ImageId(takedown_id))

    def confirm(self, takedown_id: str, image_id: ImageId, *, actor: str) -> None:
        """Say that an image is the notice's picture: it stays hidden; one that was set aside is hidden by a worker.

        Raises NotFound where there is no such match, and Conflict where the notice does not stand.
        """
        self._decide(takedown_id, image_id, hash_list_matches.CONFIRMED, actor)

    def clear(self, takedown_id: str, image_id: ImageId, *, actor: str) -> None:
        """Say that an image is another picture: a worker renders it after all, unless something else keeps it hidden.

        Raises as ``confirm`` does.
        """
        self._decide(takedown_id, image_id, hash_list_matches.CLEARED, actor)

    def undo(self, takedown_id: str, *, why: str, actor: str) -> Takedown:
        """Say that a notice was wrong: a worker takes everything back that it did. Raises NotFound or Conflict."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            takedown = _existing(tx, takedown_id, lock=True)
            if takedown.state in {takedowns.UNDOING, takedowns.UNDONE}:
                raise Conflict(f"the notice is {takedown.state} already")
            tx.takedowns.set(takedown_id, state=takedowns.UNDOING, reason=why[:MAX_REFERENCE])
            enqueue(tx, kinds.TAKEDOWN, takedown_id, now)
            tx.audit.append("takedown.undo_asked", now=now, actor=actor, detail={"takedown_id": takedown_id})
        return replace(takedown, state=takedowns.UNDOING, reason=why[:MAX_REFERENCE])

    def _decide(self, takedown_id: str, image_id: ImageId, verdict: str, actor: str) -> None:
        now, entry = self.clock(), (LIST, takedown_id)
        with self.catalogue.transaction() as tx:
            if _existing(tx, takedown_id, lock=True).state != takedowns.IN_FORCE:
                raise Conflict("verdicts are on the matches of a notice that stands")
            if not tx.takedown_matches.decide_entry(image_id, entry, verdict, actor=actor, now=now):
                raise NotFound(f"{image_id} is no match of {takedown_id}")
            enqueue(tx, kinds.TAKEDOWN, takedown_id, now)
            detail: dict[str, str | int] = {"takedown_id": takedown_id, "verdict": verdict}
            tx.audit.append("takedown.verdict", now=now, actor=actor, image_id=image_id, detail=detail)


def _existing(tx: Transaction, takedown_id: str, *, lock: bool = False) -> Takedown:
    takedown = tx.takedowns.get(takedown_id, lock=lock)
    if takedown is None or takedown.state == takedowns.RECEIVING:
        raise NotFound
    return takedown
