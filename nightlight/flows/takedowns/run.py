"""What a worker does for a takedown notice.

::

    hash       the picture, ours or the notice's own, through the sandbox like any upload
    join       its hashes join the own list: from here on no copy is published any more      (pictures.notices)
    search     every copy that is published                                                  (takedowns.search)
    hide       one transaction: placeholder, generations raised, names revoked, owners told, receipt
    soften     the notice's own picture is deleted; of one that stands a softened picture is kept, for its reviewers

It is asked again after a person confirmed a match, after it has kept many uploads dark (takedowns.flood_guard), and
when a notice is to be undone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight import logs, metrics
from nightlight.catalogue import hash_list_matches, images, takedowns
from nightlight.catalogue.takedowns import LIST, Takedown
from nightlight.flows.pictures.hash_list_matches import SCREENED
from nightlight.flows.pictures.review_removal import remove_review_pictures
from nightlight.flows.takedowns.flood_guard import ask_people, set_flooding_aside
from nightlight.flows.takedowns.hide import hide, restore
from nightlight.flows.takedowns.notice_copies import NoticeCopies, delete_copy, replace_copy
from nightlight.flows.takedowns.search import FoundImage, NoticeHashes, hash_notice, hash_stored
from nightlight.jobs import kinds
from nightlight.store.interface import SEAL_BYTES, Open
from nightlight_core.errors import DecoderDied, ImageRefused, ObjectMissing

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.jobs import Lease
    from nightlight.flows.retention.receipt_issuer import ReceiptIssuer
    from nightlight.flows.takedowns.search import FindCopies, FoundCopies
    from nightlight.flows.traces.search import TraceSearch
    from nightlight.jobs.runner import JobRunner
    from nightlight.store.interface import ObjectStore
    from nightlight_core.ids import ImageId

# A picture's bytes and its owner's crop to the lumas of its parts and of its windows, uint8 (512, 512) each.
Lumas = Callable[[bytes, str | None], tuple[Sequence[Any], Iterable[Any]]]
TAKEN_DOWN, RESTORED = "taken down", "takedown undone"
_WORKER = "worker"


class _Picture(NamedTuple):
    """The hashes of a notice's picture, and our image that it names or was made from."""

    hashes: NoticeHashes
    image_id: ImageId | None


