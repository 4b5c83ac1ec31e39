"""What manifests say is what was done to the rendition and read back from it, and no more."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from nightlight.catalogue import images
from nightlight.catalogue.schema import jobs as jobs_table
from nightlight.delivery.object_names import EXTENSIONS, manifest_key, object_key
from nightlight.imaging.recipe import Recipe
from nightlight.jobs import kinds
from nightlight.matching.pdq import CANONICAL, LEAST_QUALITY, distance, pdq
from nightlight.provenance import signing as signing_module
from nightlight.provenance.certificates import SigningAlgorithm, create_development_chain
from nightlight.provenance.manifest import (
    HASH_ALGORITHM,
    WATERMARK_ALGORITHM,
    ManifestClaims,
    hash_from_binding,
    manifest_definition,
    watermark_from_binding,
)
from nightlight.provenance.signing import ManifestSigner, SigningCredential
from nightlight.provenance.verify import ManifestState, verify_manifest
from nightlight_core.errors import CertificateExpired, SigningFailed
from tests.integration.flows.conftest import profile_id  # noqa: F401 - a fixture
from tests.integration.flows.conftest import services as flow_services  # noqa: F401 - a fixture
from tests.support import pictures
from tests.support.databases import catalogue_on

pytestmark = pytest.mark.integration
OWN_WATERMARKS = True
WATERMARKED, RESIZED, CROPPED = "c2pa.watermarked", "c2pa.resized", "c2pa.cropped"
SOFTENED, EDITED = "c2pa.filtered", "c2pa.edited"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    keys_folder = tmp_path_factory.mktemp("c2pa") / "p"
    create_development_chain(keys_folder, SigningAlgorithm.ED25519, datetime.now(UTC))
    return keys_folder


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """One is enough: what is signed does not depend on the database."""
    with catalogue_on("sqlite", tmp_path_factory.mktemp("catalogue")) as opened:
        yield opened


@pytest.fixture
def services(flow_services, folder):  # noqa: F811
    credential = SigningCredential.read(folder / "chain.pem", folder / "leaf.key.pem", folder / "root.pem")
    flow_services.signing = ManifestSigner(credential, lambda: datetime.now(UTC))
    object.__setattr__(flow_services.render, "signing", flow_services.signing)
    return flow_services


def plain(side, colour=(255, 255, 255)):
    return pictures.encoded(Image.new("RGB", (side, side), colour), "PNG")


def statements(services, folder, image_id):
    """By tier: what is said of a rendition, the row of it, and its bytes."""
    root = (folder / "root.pem").read_text()
    with services.catalogue.reading() as tx:
        rows = tx.images.renditions(image_id)
    by_tier = {}
    for row in rows:
        data = services.renditions.store.get(object_key(row.name, EXTENSIONS[row.format]), max_bytes=4_000_000).data
        manifest = services.renditions.store.get(manifest_key(row.manifest), max_bytes=100_000).data
        manifest_check = verify_manifest(data, f"image/{row.format}", anchors=root, manifest=manifest)
        assert (manifest_check.state, manifest_check.failures) == (ManifestState.TRUSTED, [])
        by_tier[row.tier] = manifest_check, row, data
    return by_tier


def rendered(services, folder, profile_id, recipes, data, crop=None):  # noqa: F811
    services.recipes = tuple(recipes)
    image = services.upload(profile_id, data, crop=crop)
    assert services.deliver() == ["ready"]
    return statements(services, folder, image.image_id)


def marked_of(manifest_check):
    return any("watermark" in action for action in manifest_check.actions)


@pytest.mark.parametrize("provenance", ["sidecar", "embedded"])
@pytest.mark.parametrize("form", ["webp", "jpeg", "avif"])
def test_a_plain_picture_of_a_tier_with_a_visible_watermark_and_no_invisible_one_is_signed(
    services, folder, profile_id, form, provenance  # noqa: F811
):  # fmt: skip
    """A white avatar has no hash worth the name: there is nothing to bind to, and nothing that says there were."""
    tier = Recipe("low", 160, format=form, visible_watermark="clear", provenance=provenance)
    ((manifest_check, _, _),) = rendered(services, folder, profile_id, [tier], plain(400)).values()
    assert manifest_check.bindings == {}
    assert not marked_of(manifest_check)
    assert EDITED in manifest_check.actions  # the visible mark


def test_every_tier_that_can_be_written_is_signed_over_every_kind_of_picture(services, folder, profile_id):  # noqa: F811
    tiers = [
        Recipe(f"t{edge}-{visible}-{invisible}-{provenance}", edge, visible_watermark=visible, invisible_watermark=invisible,
               provenance=provenance)
        for edge in (8, 63, 64)
        for visible in ("none", "strong")
        for invisible in ("none", "best_effort")
        for provenance in ("sidecar", "embedded")
    ]  # fmt: skip
    tiers = sorted(tiers, key=lambda tier: -tier.edge)
    for data in (plain(16), plain(400, (0, 0, 0)), pictures.photograph()):
        for manifest_check, row, _ in rendered(services, folder, profile_id, tiers, data).values():
            assert (
                (WATERMARK_ALGORITHM in manifest_check.bindings)
                == marked_of(manifest_check)
                == (row.watermark_agreement is not None)
            )


@pytest.mark.parametrize("edge", [16, 32, 63])
def test_a_rendition_too_small_for_an_invisible_watermark_names_none(services, folder, profile_id, edge):  # noqa: F811
    tier = Recipe("dot", edge, visible_watermark="none", invisible_watermark="best_effort", provenance="sidecar")
    ((manifest_check, row, _),) = rendered(services, folder, profile_id, [tier], pictures.photograph()).values()
    assert row.watermark_agreement is None
    assert not marked_of(manifest_check)
    assert WATERMARK_ALGORITHM not in manifest_check.bindings


def test_a_plain_picture_whose_mark_does_not_read_back_names_none(services, folder, profile_id):  # noqa: F811
    tier = Recipe("full", 320, invisible_watermark="best_effort", provenance="embedded", quality=20)
    ((manifest_check, row, _),) = rendered(services, folder, profile_id, [tier], plain(400)).values()
    if row.watermark_agreement is None:
        assert not marked_of(manifest_check)
        assert WATERMARK_ALGORITHM not in manifest_check.bindings
    else:
        assert watermark_from_binding(manifest_check.bindings[WATERMARK_ALGORITHM]) == row.watermark


@pytest.mark.parametrize(
    ("size", "crop", "edge", "expected"),
    [
        ((300, 300), None, 320, set()),
        ((320, 320), None, 320, set()),
        ((321, 321), None, 320, {RESIZED}),
        ((300, 200), None, 320, {CROPPED}),
        ((200, 900), None, 320, {CROPPED}),
        ((900, 600), None, 320, {CROPPED, RESIZED}),
        ((300, 300), (0, 0, 300, 300), 320, set()),
        ((300, 300), (10, 0, 200, 200), 320, {CROPPED}),
        ((900, 900), (0, 0, 640, 640), 320, {CROPPED, RESIZED}),
        ((900, 900), (0, 0, 320, 320), 320, {CROPPED}),
        ((900, 300), (0, 0, 900, 300), 320, {CROPPED}),
    ],
)
def test_cropped_and_resized_are_said_where_that_was_done(
    services, folder, profile_id, size, crop, edge, expected  # noqa: F811
):  # fmt: skip
    tier = Recipe("full", edge, invisible_watermark="none", provenance="sidecar")
    data = pictures.encoded(pictures.opened(pictures.photograph()).convert("RGB").resize(size), "PNG")
    ((manifest_check, _, _),) = rendered(services, folder, profile_id, [tier], data, crop).values()
    assert set(manifest_check.actions) == {"c2pa.created", *expected}


def test_a_turned_picture_says_nothing_of_its_file(services, folder, profile_id):  # noqa: F811
    """Which way up a file was stored is in its metadata: no byte of that reaches a rendition."""
    tier = Recipe("full", 320, invisible_watermark="none", provenance="sidecar")
    image = pictures.opened(pictures.photograph()).convert("RGB").resize((300, 300))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = pictures.encoded(image, "JPEG", exif=exif)
    ((manifest_check, _, _),) = rendered(services, folder, profile_id, [tier], turned).values()
    assert manifest_check.actions == ["c2pa.created"]


@pytest.mark.parametrize(("face_px", "expected"), [(None, False), (6, True), (2048, False)])
def test_softening_is_said_where_detail_was_taken(services, folder, profile_id, face_px, expected):  # noqa: F811
    tier = Recipe("low", 160, face_px=face_px, provenance="sidecar")
    ((manifest_check, _, _),) = rendered(services, folder, profile_id, [tier], pictures.photograph()).values()
    assert (SOFTENED in manifest_check.actions) is expected


def test_the_hash_that_is_bound_is_of_the_bytes_that_are_published(services, folder, profile_id, all_recipes):  # noqa: F811
    recipes = [replace(recipe, provenance="sidecar") for recipe in all_recipes]
    bound = 0
    for manifest_check, _, data in rendered(services, folder, profile_id, recipes, pictures.photograph()).values():
        own, quality = pictures.own_hash(data)
        value = manifest_check.bindings.get(HASH_ALGORITHM)
        assert (value is not None) == (quality >= LEAST_QUALITY)  # the softest picture's is about that
        if value is None:
            continue
        bound += 1
        hashed = np.frombuffer(hash_from_binding(value), np.uint8)
        assert distance(own, hashed) == 0
        # By way of RGB, whose values are rounded, a few of 256 bits differ, the more the softer the picture; PDQ takes up
        # to 31 for the same picture.
        grey = (
            pictures.opened(data).convert("L").resize((CANONICAL, CANONICAL), Image.Resampling.BICUBIC, reducing_gap=2)
        )
        assert distance(pdq(np.asarray(grey)).hashes[0], hashed) <= 16
    assert bound >= len(recipes) - 1


def test_no_human_is_said_to_have_edited_what_a_program_made():
    (first, *_) = manifest_definition(ManifestClaims(None, None, visible_watermark=False))["assertions"][0]["data"][
        "actions"
    ]
    assert first["digitalSourceType"].endswith("/algorithmicallyEnhanced")


def reason(services, image_id):
    with services.catalogue.reading() as tx:
        query = jobs_table.select().where(jobs_table.c.image_id == image_id, jobs_table.c.kind == kinds.RENDER.name)
        row = tx.connection.execute(query).one()
    return row.state, row.reason


def again(services):
    services.clock.forward(hours=1)
    services.reconciler.run_once()
    return services.deliver()


def test_a_picture_whose_manifest_never_stands_ends_where_operators_see_it(services, profile_id, monkeypatch):  # noqa: F811
    """The credential signs other pictures: so it is this one, and trying for ever would change nothing."""
    real = signing_module.manifest_definition

    def never_stands(boxes):
        plan = real(boxes)
        if boxes.hash is not None:  # what the check of the credential itself signs has none
            plan["assertions"][0]["data"]["actions"].append({"action": "c2pa.placed"})
        return plan

    monkeypatch.setattr(signing_module, "manifest_definition", never_stands)
    services.recipes = (Recipe("low", 160, visible_watermark="clear", provenance="sidecar"),)
    image = services.upload(profile_id, pictures.photograph())
    assert [services.deliver(), again(services), again(services)] == [["later"], ["later"], ["failed"]]
    assert services.state(image.image_id) == images.FAILED
    assert reason(services, image.image_id) == ("failed", "manifest_refused")
    with services.catalogue.reading() as tx:
        assert tx.images.get(image.image_id).reason == "manifest_refused"
        assert [entry.detail for entry in tx.audit.of_image(image.image_id) if entry.event == "image.failed"] == [
            {"reason": "manifest_refused"}
        ]
    assert not services.shown()


@pytest.mark.parametrize("error", [SigningFailed, CertificateExpired])
def test_while_nothing_at_all_can_be_signed_pictures_wait_and_go_on_after(services, profile_id, error):  # noqa: F811
    def broken(*_, **__):
        raise error("the key is away")

    services.recipes = (Recipe("low", 160, provenance="sidecar"),)
    image = services.upload(profile_id, pictures.photograph())
    object.__setattr__(services.render, "signing", SimpleNamespace(sign=broken))
    endings = [services.deliver(), *(again(services) for _ in range(6))]
    assert endings == [["later"]] * 7
    assert services.state(image.image_id) == images.PENDING
    object.__setattr__(services.render, "signing", services.signing)
    assert again(services) == ["ready"]
