"""Blocks: who is to see nothing of whom."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select

from nightlight.catalogue.rows import Rows
from nightlight.catalogue.schema import blocks
from nightlight_core.ids import ProfileId


class Blocks(Rows):
    """Block rows, inside one transaction."""

    def add(self, profile_id: ProfileId, viewer_id: ProfileId, now: datetime) -> bool:
        """Keep a viewer from a profile; return False if that is so already."""
        same_row = blocks.c.profile_id == profile_id, blocks.c.viewer_id == viewer_id
        if self._execute(select(blocks.c.viewer_id).where(*same_row)).one_or_none():
            return False
        values = {"profile_id": profile_id, "viewer_id": viewer_id, "created_at": now}
        self._execute(insert(blocks).values(values))
        return True

    def remove(self, profile_id: ProfileId, viewer_id: ProfileId) -> bool:
        """Let a viewer see a profile again as any other; return False if there was no block."""
        same_row = blocks.c.profile_id == profile_id, blocks.c.viewer_id == viewer_id
        return self._execute(delete(blocks).where(*same_row)).rowcount == 1

    def of_profile(self, profile_id: ProfileId, viewer_ids: Sequence[ProfileId]) -> set[ProfileId]:
        """Return those of the viewers that a profile has blocked."""
        query = select(blocks.c.viewer_id).where(blocks.c.profile_id == profile_id, blocks.c.viewer_id.in_(viewer_ids))
        return {ProfileId(row.viewer_id) for row in self._execute(query)}

    def of_viewer(self, viewer_id: str, profile_ids: Sequence[ProfileId]) -> set[ProfileId]:
        """Return those of the profiles that a viewer is blocked by."""
        query = select(blocks.c.profile_id).where(blocks.c.viewer_id == viewer_id, blocks.c.profile_id.in_(profile_ids))
        return {ProfileId(row.profile_id) for row in self._execute(query)}
