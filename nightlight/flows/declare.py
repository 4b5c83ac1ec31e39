"""What a platform says of a profile: its band, region and choice; and whether a report hides it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightlight.errors import InvalidInput, NotFound
from nightlight.flows.revoke import revoke

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.catalogue.profiles import Declaration, Profile
    from nightlight.clock import Clock
    from nightlight.ids import ProfileId

UNKNOWN_BAND = "unknown"
UNVOUCHED = "none"
CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class Declare:
    """Writes what the platform asserts; ``words`` gives the vocabulary's closed lists."""

    catalogue: Catalogue
    words: Callable[[], Mapping[str, tuple[str, ...]]]
    clock: Clock

    def declare(
        self, profile_id: ProfileId, said: Declaration, *, follow_band: bool, actor: str
    ) -> tuple[Profile, bool, int]:
        """Write the declaration; return the profile, whether it is new, and the change's number.

        ``follow_band`` is the owner's word that pictures uploaded under an earlier band may follow the
        present one; without it they keep their ceiling. Raises InvalidInput for a word that is not known.
        """
        self._known("band", "subject_age", said.band)
        self._known("assurance", "assurance", said.assurance)
        self._known("region", "region", said.region)
        self._known("choice", "choice", said.choice)
        now = self.clock()
        with self.catalogue.transaction() as tx:
            before = tx.profiles.get(profile_id, lock=True)
            new = tx.profiles.declare(profile_id, said, now)
            if before is not None and not new and _changed(before, said):
                revoke(tx, profile_id, now)
            if follow_band:
                tx.images.release(profile_id)
            number = tx.audit.append("profile.declared", now=now, actor=actor, detail={"follow_band": int(follow_band)})
            profile = tx.profiles.get(profile_id)
        if profile is None:  # pragma: no cover - written above, in the same transaction
            raise NotFound
        return profile, new, number

    def hold(self, profile_id: ProfileId, hold: str, *, actor: str) -> int:
        """Set whether a report hides the profile's picture; return the change's number.

        Raises NotFound or InvalidInput.
        """
        self._known("hold", "hold", hold)
        now = self.clock()
        with self.catalogue.transaction() as tx:
            if not tx.profiles.set_hold(profile_id, hold):
                raise NotFound
            if hold != CLEAR:
                revoke(tx, profile_id, now)
            return tx.audit.append("profile.hold", now=now, actor=actor, detail={"hold": hold})

    def _known(self, field: str, attribute: str, word: str) -> None:
        known = self.words()[attribute]
        if word not in known:
            message = f"{field} must be one of {', '.join(known)}"
            raise InvalidInput(message, pointer=f"/{field}")


def _changed(before: Profile, said: Declaration) -> bool:
    """Say whether a declaration says something else than before: what was decided by that counts no more."""
    words = ("band", "assurance", "region", "choice")
    return any(getattr(before, word) != getattr(said, word) for word in words)


def band_now(profile: Profile, now: datetime, *, assertion_days: int) -> str:
    """Return the band that counts: the asserted one, or ``unknown`` if it has lapsed or nobody vouches for it."""
    lapsed = now - profile.asserted_at > timedelta(days=assertion_days)
    return UNKNOWN_BAND if lapsed or profile.assurance == UNVOUCHED else profile.band
