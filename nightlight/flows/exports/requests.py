"""Exports that are asked for over HTTP: the service writes down what is asked, a worker makes it, the service gives it.

::

    ask        rate; the export's row and its job, then 202
    make       in a worker, which alone can read originals                       (flows.exports.make_export)
    give       the bytes, to whoever may ask, while there are any; a few at once, each until it has been sent
    remove     after a day, by DELETE, with a picture that may be given to nobody any more, and with the profile

Whoever asks, and whoever is given one, is in the audit log.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightlight.catalogue import exports, profiles
from nightlight.catalogue.exports import ExportRow
from nightlight.flows.exports.removal import remove_export
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.store.age_sealing import check_recipient
from nightlight_core.errors import NotFound, ObjectMissing, TooManyRequests
from nightlight_core.ids import ProfileId, new_export_id, new_export_key

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.settings.storage import ExportSettings
    from nightlight.store.interface import StoredObject
    from nightlight_core.clock import Clock

_DAY = timedelta(days=1)
# What whoever downloads it takes it for: an archive, or a file that is sealed.
ZIP, SEALED = "application/zip", "application/octet-stream"
# What of a sealed file is more than what was sealed: a header for each recipient, and 16 bytes for each 64 kB.
SEALED_MORE = 1_000_000
# A service process gives so many exports at once: each is in its memory.
_AT_ONCE, _AGAIN_S = 2, 5


class GivenExport:
    """An export's row, its bytes, and whether they are sealed. It has one of the places until it is released."""

    def __init__(self, row: ExportRow, data: bytes, place: threading.BoundedSemaphore, *, sealed: bool) -> None:
        """Take over a place, which is given back by ``release``, or when nobody has this object any more."""
        self.row, self.data, self.sealed = row, data, sealed
        self._finalize = weakref.finalize(self, place.release)

    def release(self) -> None:
        """Give the place back: the bytes have been sent, or nobody reads them. A second time does nothing."""
        self.data = b""
        self._finalize()


@dataclass(frozen=True, slots=True)
class RequestExport:
    """The service's half. ``fetch`` reads an object of the exports' bucket, and of no other."""

    catalogue: Catalogue
    fetch: Callable[..., StoredObject]
    limits: ExportSettings
    clock: Clock
    _places: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_AT_ONCE))

    def ask(self, profile_id: ProfileId, *, seal_to: str | None, actor: str) -> ExportRow:
        """Ask for an export; one that is asked for alike and pending is returned. An earlier one is removed.

        Raises NotFound where there is no such profile, TooManyRequests, or InvalidInput where ``seal_to`` is no key.
        """
        if seal_to is not None:
            check_recipient(seal_to)
        now = self.clock()
        with self.catalogue.transaction() as tx:
            self._require_profile(tx, profile_id, lock=True)
            kept = tx.exports.kept(profile_id)
            for row in kept:
                if row.state == exports.PENDING and row.seal_to == seal_to:
                    return row
            self._check_rate(tx, profile_id, now)
            for row in kept:
                remove_export(tx, row, now=now, actor=actor)
            row = ExportRow(
                new_export_id(), profile_id, exports.PENDING, None, seal_to, new_export_key(), None, None, actor, now,
                None, None,
            )  # fmt: skip
            tx.exports.add(row)
            enqueue(tx, kinds.EXPORT, row.export_id, now)
            detail: dict[str, str | int] = {"export_id": row.export_id, "sealed": int(seal_to is not None)}
            tx.audit.append("export.asked", now=now, actor=actor, detail=detail)
        return row

    def status(self, profile_id: ProfileId) -> ExportRow:
        """Return the export of a profile that there is; raises NotFound."""
        now = self.clock()
        with self.catalogue.reading() as tx:
            self._require_profile(tx, profile_id)
            kept = tx.exports.kept(profile_id)
        if not kept or _is_over(kept[0], now):
            raise NotFound
        return kept[0]

    def give(self, profile_id: ProfileId, *, actor: str) -> GivenExport:
        """Return an export that is ready, which the caller releases once it has been sent.

        Raises NotFound, TooManyRequests or StoreUnavailable.
        """
        row = self.status(profile_id)
        if row.state != exports.READY or row.object_key is None:
            raise NotFound
        if not self._places.acquire(blocking=False):
            raise TooManyRequests(f"{_AT_ONCE} exports at once", after_s=_AGAIN_S)
        given = GivenExport(row, b"", self._places, sealed=True)
        try:
            stored = self.fetch(row.object_key, max_bytes=self.limits.max_bytes + SEALED_MORE)
            given.data, given.sealed = stored.data, stored.info.content_type != ZIP
            with self.catalogue.transaction() as tx:
                current = tx.exports.get(row.export_id)
                if current is None or current.state != exports.READY:  # removed while it was read
                    raise NotFound
                tx.audit.append("export.read", now=self.clock(), actor=actor, detail={"export_id": row.export_id})
        except ObjectMissing as error:
            given.release()
            raise NotFound from error
        except BaseException:
            given.release()
            raise
        return given

    def remove(self, profile_id: ProfileId, *, actor: str) -> None:
        """Remove the export of a profile; raises NotFound where there is none."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            self._require_profile(tx, profile_id, lock=True)
            kept = tx.exports.kept(profile_id)
            if not kept or _is_over(kept[0], now):
                raise NotFound
            for row in kept:
                remove_export(tx, row, now=now, actor=actor)

    @staticmethod
    def _require_profile(tx: Transaction, profile_id: ProfileId, *, lock: bool = False) -> None:
        profile = tx.profiles.get(profile_id, lock=lock)
        if profile is None or profile.state not in profiles.KEPT:
            raise NotFound

    def _check_rate(self, tx: Transaction, profile_id: ProfileId, now: datetime) -> None:
        most = self.limits.per_day
        times = tx.exports.asked_since(profile_id, now - _DAY)
        if len(times) >= most:
            after_s = int((times[most - 1] + _DAY - now).total_seconds()) + 1
            raise TooManyRequests(f"{most} exports of a profile in a day", after_s=after_s)


def _is_over(row: ExportRow, now: datetime) -> bool:
    return row.expires_at is not None and row.expires_at <= now
