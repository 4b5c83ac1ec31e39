"""The whole life of one render.

::

    lease      one attempt at a time, fenced by its number                     (jobs.runner)
    plan       the names that will be written, so that an erasure finds them
    fetch      the original, by credentials that only workers have
    pipeline   decode once, in the sandbox; every tier of the policy              (imaging.pipeline)
    screen     is it on a hash list? then nothing is put, and nobody sees it            (pictures.hash_list_matches)
    notice     is it a copy of what a takedown notice names? then likewise                        (pictures.notices)
    hash       each rendition's perceptual hash, by which a found copy leads back      (matching.pdq)
    sign       a manifest for each rendition whose tier asks for one                   (provenance.signing)
    put        each rendition under its keyed name; a retry finds its own bytes there
    publish    one transaction: renditions, image ready, job done, audit
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightlight import logs, metrics
from nightlight.catalogue import images
from nightlight.catalogue.image_states import FAIL, ORIGINAL_MISSING, PUBLISH, PUBLISH_LATE, REJECT, SUPERSEDE
from nightlight.catalogue.images import RenditionRow
from nightlight.catalogue.rendition_hashes import HashRow
from nightlight.catalogue.screenings import revision_of
from nightlight.delivery.object_names import ObjectNames, manifest_key
from nightlight.flows.pictures.change_state import change_state
from nightlight.flows.pictures.hash_list_matches import Search, quarantine
from nightlight.flows.pictures.hash_lists import Screened, Screening
from nightlight.flows.pictures.notices import Noticed, check_notices, upright
from nightlight.flows.pictures.put_renditions import key_of, planned_row, put, sign
from nightlight.imaging.recipe import digest_of
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.store.interface import SEAL_BYTES, Open, unsealed
from nightlight_core.errors import ImageRefused, ListsUnavailable, ObjectMissing

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.image_states import StateTransition
    from nightlight.catalogue.jobs import Lease
    from nightlight.flows.pictures.notices import NoticeScreening
    from nightlight.imaging.recipe import Recipe
    from nightlight.imaging.rendition import Rendition
    from nightlight.jobs.runner import JobRunner
    from nightlight.matching.list_index import ListIndexMatch
    from nightlight.provenance.signing import ManifestSigner
    from nightlight.settings.pictures import UploadSettings
    from nightlight.store.interface import ObjectStore

_ACTOR = "worker"


# From the bytes of an original, its owner's crop, and what each tier's invisible watermark says, to its renditions, the
# CPU milliseconds of each stage, and lumas that lists are searched for.
Pipeline = Callable[
    [bytes, "Sequence[Recipe]", "str | None", Mapping[str, int]],
    tuple[Sequence["Rendition"], dict[str, float], Sequence[Any]],
]


@dataclass(frozen=True, slots=True)
class _Rendered:
    """What was made of a picture and put, and what the picture is near to."""

    rows: Sequence[RenditionRow]
    hashes: Sequence[HashRow]
    blurhash: str | None
    screened: Screened
    noticed: Noticed


# The rows that are planned, by the recipe's digest and the variant.
_Planned = dict[tuple[str, int], RenditionRow]


@dataclass(frozen=True, slots=True)
class Render:
    """Turns a pending image into a ready one."""

    runner: JobRunner
    originals: ObjectStore
    renditions: ObjectStore
    names: ObjectNames
    recipes: Callable[[], tuple[Recipe, ...]]
    pipeline: Pipeline
    limits: UploadSettings
    search: Search = lambda _: ()
    open_: Open = unsealed
    signing: ManifestSigner | None = None
    screening: Screening | None = None
    watermark_key: Callable[[], str | None] = lambda: None
    notices: NoticeScreening | None = None

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended.

        See JobRunner.run; or ``ready``, ``superseded``, ``quarantined``, ``rejected``, ``failed``, ``deleted``.
        """
        with metrics.RENDER_SECONDS.time():
            ending = self.runner.run(job_id, kinds.RENDER, self._attempt, redelivered=redelivered, give_up=_give_up)
        metrics.RENDERS.labels(ending).inc()
        return ending

    def _attempt(self, lease: Lease) -> str:
        log = logs.get("render")
        recipes = self.recipes()
        image, names = self._plan(lease, recipes)
        if image is None or image.state != images.PENDING:
            return self._discard(lease, names)
        try:
            stored = self.originals.get(image.original_key, max_bytes=self.limits.max_bytes + SEAL_BYTES)
            original = self.open_(stored.data, image.sealed_key)
            numbers = {row.tier: row.watermark for row in names.values() if row.watermark is not None}
            rendered, stages, views = self.pipeline(original, recipes, image.crop, numbers)
            screened, noticed = self._screened(views, original), self._noticed(views)
        except ImageRefused as error:
            log.warning("image.rejected", code=error.code, detail=str(error))
            return self._refuse(lease, REJECT, error.code, error.public_detail)
        except ObjectMissing as error:
            log.error("original.missing", detail=str(error))
            return self._refuse(lease, FAIL, ORIGINAL_MISSING)
        for stage, milliseconds in stages.items():
            metrics.STAGE_SECONDS.labels(stage).observe(milliseconds / 1000)
        matches = [*screened.matches, *noticed.matches]
        if matches and self._quarantined(lease, matches, noticed):
            return images.QUARANTINED
        signed = [
            sign(rendition, names[rendition.recipe.digest, rendition.variant], lease.image_id, self.signing)
            for rendition in rendered
        ]
        manifests = [manifest_key(prepared.manifest_name) for prepared in signed if prepared.manifest_name is not None]
        if manifests:
            with self.runner.catalogue.transaction() as tx:
                tx.jobs.plan(lease, manifests)
        rendering = _Rendered(
            rows=[put(self.renditions, prepared) for prepared in signed],
            hashes=[
                HashRow(prepared.planned.name, *prepared.hashed) for prepared in signed if prepared.hashed is not None
            ],
            blurhash=next((rendition.blurhash for rendition in rendered if rendition.blurhash), None),
            screened=screened,
            noticed=noticed,
        )
        ending = self._publish(lease, image, rendering, wanted=digest_of(recipes))
        log.info("image.rendered", state=ending, stages_ms={stage: round(ms, 1) for stage, ms in stages.items()})
        return ending

    def _plan(self, lease: Lease, recipes: Sequence[Recipe]) -> tuple[images.ImageRow | None, _Planned]:
        with self.runner.catalogue.transaction() as tx:
            image = tx.images.get(lease.image_id)
            profile = tx.profiles.get(image.profile_id) if image else None
            if image is None or profile is None or image.state != images.PENDING:
                return image, {}
            numbers: dict[str, int] = {}
            planned = {
                (recipe.digest, variant): self.row(recipe, image, profile.generation, variant, numbers=numbers)
                for recipe in recipes
                for variant in range(recipe.variants)
            }
            tx.jobs.plan(lease, [key_of(row) for row in planned.values()])
            tx.recipes.add({recipe.digest: recipe.pixels for recipe in recipes}, self.runner.clock())
        return image, planned

    def row(
        self, recipe: Recipe, image: images.ImageRow, generation: int, variant: int, *, numbers: dict[str, int]
    ) -> RenditionRow:
        """Return a rendition's row as it is planned.

        ``numbers`` are what the invisible watermarks of the image's tiers say; a tier that has none yet gets one.
        """
        named = image.image_id, recipe.tier, generation, recipe.digest
        marked = recipe.invisible_watermark != "none"
        return planned_row(
            recipe,
            self.names.rendition(*named, variant),
            generation,
            variant,
            watermark=numbers.setdefault(recipe.tier, self.names.watermark_id(*named)) if marked else None,
            watermark_key=self.watermark_key() if marked else None,
        )

    def _publish(self, lease: Lease, image: images.ImageRow, rendering: _Rendered, *, wanted: str) -> str:
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            self._check_lists(tx, rendering.screened)
            if self.notices is not None:
                check_notices(tx, rendering.noticed)
            profile = tx.profiles.get(image.profile_id, lock=True)
            pending = tx.images.get(image.image_id, lock=True)
            if profile is None or pending is None or pending.state != images.PENDING:
                ending = "deleted"
            else:
                current = tx.images.get(profile.current_image_id) if profile.current_image_id else None
                # What another had taken the place of before it was hidden is not shown because that one is gone.
                late = pending.superseded_at is not None or (current and current.sequence > pending.sequence)
                transition = PUBLISH_LATE if late else PUBLISH
                ending = transition.target
                tx.images.add_renditions(pending.image_id, rendering.rows, now)
                tx.rendition_hashes.add(rendering.hashes)
                if self.screening is not None:
                    tx.screenings.set(pending.image_id, rendering.screened.hashes, rendering.screened.revision)
                tx.view_hashes.set(pending.image_id, rendering.noticed.views)
                change_state(tx, transition, pending.image_id, now, actor=_ACTOR, blurhash=rendering.blurhash)
                if transition is PUBLISH:
                    if current is not None and current.state == images.READY:
                        change_state(tx, SUPERSEDE, current.image_id, now, actor=_ACTOR)
                    tx.profiles.set_current(profile.profile_id, pending.image_id)
                    if tx.rerenders.wanted() not in {None, wanted}:  # the policy has changed since, or is about to
                        enqueue(tx, kinds.RERENDER, pending.image_id, now)
                tx.jobs.finish(lease, now)
        if ending == "deleted":
            return self._discard(lease, {(row.recipe, row.variant): row for row in rendering.rows})
        return ending

    def _screened(self, views: Sequence[Any], original: bytes) -> Screened:
        """Return what a picture is near to on the lists, or is the very file of; raises ListsUnavailable."""
        if self.screening is None:
            with self.runner.catalogue.reading() as tx:
                names = [hash_list.name for hash_list in tx.screenings.lists().values() if hash_list.digest]
            if names:
                message = (
                    f"NIGHTLIGHT_MATCHING_LISTS_DIR is not set here, and there are lists: {', '.join(names)[:200]}"
                )
                raise ListsUnavailable(message)
            return Screened(self.search(views) if views else (), b"", 0)
        from nightlight.matching.list_index import hash_lumas

        md5 = hashlib.md5(original, usedforsecurity=False).digest()  # programmes exchange it; nothing is trusted for it
        return self.screening.screen(hash_lumas(views), md5)

    def view_hashes(self, views: Sequence[Any]) -> bytes:
        """Return the hashes of lumas as they are, 32 bytes each, by which copies are found; none without notices."""
        from nightlight.matching.list_index import hash_lumas

        return upright(hash_lumas(views)) if self.notices is not None else b""

    def _noticed(self, views: Sequence[Any]) -> Noticed:
        """Return what a picture is near to among the takedown notices, and its views' hashes."""
        if self.notices is None:
            return Noticed((), b"", 0)
        from nightlight.matching.list_index import hash_lumas

        return self.notices.screen(hash_lumas(views))

    @staticmethod
    def _check_lists(tx: Transaction, screened: Screened) -> None:
        """Raise ListsUnavailable where a list changed since the picture was held against it: it is, again."""
        if screened.revision and revision_of(tx.screenings.lists(hold="share")) != screened.revision:
            raise ListsUnavailable("a hash list has changed while the picture was rendered")

    def _quarantined(self, lease: Lease, listed: Sequence[ListIndexMatch], noticed: Noticed) -> bool:
        """Keep an image that is on a list from everybody, unless somebody has cleared it; return whether it is kept."""
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            if noticed.matches:
                check_notices(tx, noticed)
            image = tx.images.get(lease.image_id, lock=True)
            kept = image is not None and image.state == images.PENDING and quarantine(tx, image, listed, now)
            if kept:
                tx.jobs.finish(lease, now)
                if self.notices is not None and noticed.matches:
                    self.notices.count(tx, noticed, lease.image_id, now)
        return kept

    def _refuse(self, lease: Lease, transition: StateTransition, reason: str, detail: str | None = None) -> str:
        now = self.runner.clock()
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.fail(lease, reason, now)
            _end(tx, lease, transition, reason, now, detail)
        return transition.target

    def _discard(self, lease: Lease, rows: _Planned) -> str:
        """Take back whatever this or an earlier attempt wrote: the image was deleted meanwhile."""
        with self.runner.catalogue.transaction() as tx:
            keys = set(tx.jobs.planned_keys(lease.image_id)) | {key_of(row) for row in rows.values()}
            image = tx.images.get(lease.image_id)
        if image is not None and image.state in {images.DELETED, images.HELD}:
            for key in sorted(keys):
                self.renditions.delete(key)
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, self.runner.clock())
        return "deleted"


def _give_up(tx: Transaction, lease: Lease, reason: str, now: datetime) -> None:
    """Say that an image could not be rendered."""
    _end(tx, lease, FAIL, reason, now)


def _end(
    tx: Transaction, lease: Lease, transition: StateTransition, reason: str, now: datetime, detail: str | None = None
) -> None:
    """Say why an image has no renditions, unless it was deleted or held meanwhile."""
    image = tx.images.get(lease.image_id, lock=True)
    if image is not None and image.state == images.PENDING:
        change_state(tx, transition, lease.image_id, now, actor=_ACTOR, reason=reason, reason_detail=detail)
