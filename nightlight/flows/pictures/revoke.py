"""Revocation: what was given out before counts for nothing any more.

::

    revoke     in the transaction of the change itself: the profile's generation is raised, the names of its renditions
               are revoked, an event is written. New decisions give the placeholder until the next step is done
    withdraw   the same for some tiers alone, those that a change takes from somebody (flows.pictures.withdrawals): all
    others            keep their names, so that nobody else sees that anything was changed
    refuse     every service refuses revoked names from its next look at them         (flows.decisions.change_feed)
    rotate     a worker copies the current image's renditions to names of the new generation, deletes the old objects,
               and has the edge forget them
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.catalogue import images
from nightlight.catalogue.profiles import KEPT
from nightlight.delivery.object_names import (
    MAX_RENDITION_BYTES,
    ObjectNames,
    is_manifest_key,
    manifest_key,
    rendition_key,
    rendition_type,
)
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight.store.interface import PutResult, put_bytes, replace_bytes
from nightlight_core.errors import NotFound, ObjectMissing
from nightlight_core.ids import ImageId, ProfileId

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.catalogue.images import RenditionRow
    from nightlight.catalogue.jobs import Lease
    from nightlight.delivery.purge import EdgePurge
    from nightlight.jobs.runner import JobRunner
    from nightlight.store.interface import ObjectStore
    from nightlight_core.clock import Clock


def revoke(tx: Transaction, profile_id: ProfileId, now: datetime) -> None:
    """Make everything that was given out of a profile count for nothing, in the caller's transaction."""
    if tx.profiles.raise_generation(profile_id) is None:
        return
    _announce(tx, profile_id, tx.revocations.add(profile_id, now), now)


def withdraw(tx: Transaction, profile_id: ProfileId, tiers: Mapping[ImageId, Collection[str]], now: datetime) -> None:
    """Revoke what was given out of these tiers of a profile's images, in the caller's transaction."""
    if not any(tiers.values()) or tx.profiles.raise_generation(profile_id) is None:
        return
    revoked = [
        tx.revocations.add(profile_id, now, image_id=image, tiers=tiers_) for image, tiers_ in tiers.items() if tiers_
    ]
    _announce(tx, profile_id, [image_id for images_ in revoked for image_id in images_], now)


def _announce(tx: Transaction, profile_id: ProfileId, revoked: Iterable[ImageId], now: datetime) -> None:
    for image_id in revoked:
        enqueue(tx, kinds.ROTATE_NAMES, image_id, now)
    tx.events.add(profile_id, now)
    metrics.REVOCATIONS.inc()


@dataclass(frozen=True, slots=True)
class RevokeUrls:
    """The service's half: takes the platform's word that something changed."""

    catalogue: Catalogue
    clock: Clock

    def profile(self, profile_id: ProfileId, *, actor: str) -> int:
        """Revoke what was given out of a profile: somebody is no connection any more; return the change's number.

        Relation proofs that were issued before count for nothing either, whosever they are.

        Raises NotFound.
        """
        now = self.clock()
        with self.catalogue.transaction() as tx:
            profile = tx.profiles.get(profile_id)
            if profile is None or profile.state not in KEPT:
                raise NotFound
            revoke(tx, profile_id, now)
            tx.proof_revocations.add(profile_id, now)
            return tx.audit.append("profile.revoked", now=now, actor=actor)


