"""A deactivated account: everything of it is kept, and shown to nobody, its owner included, until the platform says so.

::

    deactivate  URLs that were given out are revoked, in the same transaction; every decision knows the profile no
                longer, and answers as for one that was never declared. Blocks, holds and what was declared stay
    meanwhile   declarations, blocks, reports, holds and deletions take effect as ever; uploads are refused
    reactivate  decisions show the picture again: it has had new names since the deactivation
    too long    the sweep deletes the account as DELETE does (flows.retention.retention_sweep)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight.catalogue.profiles import KEPT, LIVE
from nightlight.flows.pictures.revoke import revoke
from nightlight_core.errors import NotFound

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight_core.clock import Clock
    from nightlight_core.ids import ProfileId


@dataclass(frozen=True, slots=True)
class DeactivateProfile:
    """Takes the platform's word that an account is deactivated, and takes it back."""

    catalogue: Catalogue
    clock: Clock

    def deactivate(self, profile_id: ProfileId, *, actor: str) -> int:
        """Show a profile to nobody from now on; return the change's number.

        Of a profile that is deactivated already, the days go on counting from the first time. Raises NotFound.
        """
        now = self.clock()
        with self.catalogue.transaction() as tx:
            profile = tx.profiles.get(profile_id, lock=True)
            if profile is None or profile.state not in KEPT:
                raise NotFound
            if profile.state == LIVE:
                revoke(tx, profile_id, now)
                tx.profiles.deactivate(profile_id, now)
            return tx.audit.append("profile.deactivated", now=now, actor=actor)

    def reactivate(self, profile_id: ProfileId, *, actor: str) -> int:
        """Show a profile again as the policy says; return the change's number.

        It is no error if the profile is not deactivated. Raises NotFound.
        """
        now = self.clock()
        with self.catalogue.transaction() as tx:
            profile = tx.profiles.get(profile_id, lock=True)
            if profile is None or profile.state not in KEPT:
                raise NotFound
            if tx.profiles.reactivate(profile_id):
                tx.events.add(profile_id, now)
            return tx.audit.append("profile.reactivated", now=now, actor=actor)
