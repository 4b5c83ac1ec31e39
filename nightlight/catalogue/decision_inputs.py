"""All that decisions need of profiles, in one statement: this is read for everybody who is not in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from nightlight_core.ids import ProfileId

# What differs between the two databases, by dialect.
_WORDS = {
    "postgresql": {
        "wanted": "p.profile_id = ANY(%(ids)s)",
        "seconds": "floor(extract(epoch from p.asserted_at))::bigint",
        "larger": "greatest(r.width, r.height)",
        "joined": "string_agg({0}, ';')",
    },
    "sqlite": {
        "wanted": "p.profile_id IN (SELECT value FROM json_each(:ids))",
        "seconds": "CAST(strftime('%s', p.asserted_at) AS INTEGER)",
        "larger": "max(r.width, r.height)",
        "joined": "group_concat({0}, ';')",
    },
}
_AVAILABLE = "r.variant || '|' || r.tier || '|' || r.format || '|' || {larger} || '|' || coalesce(r.face_px, -1) || '|'"
_AVAILABLE += " || coalesce(r.no_face_px, -1) || '|' || r.recipe || '|' || r.name"
_STATEMENT = """
SELECT p.profile_id, p.band, p.assurance, p.region, p.choice, p.report_flag, {seconds},
  i.image_id, coalesce(i.released_band, i.ceiling_band), i.blurhash,
  (SELECT {available} FROM renditions r WHERE r.image_id = i.image_id
    AND NOT EXISTS (SELECT 1 FROM revocations v WHERE v.name = r.name)),
  CASE WHEN (SELECT count(*) FROM (SELECT 1 FROM blocks b WHERE b.profile_id = p.profile_id LIMIT {more}) AS m) < {more}
    THEN coalesce((SELECT {blocked} FROM blocks b WHERE b.profile_id = p.profile_id), '') END,
  CASE WHEN (SELECT count(*) FROM (SELECT 1 FROM proof_revocations v WHERE v.profile_id = p.profile_id LIMIT {more})
    AS n) < {more}
    THEN coalesce((SELECT {revoked} FROM proof_revocations v WHERE v.profile_id = p.profile_id), '')
    ELSE (SELECT '|' || max(v.revoked_at) FROM proof_revocations v WHERE v.profile_id = p.profile_id) END,
  EXISTS (SELECT 1 FROM canaries c WHERE c.profile_id = p.profile_id)
FROM profiles p LEFT JOIN images i ON i.image_id = p.current_image_id AND i.state = 'ready'
WHERE p.state = 'live' AND {wanted}
"""


class SeenRendition(NamedTuple):
    """One rendition of a ready picture, under a name that is not revoked."""

    variant: int
    tier: str
    format: str
    edge: int
    face_px: int | None
    no_face_px: int | None
    recipe: str
    name: str


class Seen(NamedTuple):
    """One live profile; ``asserted_at`` in Unix seconds. What is of the image is None where none is ready.

    ``renditions``, ``blocked`` and ``revoked`` are written as the statement joins them: see the functions below.
    """

    profile_id: str
    band: str
    assurance: str
    region: str
    choice: str
    report_flag: str
    asserted_at: int
    image_id: str | None
    effective_ceiling: str | None
    blurhash: str | None
    renditions: str | None
    blocked: str | None
    revoked: str
    canary: bool

    def available(self) -> list[SeenRendition]:
        """Return the renditions of the ready picture, in the order of their variants."""
        if not self.renditions:
            return []
        renditions = []
        for text in self.renditions.split(";"):
            variant, tier, format_, edge, face, no_face, recipe, name = text.split("|")
            face_px, no_face_px = (int(pixels) if int(pixels) >= 0 else None for pixels in (face, no_face))
            renditions.append(SeenRendition(int(variant), tier, format_, int(edge), face_px, no_face_px, recipe, name))
        return sorted(renditions, key=lambda rendition: (rendition.variant, rendition.tier, rendition.recipe))

    def viewers(self) -> frozenset[str] | None:
        """Return who is blocked; None where these are too many to tell."""
        if self.blocked is None:
            return None
        return frozenset(self.blocked.split(";")) if self.blocked else _NOBODY

    def proofs_count_after(self) -> dict[str, int]:
        """Return since when proofs count, in Unix seconds, by viewer; the empty id stands for every viewer.

        Where these are too many to tell, the last of them is everybody's.
        """
        if not self.revoked:
            return {}
        pairs = (text.partition("|") for text in self.revoked.split(";"))
        return {viewer_id: int(moment) for viewer_id, _, moment in pairs}


_NOBODY: frozenset[str] = frozenset()


def seen(connection: Connection, profile_ids: Sequence[ProfileId], *, most_blocked: int) -> list[Seen]:
    """Return what decisions need of these profiles; those that are unknown or deleted are left out."""
    words = _WORDS[connection.dialect.name]
    statement = _STATEMENT.format(
        seconds=words["seconds"],
        available=words["joined"].format(_AVAILABLE.format(larger=words["larger"])),
        blocked=words["joined"].format("b.viewer_id"),
        revoked=words["joined"].format("v.viewer_id || '|' || v.revoked_at"),
        wanted=words["wanted"],
        more=most_blocked + 1,
    )
    postgresql = connection.dialect.name == "postgresql"
    ids = list(profile_ids) if postgresql else json.dumps(profile_ids)
    return [Seen._make(row) for row in connection.exec_driver_sql(statement, {"ids": ids})]
