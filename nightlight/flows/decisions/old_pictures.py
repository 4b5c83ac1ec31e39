"""Migration: who may see the picture that a platform had before, until Nightlight has rendered it.

The old picture is an original: full size, with its metadata, and no watermark. So it is shown only where all of this
holds, and everybody else gets the placeholder:

::

    decision   it gave the placeholder, for the one reason that there is no rendition
    allowed    the policy gives this viewer the most open tier of this profile, and that tier hides nothing
    never      Nightlight never had a picture of the profile that got further than the queue: none was shown, replaced,
               refused, quarantined, hidden, held or deleted, no URL was revoked, and nobody of the id was erased
    quotas     the viewer, the network and the platform have some left
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight import logs
from nightlight.flows.decisions.view_sources import CatalogueViews
from nightlight_core.decisions.quotas import PictureRequest
from nightlight_core.errors import CatalogueUnavailable, QuotasUnavailable
from nightlight_core.ids import ProfileId

if TYPE_CHECKING:
    from nightlight.catalogue.tombstones import ErasureSubject
    from nightlight.flows.decisions.decision_service import DecisionService
    from nightlight_core.decisions.answers import SignedDecision
    from nightlight_core.decisions.engine import DecisionRequest, Explanation
    from nightlight_core.policy.table import Table

_PLACEHOLDER, UNDRAWN = "placeholder", "none"


@dataclass(frozen=True, slots=True)
class OldPictures:
    """Says who may see them. ``subjects`` are a profile as tombstones know it, under every key."""

    subjects: Callable[[ProfileId], Iterable[ErasureSubject]]

    def shows(self, decisions: DecisionService, request: DecisionRequest, decision: SignedDecision) -> bool:
        """Say whether the viewer gets the old picture in place of what was decided; False in any doubt."""
        if decision.shows_picture:
            return False
        policy, engine, feed = decisions.policy.current(), decisions.engine, decisions.change_feed
        try:
            explained = engine.explain(policy, request, CatalogueViews(feed))
            if not explained or not self._allowed(policy.table, explained[0]):
                return False
            profile_id = ProfileId(request.claims[0].profile_id)
            with feed.reading() as tx:
                untouched = tx.profiles.had_no_picture(profile_id)
                erased = untouched and tx.tombstones.erased_at(self.subjects(profile_id)) is not None
            if not untouched or erased:
                return False
            picture = [PictureRequest(profile_id, explained[0].per_hour)]
            now_us = int(engine.clock() * 1e6)
            return engine.limiter.check(request.requester, [profile_id], picture, now_us=now_us)[0] == [True]
        except (CatalogueUnavailable, QuotasUnavailable) as error:
            logs.get("avatars").error("avatars.old_picture_unknown", detail=type(error).__name__)
            return False

    @staticmethod
    def _allowed(table: Table, explained: Explanation) -> bool:
        """Say whether there is nothing to show although the most open tier is allowed, and that tier hides nothing."""
        ranks = {outcome.rank[0] for outcome in table.outcomes if outcome.tier == explained.tier}
        recipe = table.pixels.get(explained.tier)
        whole = recipe is not None and recipe.face_px is None and recipe.visible_watermark == UNDRAWN
        # The lowest rank is of no picture: the highest is as many as there are tiers.
        return explained.shows == _PLACEHOLDER and ranks == {len(table.tiers)} and whole
