"""A picture that is shown, rendered again: what it lacks by the recipes of now takes the place of what it has too many.

::

    lease      one attempt at a time, as for a render                                        (jobs.runner)
    wanted     the active policy's recipes, and a candidate's that is staged or rendered first
    missing    recipes that no rendition was made by; none: the picture is as it should be
    render     as at the upload, the missing recipes alone                                   (pictures.render)
    switch     one transaction: new renditions, old names revoked, the picture's blur, the job is done
    clear      the objects of old renditions go, at the edge too                             (pictures.revoke)

Until the switch, decisions show what both policies allow of the old renditions (decisions.rendition_choice).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightlight import logs, metrics
from nightlight.catalogue import images
from nightlight.catalogue.image_states import ORIGINAL_MISSING
from nightlight.catalogue.rendition_hashes import HashRow
from nightlight.delivery.object_names import manifest_key
from nightlight.flows.pictures.put_renditions import key_of, put, sign
from nightlight.imaging.recipe import digest_of
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.store.interface import SEAL_BYTES
from nightlight_core.errors import CatalogueUnavailable, Conflict, ImageRefused, ObjectMissing

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.images import ImageRow, RenditionRow
    from nightlight.catalogue.jobs import Lease
    from nightlight.flows.pictures.render import Render
    from nightlight.imaging.recipe import Recipe
    from nightlight.imaging.rendition import Rendition
    from nightlight_core.ids import ImageId

# How a job ends: rendered again; as it should be; not shown any more; or the reason why it could not be rendered.
RENDERED, CURRENT, GONE = "rerendered", "current", "gone"
# While uploads wait, re-rendering takes this share of its worker's time, and no more than this pause at once.
_SHARE, _MOST_PAUSE_S = 0.25, 5.0

_Rows = Sequence["RenditionRow"]


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done for a picture: recipes to render by, the rows planned for them, and those that go."""

    image: ImageRow
    recipes: tuple[Recipe, ...]
    planned: Mapping[tuple[str, int], RenditionRow]
    old: _Rows


