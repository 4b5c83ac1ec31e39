"""What a platform says of a profile: its band, region and choice; and whether a report hides it.

A picture is held to its **ceiling band**: nothing opens by the clock, nor by what the platform says, but by its owner's
own word at the new age.

::

    upload       the band that was asserted last; unknown where nobody vouches for it
    declaration  of a more protective band: the ceiling falls to it, and every release is taken back
    release      the owner's word (``follow_band``): opens up to the band in force, and no further by a later birthday
    lapse        protects while it lasts, and leaves the ceiling as it was
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from nightlight.flows.pictures.revoke import revoke, withdraw
from nightlight.flows.pictures.withdrawals import Standing, withdrawn
from nightlight_core.decisions.inputs import UNASSURED
from nightlight_core.decisions.relation_proofs import MAX_LEEWAY_S, MAX_LIFE_S
from nightlight_core.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.catalogue.profiles import Declaration, Profile
    from nightlight.retention.erasure_subjects import SubjectHasher
    from nightlight_core.clock import Clock
    from nightlight_core.ids import ImageId, ProfileId
    from nightlight_core.policy.table import Table

# A proof that was revoked may have been issued by a clock that ran ahead, and count by one that is behind.
PROOFS_LIVE = timedelta(seconds=MAX_LIFE_S + 2 * MAX_LEEWAY_S)
UNKNOWN_BAND = "unknown"
CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class DeclareProfile:
    """Writes what the platform asserts.

    ``words`` gives the vocabulary's closed lists, ``tables`` what decides, and ``earlier`` what decided before.
    """

    catalogue: Catalogue
    words: Callable[[], Mapping[str, tuple[str, ...]]]
    tables: Callable[[], Sequence[Table]]
    assertion_days: int
    clock: Clock
    hasher: SubjectHasher
    earlier: Callable[[], Sequence[Table]] = tuple

    def declare(
        self, profile_id: ProfileId, declaration: Declaration, *, follow_band: bool, actor: str
    ) -> tuple[Profile, bool, int]:
        """Write the declaration; return the profile, whether it is new, and the change's number.

        ``follow_band`` is the owner's word that pictures uploaded so far may follow the band that is in force now, and
        none that comes after; without it they keep their ceiling. Raises InvalidInput for a word that is not known.
        """
        for field, word in asdict(declaration).items():
            self._known(field, word)
        now = self.clock()
        with self.catalogue.transaction() as tx:
            before = tx.profiles.get(profile_id, lock=True)
            ceiling = tx.images.effective_ceilings(profile_id)
            new = tx.profiles.declare(profile_id, declaration, now)
            self._hold_to(tx, profile_id, declaration, before, follow_band=follow_band)
            after = tx.profiles.get(profile_id)
            if before is not None and after is not None and not new:
                # A band that somebody vouched for, and that has lapsed, may have given out URLs that still work.
                ages = {age_now(before, now, assertion_days=self.assertion_days), asserted_age(before)}
                tables = self.tables(), self.earlier()
                withdraw(tx, profile_id, tiers_taken(tx, tables, before, ages, after, ceiling), now)
            if new and (before is not None or self._erased(tx, profile_id, now)):  # what was proved is of another
                tx.proof_revocations.add(profile_id, now)
            number = tx.audit.append("profile.declared", now=now, actor=actor, detail={"follow_band": int(follow_band)})
        if after is None:  # pragma: no cover - written above, in the same transaction
            raise NotFound
        return after, new, number

    def _erased(self, tx: Transaction, profile_id: ProfileId, now: datetime) -> bool:
        """Say whether a profile that is not there was erased, or may have been by the tombstones of a lost key.

        Of these only those count by which a proof of before may still live.
        """
        if tx.tombstones.erased_at(self.hasher.every(profile_id)) is not None:
            return True
        return bool(tx.tombstones.unreadable(self.hasher.key_ids, since=now - PROOFS_LIVE))

    def _hold_to(
        self,
        tx: Transaction,
        profile_id: ProfileId,
        declaration: Declaration,
        before: Profile | None,
        *,
        follow_band: bool,
    ) -> None:
        """Keep what a profile's pictures are held to true to what was said; see the top of this file."""
        order = self.words()["subject_age"]
        looser = order[order.index(declaration.band) + 1 :]
        tx.images.lower_ceiling(profile_id, declaration.band, looser=looser)
        if before is not None and before.asserted_band not in order[: order.index(declaration.band) + 1]:
            tx.images.release(profile_id, None)
        if follow_band and declaration.band != UNKNOWN_BAND and declaration.assurance != UNASSURED:
            tx.images.release(profile_id, declaration.band)

    def set_report_flag(self, profile_id: ProfileId, report_flag: str, *, actor: str) -> int:
        """Set whether a report hides the profile's picture; return the change's number.

        Raises NotFound or InvalidInput.
        """
        self._known("report_flag", report_flag)
        now = self.clock()
        with self.catalogue.transaction() as tx:
            if not tx.profiles.set_report_flag(profile_id, report_flag):
                raise NotFound
            if report_flag != CLEAR:
                revoke(tx, profile_id, now)
            return tx.audit.append("profile.report_flag", now=now, actor=actor, detail={"report_flag": report_flag})

    def _known(self, field: str, word: str) -> None:
        words = self.words()["subject_age" if field == "band" else field]
        if word not in words:
            raise InvalidInput(f"{field} must be one of {', '.join(words)}", pointer=f"/{field}")


class Age(NamedTuple):
    """What counts of an age: the band, and how the platform came to it."""

    band: str
    assurance: str


_UNKNOWN_AGE = Age(UNKNOWN_BAND, UNASSURED)


def tiers_taken(
    tx: Transaction,
    tables: tuple[Sequence[Table], Sequence[Table]],
    before: Profile,
    ages: Iterable[Age],
    after: Profile,
    ceilings: Mapping[ImageId, str],
) -> dict[ImageId, frozenset[str]]:
    """Return, for each image, the tiers that a change of its profile takes from somebody.

    ``tables`` are those that decide, and those that did earlier; ``ages`` counted before, ``ceilings`` is what its
    images were held to. ``after`` and the catalogue tell of now.
    """
    # A lapse is the sweep's, which says so by the band itself.
    age = asserted_age(after) if after.band == after.asserted_band else _UNKNOWN_AGE
    taken = {}
    for image_id, ceiling in tx.images.effective_ceilings(before.profile_id).items():
        was = ceilings.get(image_id, ceiling)
        stood = {Standing(*was_age, before.region, before.choice, before.report_flag, was) for was_age in ages}
        standing = Standing(*age, after.region, after.choice, after.report_flag, ceiling)
        taken[image_id] = withdrawn(tables[0], stood, standing, earlier=tables[1])
    return taken


def asserted_age(profile: Profile) -> Age:
    """Return the age that was asserted last, lapsed or not: unknown where nobody vouches for it."""
    return Age(profile.asserted_band, profile.assurance) if profile.assurance != UNASSURED else _UNKNOWN_AGE


def age_now(profile: Profile, now: datetime, *, assertion_days: int) -> Age:
    """Return the age that counts: the asserted one, or unknown if it has lapsed or nobody vouches for it."""
    lapsed = now - profile.asserted_at > timedelta(days=assertion_days) or profile.band != profile.asserted_band
    return _UNKNOWN_AGE if lapsed else asserted_age(profile)
