"""What a viewer is to a profile: a stranger, unless that is proved; blocked, whatever is proved.

::

    block      pushed by the platform, wins over everything
    own word   a request may always say stranger or blocked
    proof      a signed token that comes with the request          (relation_proofs)
    provider   whoever keeps the social graph confirms it          (RelationProvider)
    otherwise  a stranger: a proof that is missing, forged, expired, another's or older than a revocation, a provider
               that times out, fails or does not confirm
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from nightlight_core.decisions.relation_proofs import BLOCKED, STRANGER, UNPROVEN, issued_after, verify_proof
from nightlight_core.errors import Unavailable


class Claim(NamedTuple):
    """What a request says that a viewer is to a profile, and its proof if it has one.

    ``at_most`` is the tier that it asks for at most, whatever the policy allows; None asks for no less.
    """

    profile_id: str
    relation: str
    proof: str | None = None
    at_most: str | None = None


class ResolvedRelation(NamedTuple):
    """What counts, and why: ``block``, ``own word``, ``proof``, ``provider``, or what a claim fell short of."""

    relation: str
    because: str


class RelationProvider(Protocol):
    """Whoever keeps the social graph."""

    def confirm(self, viewer_id: str, claims: Sequence[tuple[str, str]]) -> list[bool]:
        """Say for each (profile id, relation) whether it holds; raise Unavailable where that cannot be known."""
        ...


# What operators hear of: (what, how often, detail).
UNPROVED, NO_PROVIDER = "unproved", "provider.unavailable"
Notice = Callable[[str, int, str], None]

_BLOCKED = ResolvedRelation(BLOCKED, "block")
_OWN = {word: ResolvedRelation(word, "own word") for word in UNPROVEN}
_BY_PROOF, _CONFIRMED, _OWN_GRAPH = "proof", "provider", "own graph"
_PROVED = {word: ResolvedRelation(word, _BY_PROOF) for word in ("self", "guardian", "connection", "mutual")}
_NO_VIEWER = ResolvedRelation(STRANGER, "no viewer_id to prove it for")
_NO_PROOF = ResolvedRelation(STRANGER, "no proof")
_BAD_PROOF = ResolvedRelation(STRANGER, "the proof is not good for this")
_REVOKED = ResolvedRelation(STRANGER, "the proof was issued before it was revoked")
_NOT_CONFIRMED = ResolvedRelation(STRANGER, "the provider does not confirm it")
_NO_ANSWER = ResolvedRelation(STRANGER, "the provider does not answer")


def _unnoticed(_what: str, _count: int, _detail: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class RelationResolver:
    """Resolves claims. ``keys`` check proofs; ``provider`` is asked about claims without one.

    ``vouches`` is for a process that keeps the social graph itself: its claims count without a proof.
    """

    keys: Mapping[str, bytes]
    provider: RelationProvider | None
    leeway_s: int
    notice: Notice = _unnoticed
    vouches: bool = False

    def resolve(
        self,
        viewer_id: str | None,
        claims: Sequence[Claim],
        blocked: Collection[str],
        *,
        now: int,
        revoked: Sequence[Mapping[str, int]],
    ) -> list[ResolvedRelation]:
        """Return what counts for each claim; ``blocked`` are the profiles that keep the viewer from seeing them.

        ``revoked`` says for each claim since when proofs count, by viewer (see ProfileView). ``now`` is in Unix
        seconds. Never raises: what cannot be resolved is a stranger.
        """
        resolved = []
        for claim, since in zip(claims, revoked, strict=True):
            own = _OWN.get(claim[1])
            if blocked and claim[0] in blocked:
                resolved.append(_BLOCKED)
            elif own is not None:
                resolved.append(own)
            else:
                resolved.append(self._by_proof(viewer_id, claim, now, since))
        if self.provider is None or viewer_id is None:
            return resolved
        numbers = [number for number, relation in enumerate(resolved) if relation is _NO_PROOF]
        if numbers:
            answers = self._by_provider(self.provider, viewer_id, [claims[number] for number in numbers])
            for number, answer in zip(numbers, answers, strict=True):
                resolved[number] = answer
        return resolved

    def _by_proof(self, viewer_id: str | None, claim: Claim, now: int, since: Mapping[str, int]) -> ResolvedRelation:
        if viewer_id is None:
            return _NO_VIEWER
        profile_id, relation, proof, _ = claim
        if proof is None:
            return ResolvedRelation(relation, _OWN_GRAPH) if self.vouches else _NO_PROOF
        good = verify_proof(self.keys, proof, viewer_id, profile_id, relation, now=now, leeway_s=self.leeway_s)
        if good and since and not issued_after(proof, max(since.get("", 0), since.get(viewer_id, 0)), self.leeway_s):
            return _REVOKED
        if good:
            return _PROVED.get(relation) or ResolvedRelation(relation, _BY_PROOF)
        self.notice(UNPROVED, 1, "")
        return _BAD_PROOF

    def _by_provider(
        self, provider: RelationProvider, viewer_id: str, claims: Sequence[Claim]
    ) -> list[ResolvedRelation]:
        try:
            confirmed = provider.confirm(viewer_id, [(claim.profile_id, claim.relation) for claim in claims])
        except Unavailable as error:
            self.notice(NO_PROVIDER, len(claims), str(error))
            return [_NO_ANSWER] * len(claims)
        return [
            ResolvedRelation(claim.relation, _CONFIRMED) if answer is True else _NOT_CONFIRMED
            for claim, answer in zip(claims, confirmed, strict=True)
        ]
