"""Making exports, and deleting them: the worker's half. It alone can read originals."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from nightlight import logs
from nightlight.catalogue import exports
from nightlight.flows.exports.archive import write_archive
from nightlight.flows.exports.contents import Contents, gather
from nightlight.flows.exports.requests import SEALED, ZIP
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.store.age_sealing import seal_file
from nightlight.store.interface import SEAL_BYTES, unsealed
from nightlight_core.errors import Conflict, StoreUnavailable, Unavailable

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.exports import ExportRow
    from nightlight.catalogue.images import ImageRow
    from nightlight.catalogue.jobs import Lease
    from nightlight.jobs.runner import JobRunner
    from nightlight.retention.erasure_subjects import SubjectHasher
    from nightlight.settings.storage import ExportSettings
    from nightlight.store.interface import ObjectStore, Open
    from nightlight_core.policy.table import Table

KEY_NOT_ALLOWED, NO_KEYS, NO_PROFILE = "seal_key_not_allowed", "seal_keys_not_set", "no_profile"
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class MakeExport:
    """Makes exports and deletes them. ``table`` gives the policy of now; ``max_original`` bounds an original.

    Without ``service_may_read`` an export is sealed to the settings' own recipients or not made: the service gives what
    it gets, and has never an original in its hands.

    The settings are the worker's own: a service that somebody has taken over cannot loosen them.
    """

    runner: JobRunner
    originals: ObjectStore
    exports: ObjectStore
    limits: ExportSettings
    table: Callable[[], Table]
    assertion_days: int
    max_original: int
    hasher: SubjectHasher
    open_: Open = unsealed
    service_may_read: bool = False

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Make one export; return how it ended: as JobRunner.run, ``ready``, ``failed`` or ``deleted``."""
        return self.runner.run(job_id, kinds.EXPORT, self._attempt, redelivered=redelivered, give_up=_give_up)

    def delete(self, job_id: str, *, redelivered: bool) -> str:
        """Delete the object of one export; return how it ended: as JobRunner.run, ``removed`` or ``nothing``."""
        return self.runner.run(job_id, kinds.DELETE_EXPORT, self._delete, redelivered=redelivered)

    def _attempt(self, lease: Lease) -> str:
        now = self.runner.clock()
        with self.runner.catalogue.reading() as tx:
            row = tx.exports.get(lease.other_id)
            if row is None or row.state != exports.PENDING or row.sha256 is not None or row.object_key is None:
                return self._end(lease, exports.DELETED)
            contents = gather(tx, row, self.table(), self.hasher, assertion_days=self.assertion_days, now=now)
            count = tx.exports.made_since(now - _HOUR)
        if contents is None:
            return self._end(lease, exports.FAILED, NO_PROFILE)
        allowed = self.limits.recipients
        if not allowed and not self.service_may_read:
            return self._end(lease, exports.FAILED, NO_KEYS)
        if allowed and row.seal_to is not None and row.seal_to not in allowed:
            return self._end(lease, exports.FAILED, KEY_NOT_ALLOWED)
        if count >= self.limits.per_hour:
            raise Unavailable(f"{count} exports were made within an hour (NIGHTLIGHT_EXPORT_PER_HOUR)")
        with tempfile.TemporaryFile() as plain, tempfile.TemporaryFile() as sealed:
            write_archive(
                plain, contents, self._original, export_id=row.export_id, now=now, max_bytes=self.limits.max_bytes
            )
            file, content_type = plain, ZIP
            recipients = (row.seal_to,) if row.seal_to is not None else allowed
            if recipients:
                plain.seek(0)
                seal_file(plain, sealed, recipients)
                file, content_type = sealed, SEALED
            size, sha256 = _measured(file)
            with self.runner.catalogue.transaction() as tx:
                tx.jobs.plan(lease, [row.object_key])
            self.exports.replace(row.object_key, cast("BinaryIO", file), sha256=sha256, content_type=content_type)
        return self._publish(lease, row, contents, size, sha256)

    def _publish(self, lease: Lease, row: ExportRow, contents: Contents, size: int, sha256: str) -> str:
        """Say that an export is ready, unless it was removed meanwhile; raises Conflict if a picture has changed."""
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            profile = tx.profiles.get(row.profile_id, lock=True)
            current = tx.exports.get(row.export_id, lock=True)
            removed = profile is None or current is None or current.state != exports.PENDING
            if not removed:
                locked = (tx.images.get(image_id, lock=True) for image_id in contents.states)
                states = {image.image_id: image.state for image in locked if image is not None}
                owned = {image.image_id: image.state for image in tx.images.of_profile(row.profile_id)}
                if states != contents.states or owned != contents.states:
                    raise Conflict("a picture of the export has changed its state meanwhile")
                expires_at = now + timedelta(hours=self.limits.hours)
                tx.exports.set(
                    row.export_id,
                    state=exports.READY,
                    bytes=size,
                    sha256=sha256,
                    finished_at=now,
                    expires_at=expires_at,
                )
                tx.jobs.finish(lease, now)
                detail: dict[str, str | int] = {"export_id": row.export_id, "images": len(contents.states)}
                tx.audit.append("export.made", now=now, actor="worker", detail=detail)
        if removed:
            return self._end(lease, exports.DELETED)
        logs.get("export").info("export.made", bytes=size, count=len(contents.originals))
        return exports.READY

    def _original(self, image: ImageRow) -> bytes:
        stored = self.originals.get(image.original_key, max_bytes=self.max_original + SEAL_BYTES)
        return self.open_(stored.data, image.sealed_key)

    def _end(self, lease: Lease, state: str, reason: str | None = None) -> str:
        """Finish without an export, and have deleted what an attempt may have put."""
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            planned = tx.jobs.planned(lease)
            tx.jobs.finish(lease, now)
            if state == exports.FAILED:
                _fail(tx, lease.other_id, reason or state, now)
            if planned:
                enqueue(tx, kinds.DELETE_EXPORT, lease.other_id, now, planned=planned)
        return state

    def _delete(self, lease: Lease) -> str:
        with self.runner.catalogue.reading() as tx:
            row = tx.exports.get(lease.other_id)
            keys = set(tx.jobs.planned(lease))
        if row is not None and row.state in {exports.PENDING, exports.READY}:
            keys = set()  # nobody has removed it
        elif row is not None and row.object_key is not None:
            keys.add(row.object_key)
        for key in sorted(keys):
            self.exports.erase(key)
            left = len(self.exports.remains(key))
            if left:
                raise StoreUnavailable(f"{left} versions of an export are still there after they were deleted")
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, now)
            if keys:
                tx.exports.set(lease.other_id, object_key=None)
                tx.audit.append("export.deleted", now=now, actor="worker", detail={"export_id": lease.other_id})
        return "removed" if keys else "nothing"


def _measured(file: IO[bytes]) -> tuple[int, str]:
    """Return the size and the SHA-256 of a file."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a temporary file is one
    return file.seek(0, os.SEEK_END), digest


def _fail(tx: Transaction, export_id: str, reason: str, now: datetime) -> None:
    tx.exports.set(export_id, state=exports.FAILED, reason=reason, finished_at=now)
    tx.audit.append("export.failed", now=now, actor="worker", detail={"export_id": export_id, "reason": reason})


def _give_up(tx: Transaction, lease: Lease, reason: str, now: datetime) -> None:
    row = tx.exports.get(lease.other_id, lock=True)
    if row is None or row.state != exports.PENDING:
        return
    _fail(tx, lease.other_id, reason, now)
    enqueue(tx, kinds.DELETE_EXPORT, lease.other_id, now, planned=[row.object_key] if row.object_key else [])
