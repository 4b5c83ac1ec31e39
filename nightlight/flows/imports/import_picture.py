"""Importing a picture from another bucket: looks at what is under a key now, and makes the profile's image of it.

::

    fetch      what is there, by credentials that may read the other bucket
    gone       if a notification said so: what was imported from there is deleted, as by DELETE
    known      the same bytes were imported from there before
    older      the profile has a newer picture, uploaded or from another key
    import     by the steps of an upload (flows.pictures.upload); the job ends in the transaction that acknowledges it,
               so it is done once
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue import profiles
from nightlight.catalogue.imports import QUEUED, REFUSED, REMOVED, SKIPPED, TAKEN, ImportItem
from nightlight.jobs import kinds
from nightlight_core.errors import ImageRefused, NotFound, ObjectMissing, PayloadTooLarge

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.images import ImageRow
    from nightlight.catalogue.jobs import Lease
    from nightlight.flows.pictures.delete import DeletePictures
    from nightlight.flows.pictures.upload import Prepared, Upload
    from nightlight.jobs.runner import JobRunner
    from nightlight.store.source_buckets import FetchedObject, SourceBuckets

KNOWN, OLDER, DELETED, GONE = "known", "older", "profile_deleted", "gone"
_ACTOR = "import"
# A profile that nobody has declared is one of unknown age.
_UNDECLARED = profiles.Declaration(band="unknown", assurance="none", region="unknown", choice="connections")


@dataclass(frozen=True, slots=True)
class ImportPicture:
    """The worker's half. ``follow_removals``: what notifications say was deleted there is deleted here."""

    runner: JobRunner
    sources: SourceBuckets
    upload: Upload
    delete: DeletePictures
    max_bytes: int
    follow_removals: bool

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended (see JobRunner.run), or the item's state."""
        return self.runner.run(job_id, kinds.IMPORT, self._attempt, redelivered=redelivered, give_up=_give_up)

    def _attempt(self, lease: Lease) -> str:
        with self.runner.catalogue.reading() as tx:
            item = tx.imports.get(lease.other_id)
        if item is None or item.state != QUEUED:
            return self._finish(lease, item, SKIPPED, KNOWN)
        try:
            fetched = self.sources.fetch(item.bucket, item.key, max_bytes=self.max_bytes)
            with tempfile.TemporaryFile() as file:
                file.write(fetched.data)
                file.flush()
                return self._import(lease, item, fetched, self.upload.prepare(file))
        except ObjectMissing:
            return self._removed(lease, item)
        except (ImageRefused, PayloadTooLarge) as error:
            return self._finish(lease, item, REFUSED, error.code)

    def _import(self, lease: Lease, item: ImportItem, fetched: FetchedObject, prepared: Prepared) -> str:
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            image = self._received(tx, item, fetched, prepared, now)
        if isinstance(image, str):
            return self._finish(lease, item, SKIPPED, image)
        self.upload.store(image, prepared)
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            accepted = self.upload.acknowledge(tx, image, prepared, now, actor=_ACTOR, waits=item.listed)
            if accepted:
                tx.jobs.finish(lease, now)
                tx.imports.set_outcome(item.item_id, TAKEN, now)
        if not accepted:
            return self._finish(lease, item, SKIPPED, DELETED)
        metrics.UPLOADS.labels("accepted").inc()
        metrics.IMPORTS.labels(TAKEN).inc()
        return TAKEN

    def _received(
        self, tx: Transaction, item: ImportItem, fetched: FetchedObject, prepared: Prepared, now: datetime
    ) -> ImageRow | str:
        """Return the image that is being received, or why there is no reason to import this one."""
        profile = tx.profiles.get(item.profile_id, lock=True)
        if profile is not None and profile.state not in profiles.KEPT:
            return DELETED  # an old bucket does not bring it back
        if tx.imports.known(item, fetched.etag):
            return KNOWN
        if tx.imports.newer(item, fetched.written_at):
            return OLDER
        if profile is None:
            tx.profiles.declare(item.profile_id, _UNDECLARED, now)
            profile = tx.profiles.get(item.profile_id, lock=True)
            if profile is None:  # pragma: no cover - declared above, in the same transaction
                raise NotFound
        image = self.upload.receive(tx, profile, prepared, now, actor=_ACTOR)
        tx.imports.seen(item.item_id, image.image_id, fetched.etag, fetched.written_at)
        return image

    def _removed(self, lease: Lease, item: ImportItem) -> str:
        """Delete what was imported from a key that is empty now."""
        with self.runner.catalogue.reading() as tx:
            images = tx.imports.images_of(item)
        for image_id in images if self.follow_removals and not item.listed else ():
            try:
                self.delete.image(image_id, actor=_ACTOR)
            except NotFound:
                continue
        return self._finish(lease, item, REMOVED, GONE)

    def _finish(self, lease: Lease, item: ImportItem | None, state: str, reason: str) -> str:
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            if item is not None and item.state == QUEUED:
                tx.imports.set_outcome(item.item_id, state, now, reason=reason, forget=reason == DELETED)
        metrics.IMPORTS.labels(state).inc()
        logs.get("import").info("import.ended", state=state, reason=reason)
        return state


def _give_up(tx: Transaction, lease: Lease, reason: str, now: datetime) -> None:
    """Say that an import was given up."""
    tx.imports.set_outcome(lease.other_id, REFUSED, now, reason=reason)
