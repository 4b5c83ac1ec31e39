"""Where the service takes the views from that it decides by: from memory alone, or from memory and the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightlight import logs
from nightlight_core.decisions.engine import FoundViews, blocked_by
from nightlight_core.errors import CatalogueUnavailable

if TYPE_CHECKING:
    from nightlight.flows.decisions.change_feed import ChangeFeedPoller
    from nightlight_core.decisions.profile_views import ProfileView


@dataclass(frozen=True, slots=True)
class MemoryViews:
    """Views that are in memory and true. It waits for nothing, and cannot tell of a request with any other profile."""

    change_feed: ChangeFeedPoller

    def find(self, viewer_id: str | None, profile_ids: Sequence[str]) -> FoundViews | None:
        """Return a view of each profile; None if one is not there, is too old, or has more blocks than are kept."""
        cache = self.change_feed.views
        if not cache.fresh:
            return None
        views = [view for view in cache.find(profile_ids) if view is not None]
        if len(views) < len(profile_ids) or any(view.blocked is None for view in views):
            return None
        return FoundViews(views, blocked_by(viewer_id, views))


@dataclass(frozen=True, slots=True)
class CatalogueViews:
    """Views from memory, and from the catalogue what is not there; none older than the change ``at_least``.

    Without ``keep`` what was read of the catalogue is not kept in memory.
    """

    change_feed: ChangeFeedPoller
    at_least: int | None = None
    keep: bool = True

    def find(self, viewer_id: str | None, profile_ids: Sequence[str]) -> FoundViews | None:
        """Return a view of each profile; None where the catalogue does not answer, or not of the change yet."""
        try:
            return self._all_views(viewer_id, profile_ids)
        except CatalogueUnavailable as error:
            logs.get("decide").error("decisions.catalogue_unavailable", count=len(profile_ids), detail=str(error))
            return None

    def _all_views(self, viewer_id: str | None, profile_ids: Sequence[str]) -> FoundViews:
        feed = self.change_feed
        if (self.at_least is not None or not feed.views.fresh) and not feed.catch_up(at_least=self.at_least):
            raise CatalogueUnavailable(f"the catalogue does not know of the change {self.at_least} yet")
        cached = feed.views.find(profile_ids)
        missing = [profile_id for profile_id, view in zip(profile_ids, cached, strict=True) if view is None]
        read = {view.profile_id: view for view in self._read(missing)} if missing else {}
        views = [view or read[profile_id] for profile_id, view in zip(profile_ids, cached, strict=True)]
        blocked = blocked_by(viewer_id, views)
        if viewer_id is not None and (many := [view.profile_id for view in views if view.blocked is None]):
            blocked |= feed.blocked(viewer_id, many)
        return FoundViews(views, blocked)

    def _read(self, profile_ids: Sequence[str]) -> Sequence[ProfileView]:
        return self.change_feed.read(list(dict.fromkeys(profile_ids)), keep=self.keep)