@dataclass(frozen=True, slots=True)
class Rerender:
    """The worker's half. ``recipes`` returns what is wanted of every picture."""

    render: Render
    recipes: Callable[[], tuple[Recipe, ...]]
    pause: Callable[[float], object] = time.sleep

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended: see JobRunner.run, or the words above."""
        began = time.monotonic()
        ending = self.render.runner.run(
            job_id, kinds.RERENDER, self._attempt, redelivered=redelivered, give_up=_give_up
        )
        metrics.RERENDERS.labels(ending).inc()
        self._leave_place(time.monotonic() - began)
        return ending

    def _leave_place(self, took_s: float) -> None:
        """Wait, where uploads do, so long that re-rendering takes its share and no more."""
        try:
            with self.render.runner.catalogue.reading() as tx:
                waiting = tx.jobs.open(kinds.RENDER.name)
        except CatalogueUnavailable:  # the job has ended, and the next one finds out
            return
        if waiting:
            self.pause(min(took_s * (1 / _SHARE - 1), _MOST_PAUSE_S))

    def _attempt(self, lease: Lease) -> str:
        render, log = self.render, logs.get("rerender")
        work = self._plan(lease)
        if isinstance(work, str):
            return self._end(lease, work)
        image = work.image
        try:
            stored = render.originals.get(image.original_key, max_bytes=render.limits.max_bytes + SEAL_BYTES)
            original = render.open_(stored.data, image.sealed_key)
            numbers = {row.tier: row.watermark for row in work.planned.values() if row.watermark is not None}
            rendered: Sequence[Rendition] = ()
            views = b""
            if work.recipes:
                rendered, _, lumas = render.pipeline(original, work.recipes, image.crop, numbers)
                views = render.view_hashes(lumas)
        except ImageRefused as error:
            log.warning("image.not_rerendered", code=error.code, detail=str(error))
            return self._end(lease, error.code)
        except ObjectMissing as error:
            log.error("original.missing", detail=str(error))
            return self._end(lease, ORIGINAL_MISSING)
        signed = [
            sign(rendition, work.planned[rendition.recipe.digest, rendition.variant], lease.image_id, render.signing)
            for rendition in rendered
        ]
        manifests = [manifest_key(prepared.manifest_name) for prepared in signed if prepared.manifest_name is not None]
        with render.runner.catalogue.transaction() as tx:
            tx.jobs.plan(lease, manifests)
        rows = [put(render.renditions, prepared) for prepared in signed]
        hashes = [
            HashRow(prepared.planned.name, *prepared.hashed) for prepared in signed if prepared.hashed is not None
        ]
        blurhash = next((rendition.blurhash for rendition in rendered if rendition.blurhash), None)
        return self._switch(lease, work, rows, hashes, blurhash, views)

    def _plan(self, lease: Lease) -> _Work | str:
        """Return what is to be done, or how the job ends where there is nothing to do.

        Raises Conflict where other workers want other recipes by now: this one hears of it soon.
        """
        recipes, again = self.recipes(), self._again(lease.image_id)
        with self.render.runner.catalogue.transaction() as tx:
            if tx.rerenders.wanted() not in {None, digest_of(recipes)}:
                raise Conflict("other recipes are wanted by now")
            image = tx.images.get(lease.image_id)
            profile = tx.profiles.get(image.profile_id) if image else None
            if image is None or profile is None or image.state != images.READY:
                return GONE
            rows = tx.images.renditions(lease.image_id)
            good = {(row.tier, row.recipe) for row in rows if row.name not in again}
            missing = tuple(recipe for recipe in recipes if (recipe.tier, recipe.digest) not in good)
            wanted = {(recipe.tier, recipe.digest) for recipe in recipes}
            old = [row for row in rows if (row.tier, row.recipe) not in wanted or row.name in again]
            if not missing and not old:
                return CURRENT
            numbers = {row.tier: row.watermark for row in rows if row.watermark is not None and row.name not in again}
            planned = self._planned(missing, image, profile.generation, dict(numbers))
            if not {key_of(row) for row in planned.values()} <= set(tx.jobs.planned(lease)):
                # A policy that comes back would give names that were given out before, and that edges refuse for a day.
                # An attempt of this job that died after this goes on with its own names.
                generation = tx.profiles.raise_generation(profile.profile_id) or profile.generation
                planned = self._planned(missing, image, generation, dict(numbers))
            tx.jobs.plan(lease, [key_of(row) for row in planned.values()])
            tx.recipes.add({recipe.digest: recipe.pixels for recipe in missing}, self.render.runner.clock())
        return _Work(image, missing, planned, old)

    def _planned(
        self, recipes: Sequence[Recipe], image: ImageRow, generation: int, numbers: dict[str, int]
    ) -> dict[tuple[str, int], RenditionRow]:
        return {
            (recipe.digest, variant): self.render.row(recipe, image, generation, variant, numbers=numbers)
            for recipe in recipes
            for variant in range(recipe.variants)
        }

    def _again(self, image_id: ImageId) -> set[str]:
        """Return the names of renditions that are to be made again although their recipe is that of now."""
        with self.render.runner.catalogue.reading() as tx:
            run, image = tx.rerenders.under_way(), tx.images.get(image_id)
            if run is None or image is None or not run.scope:
                return set()
            scope, rows = run.scope, tx.images.rendered_before(image_id, run.created_at)
        if scope.get("profile_id", image.profile_id) != image.profile_id:
            return set()
        if tiers := scope.get("tiers"):
            rows = [row for row in rows if row.tier in tiers]
        if key := scope.get("watermark_key"):
            rows = [row for row in rows if row.watermark is not None and row.watermark_key in {key, None}]
        elif scope.get("missing"):
            rows = [row for row in rows if not self._has_object(row)]
        elif not scope.get("force"):
            rows = []
        return {row.name for row in rows}

    def _has_object(self, row: RenditionRow) -> bool:
        try:
            self.render.renditions.head(key_of(row))
        except ObjectMissing:
            return False
        return True

    def _switch(
        self,
        lease: Lease,
        work: _Work,
        rows: _Rows,
        hashes: Sequence[HashRow],
        blurhash: str | None,
        views: bytes,
    ) -> str:
        """Let the new renditions take the place of the old ones, unless the picture is shown no more."""
        now, render = self.render.runner.clock(), self.render
        with render.runner.catalogue.transaction() as tx:
            tx.profiles.get(work.image.profile_id, lock=True)
            image = tx.images.get(lease.image_id, lock=True)
            shown = image is not None and image.state == images.READY
            if shown:
                present = {row.name: row for row in tx.images.renditions(lease.image_id)}
                # Names may have been rotated meanwhile: what a row was made by tells which it is.
                old_keys = {(row.tier, row.recipe, row.variant) for row in work.old}
                old = [row for row in present.values() if (row.tier, row.recipe, row.variant) in old_keys]
                manifests = tx.images.replace_renditions(lease.image_id, old, now)
                if rows:
                    tx.images.add_renditions(lease.image_id, rows, now)
                    tx.rendition_hashes.add(hashes)
                if blurhash:
                    tx.images.set_blurhash(lease.image_id, blurhash)
                if views and not tx.view_hashes.of_image(lease.image_id):  # rendered before they were kept
                    tx.view_hashes.set(lease.image_id, views)
                if old:
                    keys = [manifest_key(name) for name in manifests]
                    enqueue(tx, kinds.ROTATE_NAMES, lease.image_id, now, planned=keys)
                tx.jobs.finish(lease, now)
        if not shown:
            return self._discard(lease, rows)
        with render.runner.catalogue.transaction() as tx:  # by itself: whoever holds the run waits for no picture
            tx.rerenders.count(rendered=1)
        logs.get("rerender").info("image.rerendered", count=len(rows))
        return RENDERED

    def _discard(self, lease: Lease, rows: _Rows) -> str:
        """Take back what was put for a picture that is shown no more: its erasure may have been before."""
        with self.render.runner.catalogue.reading() as tx:
            image = tx.images.get(lease.image_id)
        if image is not None and image.state in {images.DELETED, images.HELD}:
            for row in rows:
                self.render.renditions.delete(key_of(row))
                if row.manifest is not None:
                    self.render.renditions.delete(manifest_key(row.manifest))
        return self._end(lease, GONE)

    def _end(self, lease: Lease, ending: str) -> str:
        now = self.render.runner.clock()
        with self.render.runner.catalogue.transaction() as tx:
            if ending in {CURRENT, GONE}:
                tx.jobs.finish(lease, now)
                return ending
            tx.jobs.fail(lease, ending, now)
        with self.render.runner.catalogue.transaction() as tx:
            tx.rerenders.count(failed=1)
        return ending


def _give_up(tx: Transaction, _lease: Lease, _reason: str, _now: Any) -> None:
    """Count a picture that was given up: it is shown as before, where both policies allow that."""
    tx.rerenders.count(failed=1)
