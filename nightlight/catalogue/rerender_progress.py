"""Runs that render pictures again, what is to be rendered, and which pictures are asked for meanwhile."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, insert, not_, or_, select, update

from nightlight.catalogue.images import READY
from nightlight.catalogue.policy_schema import rerender_demand, rerenders
from nightlight.catalogue.rows import Rows, add_if_absent
from nightlight.catalogue.schema import images, renditions
from nightlight_core.ids import ImageId

RUNNING, DONE, REPLACED = "running", "done", "replaced"
# What a run is for: it follows the policy, or was asked for by hand.
FOLLOWS, BY_HAND = "follows", "by_hand"


# The recipes that every picture is to be rendered by, as (tier, digest), and how many variants each has.
Wanted = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class RerenderRow:
    """One run. ``scope`` is what was asked for by hand, empty for a run that follows the policy.

    ``tiers`` and ``profile_id`` leave out all else. ``watermark_key`` renders what was watermarked with that key,
    ``missing`` what has no object in the bucket, ``force`` everything.

    ``wanted`` is the digest of the recipes that it renders by, ``cursor`` the last picture that was looked at.
    ``pictures`` is how many were shown when it began, None where they could not be counted in time. Of those that were
    ``looked_at``, some were ``queued``; of these some are ``rendered`` or ``failed`` by now.
    """

    rerender_id: str
    state: str
    actor: str
    kind: str
    wanted: str
    scope: dict[str, Any]
    cursor: str
    pictures: int | None
    looked_at: int
    queued: int
    rendered: int
    failed: int
    created_at: datetime
    finished_at: datetime | None


class Rerenders(Rows):
    """Rows of runs and of demand, inside one transaction."""

    def begin(
        self, wanted: str, scope: Mapping[str, Any] | None, pictures: int | None, *, actor: str, now: datetime
    ) -> RerenderRow:
        """Write a new run; ``scope`` is None for one that follows the policy, in place of an earlier one of these.

        What the earlier run had queued is done all the same.
        """
        kind = FOLLOWS if scope is None else BY_HAND
        if scope is None:
            replaced = rerenders.c.state == RUNNING, rerenders.c.kind == FOLLOWS
            self._execute(update(rerenders).where(*replaced).values(state=REPLACED, finished_at=now))
        row = RerenderRow(
            secrets.token_hex(16), RUNNING, actor, kind, wanted, dict(scope or {}), "", pictures, 0, 0, 0, 0, now, None
        )
        self._execute(insert(rerenders).values(asdict(row)))
        return row

    def runs(self, *, limit: int) -> list[RerenderRow]:
        """Return the newest runs, those that began last first."""
        query = select(rerenders).order_by(rerenders.c.created_at.desc(), rerenders.c.rerender_id).limit(limit)
        return [RerenderRow(*row) for row in self._execute(query)]

    def followed(self, *, limit: int) -> list[RerenderRow]:
        """Return the newest runs that follow the policy, those that began last first."""
        query = select(rerenders).where(rerenders.c.kind == FOLLOWS).order_by(rerenders.c.created_at.desc())
        return [RerenderRow(*row) for row in self._execute(query.limit(limit))]

    def wanted(self) -> str | None:
        """Return the digest of the recipes that every picture is to be rendered by; None before the first run."""
        return next((run.wanted for run in self.followed(limit=1)), None)

    def known(self, *, tier: str | None = None, watermark_key: str | None = None) -> bool:
        """Say whether any rendition is of a tier, or was watermarked with a key."""
        column, value = (renditions.c.tier, tier) if tier is not None else (renditions.c.watermark_key, watermark_key)
        return self._execute(select(renditions.c.name).where(column == value).limit(1)).first() is not None

    def under_way(self, *, lock: bool = False) -> RerenderRow | None:
        """Return the run that is under way: the oldest that is not done.

        ``lock`` holds its row until the transaction ends; None is returned where another transaction holds it.
        """
        oldest = select(rerenders.c.rerender_id).where(rerenders.c.state == RUNNING).order_by(rerenders.c.created_at)
        # Looked for before it is locked: another one would be found in the place of one that is locked.
        rerender_id = self._execute(oldest.limit(1)).scalar_one_or_none()
        query = select(rerenders).where(rerenders.c.rerender_id == rerender_id, rerenders.c.state == RUNNING)
        row = self._execute(query.with_for_update(skip_locked=True) if lock else query).one_or_none()
        return RerenderRow(*row) if row is not None else None

    def move(self, rerender_id: str, cursor: str, *, looked_at: int, queued: int) -> None:
        """Write how far a run has looked, and how many pictures more it has queued."""
        moved = {
            "cursor": cursor,
            "looked_at": rerenders.c.looked_at + looked_at,
            "queued": rerenders.c.queued + queued,
        }
        self._execute(update(rerenders).where(rerenders.c.rerender_id == rerender_id).values(moved))

    def count(self, *, rendered: int = 0, failed: int = 0) -> None:
        """Count pictures of the run that is under way, if there is one."""
        counts = {"rendered": rerenders.c.rendered + rendered, "failed": rerenders.c.failed + failed}
        oldest = select(rerenders.c.rerender_id).where(rerenders.c.state == RUNNING).order_by(rerenders.c.created_at)
        own = rerenders.c.rerender_id == oldest.limit(1).scalar_subquery()
        self._execute(update(rerenders).where(own).values(counts))

    def finish(self, rerender_id: str, now: datetime) -> None:
        """Write that a run is done."""
        own = rerenders.c.rerender_id == rerender_id
        self._execute(update(rerenders).where(own).values(state=DONE, finished_at=now))

    def shown(self) -> int:
        """Return how many pictures are shown."""
        return self._count(select(func.count()).select_from(images).where(images.c.state == READY))

    def batch(
        self, wanted: Wanted, scope: Mapping[str, Any], *, after: str, limit: int
    ) -> tuple[list[ImageId], list[ImageId]]:
        """Return the next pictures that are shown, and those of them that lack a rendition or have one too many.

        Where ``scope`` names a watermark key, pictures with an invisible watermark by that key count too, and those
        whose key nobody wrote down.
        """
        query = select(images.c.image_id).where(images.c.state == READY, images.c.image_id > after)
        if profile_id := scope.get("profile_id"):
            query = query.where(images.c.profile_id == profile_id)
        looked_at = [ImageId(row.image_id) for row in self._execute(query.order_by(images.c.image_id).limit(limit))]
        return looked_at, self.stale(looked_at, wanted, scope)

    def stale(self, image_ids: Sequence[ImageId], wanted: Wanted, scope: Mapping[str, Any]) -> list[ImageId]:
        """Return those of the pictures that are not as they should be, in their order."""
        if not image_ids:
            return []
        if scope.get("missing") or scope.get("force"):
            return list(image_ids)
        current = or_(*(and_(renditions.c.tier == tier, renditions.c.recipe == digest) for tier, digest in wanted))
        good = current
        if key := scope.get("watermark_key"):
            good = and_(current, not_(_by_key(key)))
        tiers = scope.get("tiers")
        rows = select(renditions.c.image_id, renditions.c.tier, renditions.c.recipe, good.label("good"))
        rows = rows.where(renditions.c.image_id.in_(image_ids))
        if tiers:
            rows = rows.where(renditions.c.tier.in_(tiers))
        total = sum(variants for (tier, _), variants in wanted.items() if not tiers or tier in tiers)
        counts: dict[str, list[int]] = {image_id: [0, 0] for image_id in image_ids}
        for row in self._execute(rows):
            counts[row.image_id][0 if row.good else 1] += 1
        return [image_id for image_id in image_ids if counts[image_id] != [total, 0]]

    def ask(self, views: Mapping[ImageId, int]) -> None:
        """Count pictures that were asked for and are not as the policy wants them; unknown pictures are left out."""
        known = {row.image_id for row in self._execute(select(images.c.image_id).where(images.c.image_id.in_(views)))}
        rows = [{"image_id": image_id, "views": 0} for image_id in sorted(known)]
        if not rows:
            return
        self._execute(add_if_absent(self._connection, rerender_demand), rows)
        own = rerender_demand.c.image_id == bindparam("asked_id")
        more = update(rerender_demand).where(own).values(views=rerender_demand.c.views + bindparam("more"))
        self._execute(more, [{"asked_id": row["image_id"], "more": views[row["image_id"]]} for row in rows])

    def take_asked(self, limit: int, *, after: str) -> list[ImageId]:
        """Return the pictures that were asked for most often, and forget that they were.

        Those that a run has come by already (up to ``after``) are left out: what could not be rendered would come again
        and again.
        """
        query = select(rerender_demand.c.image_id).order_by(rerender_demand.c.views.desc()).limit(limit)
        image_ids = [ImageId(row.image_id) for row in self._execute(query)]
        self._execute(delete(rerender_demand).where(rerender_demand.c.image_id.in_(image_ids)))
        return [image_id for image_id in image_ids if image_id > after]


def _by_key(key: str) -> ColumnElement[bool]:
    """Return whether a rendition's invisible watermark is by a key, or by one that nobody wrote down."""
    unknown = and_(renditions.c.watermark.is_not(None), renditions.c.watermark_key.is_(None))
    return or_(renditions.c.watermark_key == key, unknown)
