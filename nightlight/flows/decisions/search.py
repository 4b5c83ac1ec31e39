"""Searches: whom a decision would show a picture of, to whom, and where. For those who may know which ids are accounts.

::

    profiles    the profiles whose picture a viewer would be shown
    viewers     the accounts that would be shown a profile's picture, each as a stranger
    contexts    the places in which a viewer would be shown a profile's picture

An account is a live profile that is no canary: Nightlight knows of no other people. A search gives no URL, counts
nothing, and takes nothing of quotas. Each call reads one page of accounts, ``MOST`` at the most, and has one page of
answers made, whatever is found: its cost does not grow with the number of profiles.

A viewer is what the request says that viewers are: no age is looked up but that of the profile whose picture it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from nightlight.flows.decisions.view_sources import CatalogueViews
from nightlight_core.decisions.engine import DecisionRequest
from nightlight_core.decisions.quotas import Requester
from nightlight_core.decisions.relation_proofs import BLOCKED, STRANGER
from nightlight_core.decisions.relation_resolver import Claim
from nightlight_core.errors import CatalogueUnavailable
from nightlight_core.ids import ProfileId, is_profile_id

if TYPE_CHECKING:
    from nightlight.flows.decisions.change_feed import ChangeFeedPoller
    from nightlight.flows.policies.policy_holder import PolicyHolder
    from nightlight_core.decisions.engine import DecisionEngine
    from nightlight_core.decisions.profile_views import ProfileView

# Accounts that one call looks at, and the most that it returns.
MOST = 500


class SearchPage(NamedTuple):
    """Ids that were found, in their order, and the id after which the next page begins; None at the end."""

    ids: list[str]
    after: str | None


class PageBounds(NamedTuple):
    """What to return: at most ``limit`` ids, of those after ``after``."""

    after: str
    limit: int


_NOTHING = SearchPage([], None)


@dataclass(frozen=True, slots=True)
class DecisionSearch:
    """Searches by decisions. Every method raises InvalidInput as decisions do, and CatalogueUnavailable."""

    policy: PolicyHolder
    change_feed: ChangeFeedPoller
    engine: DecisionEngine

    def profiles(
        self, viewer: str, context: str, relation: str, requester: Requester, bounds: PageBounds
    ) -> SearchPage:
        """Return profiles whose picture the requester would be shown; none to a requester who is no account.

        ``relation`` is claimed of all of them, without a proof.
        """
        candidates = self._accounts(bounds.after)
        claims = [Claim(profile_id, relation) for profile_id in candidates]
        # Also where the requester is no account: the words are checked, and it takes as long.
        allowed = self._permitted(DecisionRequest(viewer, context, claims, requester))
        if not self._is_account(requester.viewer_id):
            return _NOTHING
        return _page(candidates, allowed, bounds)

    def viewers(self, viewer: str, context: str, claim: Claim, requester: Requester, bounds: PageBounds) -> SearchPage:
        """Return accounts that would be shown the profile's picture; who is more than a stranger is not known here.

        ``viewer`` is what is assured of all of them. The requester names no viewer.
        """
        stranger = Claim(claim.profile_id, BLOCKED if claim.relation == BLOCKED else STRANGER)
        (allowed,) = self._permitted(DecisionRequest(viewer, context, [stranger], requester))
        candidates = self._accounts(bounds.after)
        blocked = self._blocked_by(self._view(claim.profile_id), candidates)
        if not allowed:
            return _NOTHING
        return _page(candidates, [viewer_id not in blocked for viewer_id in candidates], bounds)

    def contexts(self, viewer: str, contexts: Sequence[str], claim: Claim, requester: Requester) -> set[str]:
        """Return those of ``contexts`` in which the requester would be shown the profile's picture."""
        requests = {context: DecisionRequest(viewer, context, [claim], requester) for context in contexts}
        permitted = {context for context, request in requests.items() if self._permitted(request) == [True]}
        return permitted if self._is_account(requester.viewer_id) else set()

    def _permitted(self, request: DecisionRequest) -> list[bool]:
        allowed = self.engine.permits(self.policy.current(), request, CatalogueViews(self.change_feed, keep=False))
        if allowed is None:
            raise CatalogueUnavailable("a search cannot be answered without the catalogue")
        return allowed

    def _accounts(self, after: str) -> list[ProfileId]:
        with self.change_feed.reading() as tx:
            return tx.profiles.accounts_after(after, limit=MOST)

    def _view(self, profile_id: str) -> ProfileView:
        lookup = CatalogueViews(self.change_feed, keep=False).find(None, [profile_id])
        if lookup is None:
            raise CatalogueUnavailable("a search cannot be answered without the catalogue")
        return lookup.views[0]

    def _is_account(self, viewer_id: str | None) -> bool:
        if viewer_id is None or not is_profile_id(viewer_id):
            return False
        view = self._view(viewer_id)
        return view.known and not view.canary

    def _blocked_by(self, view: ProfileView, viewer_ids: Sequence[ProfileId]) -> frozenset[str] | set[ProfileId]:
        if view.blocked is not None:
            return view.blocked
        with self.change_feed.reading() as tx:
            return tx.blocks.of_profile(ProfileId(view.profile_id), viewer_ids)


def _page(candidates: Sequence[str], allowed: Sequence[bool], bounds: PageBounds) -> SearchPage:
    """Return the first ``bounds.limit`` candidates that are allowed, of what is perhaps not the last of them."""
    ids, before = list[str](), bounds.after
    for candidate, is_allowed in zip(candidates, allowed, strict=True):
        if is_allowed and len(ids) == bounds.limit:
            return SearchPage(ids, before)
        ids += [candidate] * is_allowed
        before = candidate
    return SearchPage(ids, before if len(candidates) == MOST else None)
