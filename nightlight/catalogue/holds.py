"""Legal and safeguarding holds, what they cover, and what the vault has of it."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update

from nightlight.catalogue.retention_schema import held, holds, vaulted
from nightlight.catalogue.rows import Rows
from nightlight_core.ids import ImageId

# A hold is being placed until everything that it covers is in the vault; it ends by its date or by approvals.
PLACING, PLACED, ENDED = "placing", "placed", "ended"
_OPEN = (PLACING, PLACED)
APPROVALS = 2


@dataclass(frozen=True, slots=True)
class LegalHold:
    """A hold; ``approvals`` of its end are ``{"by": ..., "at": ...}``.

    ``may_be_told`` says that whom the pictures are of may know of it.
    """

    hold_id: str
    kind: str
    reference: str
    state: str
    until: datetime | None
    approvals: list[dict[str, str]]
    placed_by: str
    created_at: datetime
    ended_at: datetime | None
    may_be_told: bool = False

    def may_end(self, now: datetime, approvers: Collection[str]) -> bool:
        """Say whether its date has come, or enough of the ``approvers``, without who placed it, approve of its end."""
        approved = {approval["by"] for approval in self.approvals} & set(approvers) - {self.placed_by}
        return len(approved) >= APPROVALS or (self.until is not None and self.until <= now)


@dataclass(frozen=True, slots=True)
class VaultObject:
    """One object in the vault: where it was, and where and what it is there.

    ``sha256`` and ``bytes`` are of what is stored; with a ``sealed_key`` that is what the keeper alone opens.
    """

    bucket: str
    key: str
    vault_key: str
    sha256: str
    bytes: int
    content_type: str
    sealed_key: str | None = None


class LegalHolds(Rows):
    """Hold rows, inside one transaction."""

    def place(
        self,
        kind: str,
        reference: str,
        until: datetime | None,
        covered: Sequence[ImageId],
        *,
        by: str,
        now: datetime,
        may_be_told: bool = False,
    ) -> LegalHold:
        """Write a hold on images."""
        hold = LegalHold(secrets.token_hex(16), kind, reference, PLACING, until, [], by, now, None, may_be_told)
        self._execute(insert(holds).values(asdict(hold)))
        rows = [{"hold_id": hold.hold_id, "image_id": image_id} for image_id in covered]
        self._execute(insert(held), rows)
        return hold

    def get(self, hold_id: str, *, lock: bool = False) -> LegalHold | None:
        """Return a hold; ``lock`` holds its row until the transaction ends."""
        query = select(holds).where(holds.c.hold_id == hold_id)
        row = self._execute(query.with_for_update() if lock else query).one_or_none()
        return LegalHold(*row) if row is not None else None

    def listed(self, *, ended: bool, limit: int) -> list[LegalHold]:
        """Return holds, the newest first; those that have ended only if asked for."""
        query = select(holds).order_by(holds.c.created_at.desc()).limit(limit)
        return [LegalHold(*row) for row in self._execute(query if ended else query.where(holds.c.state != ENDED))]

    def open(self) -> list[LegalHold]:
        """Return every hold that has not ended, the oldest first."""
        query = select(holds).where(holds.c.state.in_(_OPEN)).order_by(holds.c.created_at)
        return [LegalHold(*row) for row in self._execute(query)]

    def approve(self, hold: LegalHold, *, by: str, now: datetime) -> LegalHold:
        """Add somebody's approval of the end of a hold whose row is held; return the hold with it."""
        approvals = [*hold.approvals, {"by": by, "at": now.isoformat()}]
        self._write(hold.hold_id, approvals=approvals)
        return replace(hold, approvals=approvals)

    def placed(self, image_id: ImageId) -> None:
        """Write that an image is in the vault: holds of which it was the last are placed."""
        hold_ids = select(held.c.hold_id).where(held.c.image_id == image_id)
        missing = select(held.c.hold_id).where(held.c.image_id.not_in(select(vaulted.c.image_id)))
        self._execute(
            update(holds)
            .where(holds.c.hold_id.in_(hold_ids), holds.c.state == PLACING, holds.c.hold_id.not_in(missing))
            .values(state=PLACED)
        )

    def end(self, hold: LegalHold, now: datetime) -> LegalHold:
        """Write that a hold is over; return it as it is then."""
        self._write(hold.hold_id, state=ENDED, ended_at=now)
        return replace(hold, state=ENDED, ended_at=now)

    def covered(self, hold_id: str) -> list[ImageId]:
        """Return the images that a hold covers."""
        query = select(held.c.image_id).where(held.c.hold_id == hold_id).order_by(held.c.image_id)
        return [ImageId(row.image_id) for row in self._execute(query)]

    def of_image(self, image_id: ImageId, *, but: str = "") -> list[LegalHold]:
        """Return the holds on an image that have not ended, without the one that is named."""
        query = select(holds).join(held, held.c.hold_id == holds.c.hold_id)
        query = query.where(held.c.image_id == image_id, holds.c.state.in_(_OPEN), holds.c.hold_id != but)
        return [LegalHold(*row) for row in self._execute(query)]

    def ever_on(self, image_id: ImageId) -> list[LegalHold]:
        """Return every hold that is or was on an image, the oldest first."""
        query = select(holds).join(held, held.c.hold_id == holds.c.hold_id).where(held.c.image_id == image_id)
        return [LegalHold(*row) for row in self._execute(query.order_by(holds.c.created_at))]

    def pending(self, image_id: ImageId) -> bool:
        """Say whether a hold covers an image that is not in the vault yet."""
        open_ = select(held.c.image_id).join(holds, holds.c.hold_id == held.c.hold_id)
        query = open_.where(held.c.image_id == image_id, holds.c.state == PLACING)
        return self._execute(query).first() is not None and self.vault(image_id) is None

    def vault(self, image_id: ImageId) -> list[VaultObject] | None:
        """Return what the vault has of an image, None if it is not there."""
        row = self._execute(select(vaulted.c.objects).where(vaulted.c.image_id == image_id)).one_or_none()
        if row is None:
            return None
        return [VaultObject(**{name: entry.get(name) for name in VaultObject.__slots__}) for entry in row.objects]

    def put(self, image_id: ImageId, objects: Sequence[VaultObject], now: datetime) -> None:
        """Write what the vault has of an image."""
        row = {"image_id": image_id, "objects": [asdict(entry) for entry in objects], "vaulted_at": now}
        self._execute(insert(vaulted).values(row))

    def drop(self, image_id: ImageId) -> None:
        """Forget what the vault had of an image."""
        self._execute(delete(vaulted).where(vaulted.c.image_id == image_id))

    def until(self, image_id: ImageId, *, but: str = "") -> str | None:
        """Return the date on which the last hold on an image ends, "" where approvals end it, None without one."""
        open_ = self.of_image(image_id, but=but)
        if not open_:
            return None
        dates = [hold.until for hold in open_]
        return "" if None in dates else max(hold for hold in dates if hold is not None).date().isoformat()

    def _write(self, hold_id: str, **values: Any) -> None:
        self._execute(update(holds).where(holds.c.hold_id == hold_id).values(**values))