@dataclass(frozen=True, slots=True)
class RotateNames:
    """The worker's half."""

    runner: JobRunner
    renditions: ObjectStore
    names: ObjectNames
    purge: EdgePurge

    def run(self, job_id: str, *, redelivered: bool) -> str:
        """Do the job; return how it ended (see JobRunner.run), or ``rotated``, ``deleted``."""
        return self.runner.run(job_id, kinds.ROTATE_NAMES, self._attempt, redelivered=redelivered)

    def _attempt(self, lease: Lease) -> str:
        rows, generation = self._plan(lease)
        copied = [(row, self._copied(row, generation, lease.image_id)) for row in rows]
        ending = self._switch(lease, [(old, new) for old, new in copied if new is not None])
        self._clear(lease)
        return ending

    def _plan(self, lease: Lease) -> tuple[list[RenditionRow], int]:
        """Return the renditions to name anew, and the generation to name them in."""
        with self.runner.catalogue.transaction() as tx:
            image = tx.images.get(lease.image_id)
            profile = tx.profiles.get(image.profile_id) if image else None
            if image is None or profile is None or image.state != images.READY:
                return [], 0
            revoked = {name for name, _ in tx.revocations.of_image(lease.image_id)}
            rows = [row for row in tx.images.renditions(lease.image_id) if row.name in revoked]
            fresh = [self._named(row, profile.generation, lease.image_id) for row in rows]
            tx.jobs.plan(lease, [rendition_key(row.name, row.format) for row in fresh])
        return rows, profile.generation

    def _named(self, row: RenditionRow, generation: int, image_id: ImageId) -> RenditionRow:
        name = self.names.rendition(image_id, row.tier, generation, row.recipe, row.variant)
        return replace(row, name=name, generation=generation)

    def _copied(self, row: RenditionRow, generation: int, image_id: ImageId) -> RenditionRow | None:
        """Copy one object to its new name; None where there is no such object: it will not be shown."""
        fresh = self._named(row, generation, image_id)
        try:
            stored = self.renditions.get(rendition_key(row.name, row.format), max_bytes=MAX_RENDITION_BYTES)
        except ObjectMissing:
            logs.get("rotate_names").error("rendition.missing", tier=row.tier)
            return None
        copy = rendition_key(fresh.name, fresh.format), stored.data, rendition_type(row.format)
        sha256 = hashlib.sha256(stored.data).hexdigest()
        put = put_bytes(self.renditions, *copy)
        if put is PutResult.EXISTS and self.renditions.head(copy[0]).sha256 != sha256:
            # Nobody is shown this name yet, and the row that will have it tells of these bytes.
            logs.get("rotate_names").warning("rendition.differs", tier=row.tier)
            replace_bytes(self.renditions, *copy)
        return fresh

    def _switch(self, lease: Lease, copied: Sequence[tuple[RenditionRow, RenditionRow]]) -> str:
        """Let decisions show the new names, unless the image was deleted meanwhile.

        Nobody was given them yet, so what was revoked again meanwhile needs no others.
        """
        with self.runner.catalogue.transaction() as tx:
            image = tx.images.get(lease.image_id)
            profile = tx.profiles.get(image.profile_id, lock=True) if image else None
            image = tx.images.get(lease.image_id, lock=True)
            if image is None or profile is None or image.state != images.READY:
                for _, fresh in copied:  # its erasure finds the copies too: they were planned
                    self.renditions.delete(rendition_key(fresh.name, fresh.format))
                return "deleted"
            for old, fresh in copied:
                tx.images.rename(old.name, fresh.name, fresh.generation)
        return "rotated"

    def _clear(self, lease: Lease) -> None:
        """Delete the objects under names that do not count any more, at the edge too; then the job is done."""
        with self.runner.catalogue.reading() as tx:
            current = {row.name for row in tx.images.renditions(lease.image_id)}
            image = tx.images.get(lease.image_id)
            shown = image is not None and image.state == images.READY
            held = image is not None and image.state == images.HELD  # the vault has yet to take them
            every = [] if held else tx.revocations.of_image(lease.image_id)
            old = [entry for entry in every if not (shown and entry[0] in current)]
            kept = {manifest_key(name) for name in tx.images.manifests(lease.image_id)}
            # Manifests of renditions that others took the place of (pictures.rerender).
            planned = [] if held else tx.jobs.planned(lease)
            kept |= tx.jobs.planned_elsewhere(lease)
            manifests = [key for key in planned if is_manifest_key(key) and key not in kept]
        keys = [rendition_key(name, format_) for name, format_ in old]
        for key in (*keys, *manifests):
            self.renditions.delete(key)
        self.purge.forget(keys)
        with self.runner.catalogue.transaction() as tx:
            tx.jobs.finish(lease, self.runner.clock())
            tx.revocations.drop(lease.image_id, [name for name, _ in old])
