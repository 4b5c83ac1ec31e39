"""What a viewer is to a profile: a stranger, unless that is proved; blocked, whatever is proved.

::

    block      pushed by the platform, wins over everything
    own word   a request may always say stranger or blocked
    proof      a signed token that comes with the request          (delivery.relations)
    provider   whoever keeps the social graph says so              (delivery.providers)
    otherwise  a stranger: a proof that is missing, forged, expired or another's, a provider that is late, broken or
               of another mind
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.delivery.relations import BLOCKED, STRANGER, UNPROVEN, proves
from nightlight.errors import InvalidInput, Unavailable
from nightlight.flows.revoke import revoke
from nightlight.ids import ProfileId

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.clock import Clock
    from nightlight.delivery.providers import Provider


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says that a viewer is to a profile, and its proof if it has one."""

    profile_id: str
    relation: str
    proof: str | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What counts, and why: ``block``, ``own word``, ``proof``, ``provider``, or what a claim fell short of."""

    relation: str
    because: str


_BLOCKED = Settled(BLOCKED, "block")
_PROVED, _CONFIRMED = "proof", "provider"
_NO_VIEWER = Settled(STRANGER, "no viewer_id to prove it for")
_NO_PROOF = Settled(STRANGER, "no proof")
_BAD_PROOF = Settled(STRANGER, "the proof is not good for this")
_NOT_CONFIRMED = Settled(STRANGER, "the provider does not confirm it")
_NO_ANSWER = Settled(STRANGER, "the provider does not answer")


@dataclass(frozen=True, slots=True)
class Relate:
    """Settles claims. ``keys`` check proofs; ``provider`` is asked about claims without one."""

    keys: Mapping[str, bytes]
    provider: Provider | None
    leeway_s: int

    def settle(
        self, viewer_id: str | None, claims: Sequence[Claim], blocked: Collection[str], *, now: int
    ) -> list[Settled]:
        """Return what counts for each claim; ``blocked`` are the profiles that keep the viewer from seeing them.

        ``now`` is in Unix seconds. Never raises: what cannot be settled is a stranger.
        """
        settled = [self._alone(viewer_id, claim, blocked, now) for claim in claims]
        if self.provider is None or viewer_id is None:
            return settled
        asked = [number for number, one in enumerate(settled) if one is _NO_PROOF]
        if asked:
            told = self._told(self.provider, viewer_id, [claims[number] for number in asked])
            for number, answer in zip(asked, told, strict=True):
                settled[number] = answer
        return settled

    def _alone(self, viewer_id: str | None, claim: Claim, blocked: Collection[str], now: int) -> Settled:
        if claim.profile_id in blocked:
            return _BLOCKED
        if claim.relation in UNPROVEN:
            return Settled(claim.relation, "own word")
        if viewer_id is None:
            return _NO_VIEWER
        if claim.proof is None:
            return _NO_PROOF
        asked = viewer_id, claim.profile_id, claim.relation
        if proves(self.keys, claim.proof, *asked, now=now, leeway_s=self.leeway_s):
            return Settled(claim.relation, _PROVED)
        metrics.UNPROVED.inc()
        return _BAD_PROOF

    @staticmethod
    def _told(provider: Provider, viewer_id: str, claims: Sequence[Claim]) -> list[Settled]:
        try:
            confirmed = provider.confirm(viewer_id, [(claim.profile_id, claim.relation) for claim in claims])
        except Unavailable as error:
            metrics.PROVIDER_FAILURES.inc()
            logs.get("relate").error("provider.unavailable", count=len(claims), detail=str(error))
            return [_NO_ANSWER] * len(claims)
        return [
            Settled(claim.relation, _CONFIRMED) if yes is True else _NOT_CONFIRMED
            for claim, yes in zip(claims, confirmed, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Block:
    """Takes the platform's blocks. A block counts in every decision from the moment that this returns."""

    catalogue: Catalogue
    clock: Clock

    def block(self, profile_id: ProfileId, viewer_id: ProfileId, *, actor: str) -> int:
        """Keep a viewer from seeing a profile, whatever else is said of the two; return the change's number."""
        if profile_id == viewer_id:
            message = "nobody blocks themselves"
            raise InvalidInput(message, pointer="/viewer_id")
        now = self.clock()
        with self.catalogue.transaction() as tx:
            if tx.blocks.add(profile_id, viewer_id, now):
                revoke(tx, profile_id, now)
            return tx.audit.append("block.added", now=now, actor=actor)

    def unblock(self, profile_id: ProfileId, viewer_id: ProfileId, *, actor: str) -> int:
        """Take a block away; it is no error if there is none. Returns the change's number."""
        now = self.clock()
        with self.catalogue.transaction() as tx:
            tx.blocks.remove(profile_id, viewer_id)
            return tx.audit.append("block.removed", now=now, actor=actor)