@dataclass(frozen=True, slots=True)
class RunTakedown:
    """Carries notices out, and undoes them. ``max_bytes`` is what a picture may have."""

    runner: JobRunner
    originals: ObjectStore
    lumas: Lumas
    find: FindCopies
    traces: TraceSearch
    open_: Open
    max_bytes: int
    copies: NoticeCopies
    receipts: ReceiptIssuer | None = None

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended: see JobRunner.run, or the notice's state."""
        ending = self.runner.run(job_id, kinds.TAKEDOWN, self._attempt, redelivered=redelivered, give_up=_give_up)
        metrics.TAKEDOWNS.labels(ending).inc()
        if ending in {takedowns.FAILED, takedowns.REJECTED}:
            metrics.TAKEDOWN_FAILURES.inc()
        return ending

    def _attempt(self, lease: Lease) -> str:
        with self.runner.catalogue.reading() as tx:
            takedown = tx.takedowns.get(lease.other_id)
        if takedown is None:
            return self._finish(lease, "nothing")
        if takedown.state == takedowns.PENDING:
            ending = self._carry_out(lease, takedown)
        elif takedown.state == takedowns.UNDOING:
            ending = self._undo(lease, takedown)
        else:
            ending = self._follow_verdicts(lease, takedown)
        return ending

    def _carry_out(self, lease: Lease, takedown: Takedown) -> str:
        try:
            picture = self._hashed(takedown)
        except (ImageRefused, ObjectMissing) as error:
            logs.get("takedown").error("takedown.rejected", code=error.code, detail=str(error))
            return self._end(lease, takedown, takedowns.REJECTED, error.code)
        self._join(takedown, picture.hashes)
        # An index that is built anew may take minutes: what was indexed until then stays.
        everywhere = self.find.find(picture.hashes, until=time.monotonic() + self.runner.limits.time_limit_s / 2)
        kept = self.copies.store_softened(takedown)  # before a reviewer may ask for it
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            current = tx.takedowns.get(takedown.takedown_id, lock=True)
            if current is None or current.state != takedowns.PENDING:  # it is to be undone: that job takes it all back
                if kept is not None:
                    delete_copy(tx, takedown.takedown_id, kept, now)
                tx.jobs.finish(lease, now)
                return "nothing"
            replace_copy(tx, current, kept, now)
            hidden = self._hide_all(tx, takedown, everywhere, picture.image_id, now)
            tx.takedowns.set(
                takedown.takedown_id,
                state=takedowns.IN_FORCE,
                hidden=hidden,
                aside=everywhere.aside_entries,
                dark_at=now,
            )
            if everywhere.aside_entries:
                tx.takedowns.change_list()
                ask_people(tx, takedown.takedown_id, len(everywhere.aside_entries), now)
            self._write_receipt(tx, takedown, TAKEN_DOWN, now, images=hidden)
            detail: dict[str, str | int] = {
                "takedown_id": takedown.takedown_id, "hidden": hidden, "aside": len(everywhere.aside),
            }  # fmt: skip
            tx.audit.append("takedown.in_force", now=now, actor=_WORKER, detail=detail)
            tx.jobs.finish(lease, now)
        logs.get("takedown").info("takedown.in_force", count=hidden, detail=f"{len(everywhere.aside)} set aside")
        return takedowns.IN_FORCE

    def _hashed(self, takedown: Takedown) -> _Picture:
        """Return the hashes of a notice's picture, and of the image of ours that it is or was made from.

        A picture of which a watermark is left and little else leads to every copy of that image.
        """
        if takedown.image_id is not None:
            return _Picture(self._hashes_of(takedown.image_id), takedown.image_id)
        data = self.copies.opened(takedown)
        hashes, named = hash_notice(*self.lumas(data, None)), self._made_from(data)
        if named is not None:
            with suppress(ObjectMissing):
                hashes = hashes.joined(self._hashes_of(named))
        return _Picture(hashes, named)

    def _hashes_of(self, image_id: ImageId) -> NoticeHashes:
        """Return the hashes of an image of ours, those that are kept where it cannot be decoded."""
        with self.runner.catalogue.reading() as tx:
            image = tx.images.get(image_id)
            stored = tx.view_hashes.of_image(image_id)
            kept = [stored[at : at + 32] for at in range(0, len(stored), 32)]
            kept = kept or tx.rendition_hashes.of_image(image_id)
        if image is None:
            raise ObjectMissing(f"{image_id} was erased meanwhile")
        try:
            hashes = hash_notice(*self.lumas(self._opened(image.original_key, image.sealed_key), image.crop))
        except (ImageRefused, ObjectMissing, DecoderDied) as error:
            logs.get("takedown").warning("takedown.without_original", code=error.code, detail=str(error))
            hashes = hash_stored(kept)
        return hashes

    def _opened(self, key: str, sealed_key: str | None) -> bytes:
        stored = self.originals.get(key, max_bytes=self.max_bytes + SEAL_BYTES)
        return self.open_(stored.data, sealed_key)

    def _made_from(self, data: bytes) -> ImageId | None:
        """Return the image that a picture was made from, by its invisible watermark; None where it says none."""
        traced = self.traces.find(data)
        if traced.watermark is None or traced.watermark.doubt is not None:
            return None
        return next((origin.image_id for origin in traced.origins if origin.by.startswith("watermark")), None)

    def _join(self, takedown: Takedown, hashes: NoticeHashes) -> None:
        """Let a notice's hashes join the own list, unless an earlier attempt has."""
        with self.runner.catalogue.transaction() as tx:
            current = tx.takedowns.get(takedown.takedown_id, lock=True)
            if current is not None and current.state == takedowns.PENDING and current.hashes is None:
                tx.takedowns.set(takedown.takedown_id, hashes=hashes.entries, revision=tx.takedowns.change_list())

    def _hide_all(
        self, tx: Transaction, takedown: Takedown, everywhere: FoundCopies, named: ImageId | None, now: datetime
    ) -> int:
        """Hide every copy, and write down those that wait for a person; return how many images are hidden."""
        copies = {copy.image_id: copy for copy in everywhere.copies}
        if named is not None:
            image = tx.images.get(named)
            if image is not None:
                copies[named] = FoundImage(named, image.profile_id, 0, b"")
        hidden = 0
        for copy in sorted(copies.values(), key=lambda copy: (copy.profile_id, copy.image_id)):
            hidden += hide(tx, takedown.takedown_id, copy, now)
        for copy in everywhere.aside:
            entry, image = (LIST, takedown.takedown_id), tx.images.get(copy.image_id)
            shown = image is not None and image.state in SCREENED
            if shown and copy.image_id not in copies and entry not in tx.takedown_matches.verdicts(copy.image_id):
                row = (*entry, copy.distance)
                tx.takedown_matches.add(copy.image_id, [row], now, verdict=hash_list_matches.ASIDE)
        return hidden

    def _follow_verdicts(self, lease: Lease, takedown: Takedown) -> str:
        """Hide what a person confirmed and is still shown, since it was set aside; show what a person cleared."""
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            current = tx.takedowns.get(takedown.takedown_id, lock=True)
            hidden = 0
            standing = current is not None and current.state == takedowns.IN_FORCE
            if current is not None and standing:
                set_flooding_aside(tx, current, unlike=self.find.unlike, now=now)
            for match in tx.takedown_matches.of_entry((LIST, takedown.takedown_id)) if standing else ():
                if match.verdict == hash_list_matches.CONFIRMED and match.state in SCREENED:
                    copy = FoundImage(match.image_id, match.profile_id, match.distance, b"")
                    hidden += hide(tx, takedown.takedown_id, copy, now)
                elif match.verdict == hash_list_matches.CLEARED and match.state == images.QUARANTINED:
                    tx.profiles.get(match.profile_id, lock=True)
                    restore(tx, match.image_id, now)
            if current is not None and hidden:
                tx.takedowns.set(takedown.takedown_id, hidden=current.hidden + hidden)
            tx.jobs.finish(lease, now)
        return takedown.state

    def _undo(self, lease: Lease, takedown: Takedown) -> str:
        """Take back all that a notice did: every image that nothing else keeps hidden is rendered again."""
        now = self.runner.clock()
        entry = (LIST, takedown.takedown_id)
        with self.runner.catalogue.transaction() as tx:
            current = tx.takedowns.get(takedown.takedown_id, lock=True)
            if current is None or current.state != takedowns.UNDOING:
                tx.jobs.finish(lease, now)
                return "nothing"
            tx.takedowns.change_list()
            restored = 0
            for match in tx.takedown_matches.of_entry(entry):
                tx.profiles.get(match.profile_id, lock=True)
                tx.images.get(match.image_id, lock=True)
                if match.verdict != hash_list_matches.CLEARED:
                    cleared = hash_list_matches.CLEARED
                    tx.takedown_matches.decide_entry(match.image_id, entry, cleared, actor=_WORKER, now=now)
                restored += restore(tx, match.image_id, now)
            remove_review_pictures(tx, tx.takedown_reviews.of_notice(takedown.takedown_id), now)
            replace_copy(tx, current, None, now)
            tx.takedowns.set(takedown.takedown_id, state=takedowns.UNDONE, hashes=None, undone_at=now)
            self._write_receipt(tx, takedown, RESTORED, now, images=restored)
            detail: dict[str, str | int] = {"takedown_id": takedown.takedown_id, "restored": restored}
            tx.audit.append("takedown.undone", now=now, actor=_WORKER, detail=detail)
            tx.jobs.finish(lease, now)
        logs.get("takedown").info("takedown.undone", count=restored)
        return takedowns.UNDONE

    def _write_receipt(self, tx: Transaction, takedown: Takedown, kind: str, now: datetime, *, images: int) -> None:
        if self.receipts is not None:
            facts = {
                "notice_kind": takedown.kind,
                "received_at": takedown.received_at.isoformat(),
                "due_at": takedown.due_at.isoformat(),
                "images": images,
            }
            self.receipts.write_statement(tx, takedown.takedown_id, kind, facts, asked_at=takedown.created_at, now=now)

    def _end(self, lease: Lease, takedown: Takedown, state: str, reason: str) -> str:
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            replace_copy(tx, takedown, None, now)
            tx.takedowns.set(lease.other_id, state=state, reason=reason)
            detail: dict[str, str | int] = {"takedown_id": lease.other_id, "reason": reason}
            tx.audit.append(f"takedown.{state}", now=now, actor=_WORKER, detail=detail)
            tx.jobs.finish(lease, now)
        return state

    def _finish(self, lease: Lease, ending: str) -> str:
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, self.runner.clock())
        return ending


def _give_up(tx: Transaction, lease: Lease, reason: str, now: datetime) -> None:
    """Say that a notice was given up; our image that it names is hidden all the same."""
    takedown = tx.takedowns.get(lease.other_id, lock=True)
    if takedown is None or takedown.state != takedowns.PENDING:
        return
    image = tx.images.get(takedown.image_id) if takedown.image_id is not None else None
    hidden = 0
    if image is not None:
        hidden += hide(tx, takedown.takedown_id, FoundImage(image.image_id, image.profile_id, 0, b""), now)
    replace_copy(tx, takedown, None, now)
    tx.takedowns.set(takedown.takedown_id, state=takedowns.FAILED, reason=reason, hidden=hidden)
    logs.get("takedown").error("takedown.failed", reason=reason)
    detail: dict[str, str | int] = {"takedown_id": takedown.takedown_id, "reason": reason, "hidden": hidden}
    tx.audit.append("takedown.failed", now=now, actor=_WORKER, detail=detail)
