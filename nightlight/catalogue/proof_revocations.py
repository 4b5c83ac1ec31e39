"""Since when relation proofs count: for one viewer of a profile, or for all of them.

A row says that proofs which were issued before it count for nothing. It is kept for as long as such a proof can live.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import proof_revocations as rows

if TYPE_CHECKING:
    from nightlight_core.ids import ProfileId

# Stands for every viewer: no viewer has it for an id.
EVERYBODY = ""


class ProofRevocations(Rows):
    """Rows of who proves nothing by what was issued before, inside one transaction."""

    def add(self, profile_id: ProfileId, now: datetime, viewer_id: str = EVERYBODY) -> None:
        """Let no proof count that was issued up to ``now``; what was said before is never taken back."""
        moment = int(now.timestamp())
        same_row = rows.c.profile_id == profile_id, rows.c.viewer_id == viewer_id
        revoked_at = self._execute(select(rows.c.revoked_at).where(*same_row).with_for_update()).scalar()
        if revoked_at is None:
            values = {"profile_id": profile_id, "viewer_id": viewer_id, "revoked_at": moment}
            self._execute(insert(rows).values(values))
        elif revoked_at < moment:
            self._execute(update(rows).where(*same_row).values(revoked_at=moment))

    def forget_before(self, moment: datetime) -> None:
        """Forget what no proof can be older than: everything that was issued by then has expired."""
        self._execute(delete(rows).where(rows.c.revoked_at < int(moment.timestamp())))
