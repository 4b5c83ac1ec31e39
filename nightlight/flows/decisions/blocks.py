"""The platform's blocks. A block counts in every decision from the moment that it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.flows.pictures.revoke import revoke
from nightlight_core.errors import InvalidInput

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight_core.clock import Clock
    from nightlight_core.ids import ProfileId


@dataclass(frozen=True, slots=True)
class BlockViewers:
    """Takes the platform's blocks. A block counts in every decision from the moment that this returns."""

    catalogue: Catalogue
    clock: Clock

    def block(self, profile_id: ProfileId, viewer_id: ProfileId, *, actor: str) -> int:
        """Keep a viewer from seeing a profile, whatever else is said of the two; return the change's number."""
        if profile_id == viewer_id:
            raise InvalidInput("nobody blocks themselves", pointer="/viewer_id")
        now = self.clock()
        with self.catalogue.transaction() as tx:
            if tx.blocks.add(profile_id, viewer_id, now):
                revoke(tx, profile_id, now)
                tx.proof_revocations.add(profile_id, now, viewer_id)
            return tx.audit.append("block.added", now=now, actor=actor)

    def unblock(self, profile_id: ProfileId, viewer_id: ProfileId, *, actor: str) -> int:
        """Take a block away; it is no error if there is none. Returns the change's number.

        What was proved before counts no more than it did: it takes a new proof.
        """
        now = self.clock()
        with self.catalogue.transaction() as tx:
            if tx.blocks.remove(profile_id, viewer_id):
                tx.proof_revocations.add(profile_id, now, viewer_id)
            return tx.audit.append("block.removed", now=now, actor=actor)
