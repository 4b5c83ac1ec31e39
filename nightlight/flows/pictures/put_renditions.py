"""A finished rendition on its way into the store: hashed, signed, and put under its name with its manifest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

from nightlight.catalogue.images import RenditionRow
from nightlight.delivery.object_names import (
    MANIFEST_TYPE,
    MAX_RENDITION_BYTES,
    manifest_key,
    manifest_name,
    rendition_key,
)
from nightlight.provenance.manifest import MAX_MANIFEST_BYTES, ManifestClaims, manifest_label
from nightlight.store.interface import PutResult
from nightlight_core.errors import CredentialMissing, StoreUnavailable

if TYPE_CHECKING:
    from nightlight.imaging.recipe import Recipe
    from nightlight.imaging.rendition import Rendition
    from nightlight.provenance.signing import ManifestSigner
    from nightlight.store.interface import ObjectStore
    from nightlight_core.ids import ImageId


@dataclass(frozen=True, slots=True)
class PreparedRendition:
    """A rendition to be put: its row as planned, its hash, what is published of it, and its manifest, if it has one."""

    image_id: ImageId
    rendition: Rendition
    planned: RenditionRow
    hashed: tuple[bytes, int] | None
    data: bytes
    sha256: str
    manifest_name: str | None = None
    manifest: bytes = b""


def planned_row(
    recipe: Recipe, name: str, generation: int, variant: int, *, watermark: int | None, watermark_key: str | None
) -> RenditionRow:
    """Return the row of a rendition that is to be made by ``recipe``: what its bytes will say is still empty."""
    return RenditionRow(
        name=name,
        tier=recipe.tier,
        generation=generation,
        recipe=recipe.digest,
        format=recipe.format,
        bytes=0,
        width=0,
        height=0,
        sha256="",
        face_px=recipe.face_px,
        no_face_px=recipe.no_face_px,
        watermark=watermark,
        variant=variant,
        watermark_key=watermark_key,
    )


def key_of(row: RenditionRow) -> str:
    """Return the key of a rendition's object."""
    return rendition_key(row.name, row.format)


def sign(
    rendition: Rendition, planned: RenditionRow, image_id: ImageId, signing: ManifestSigner | None
) -> PreparedRendition:
    """Hash a rendition, and sign it if its tier asks for that; raises CredentialMissing where nothing can sign."""
    hashed, recipe = _hash(rendition), rendition.recipe
    if recipe.provenance == "none":
        return PreparedRendition(image_id, rendition, planned, hashed, rendition.data, rendition.sha256)
    if signing is None:
        raise CredentialMissing("the policy asks for provenance and NIGHTLIGHT_PROVENANCE_CHAIN is not set")
    claims = _claims(rendition, planned.watermark, hashed[0] if hashed else None)
    signed = signing.sign(rendition.data, recipe.media_type, claims, embed=recipe.provenance == "embedded")
    sha256 = hashlib.sha256(signed.data).hexdigest()
    name = manifest_name(image_id, sha256)
    return PreparedRendition(image_id, rendition, planned, hashed, signed.data, sha256, name, signed.manifest)


def put(store: ObjectStore, signed: PreparedRendition) -> RenditionRow:
    """Write one rendition, its manifest before it; if an earlier attempt wrote it, what it wrote stands."""
    rendition, key = signed.rendition, key_of(signed.planned)
    data, sha256 = signed.data, signed.sha256
    name, label = signed.manifest_name, None
    if name is not None:
        digest = hashlib.sha256(signed.manifest).hexdigest()
        if _put_object(store, manifest_key(name), signed.manifest, digest, MANIFEST_TYPE):
            label = manifest_label(signed.manifest)
    if not _put_object(store, key, data, sha256, rendition.recipe.media_type):
        stored = store.get(key, max_bytes=MAX_RENDITION_BYTES)
        data, sha256, label = stored.data, stored.info.sha256, None
        name = manifest_name(signed.image_id, sha256) if name is not None else None
    elif (kept := store.head(key)).size != len(data) or kept.sha256 != sha256:
        raise StoreUnavailable(f"{key}: the store did not keep what was put")
    if name is not None and label is None:  # put before what it is about, by an earlier attempt
        label = manifest_label(store.get(manifest_key(name), max_bytes=MAX_MANIFEST_BYTES).data)
    return replace(
        signed.planned,
        bytes=len(data),
        width=rendition.width,
        height=rendition.height,
        sha256=sha256 or hashlib.sha256(data).hexdigest(),
        short_watermark=_short(signed.planned.watermark, rendition.width),
        watermark_agreement=None if rendition.agreement is None else round(1000 * rendition.agreement),
        manifest=name,
        manifest_id=label,
    )


def _put_object(store: ObjectStore, key: str, data: bytes, sha256: str, media_type: str) -> bool:
    """Put an object; return whether it was not there."""
    return store.put(key, BytesIO(data), sha256=sha256, content_type=media_type) is PutResult.STORED


def _claims(rendition: Rendition, watermark: int | None, hashed: bytes | None) -> ManifestClaims:
    """Return what a rendition's manifest says: what was done for it, and what was read back from its bytes."""
    return ManifestClaims(
        watermark if rendition.agreement is not None else None,
        hashed,
        visible_watermark=rendition.edits.visible_watermark,
        cropped=rendition.edits.cropped,
        resized=rendition.edits.resized,
        softened=rendition.edits.softened,
    )


def _short(watermark: int | None, side: int) -> int | None:
    """Return the 16 bits that a rendition of ``side`` pixels carries of its watermark; None where it carries all."""
    from nightlight.watermark.embed import LEAST_SIDE, fit_payload
    from nightlight.watermark.payload import Payload

    carried = fit_payload(Payload(watermark), side) if watermark is not None and side >= LEAST_SIDE else None
    return carried.rendition if carried is not None and carried.short else None


def _hash(rendition: Rendition) -> tuple[bytes, int] | None:
    """Return a rendition's perceptual hash and its quality, None where there is too little in it for one.

    Each has its own: the visible watermark and a face budget move it by more than a search would bridge.
    """
    from nightlight.matching.pdq import CANONICAL, LEAST_QUALITY, pdq

    hashed = pdq(rendition.luma(CANONICAL))
    return (bytes(hashed.hashes[0]), hashed.quality) if hashed.quality >= LEAST_QUALITY else None
