"""Renditions of tiers that ask for provenance: signed before they are published, or not published."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from PIL import Image

from nightlight.catalogue import images
from nightlight.catalogue.profiles import Declaration
from nightlight.delivery.object_names import EXTENSIONS, manifest_key, object_key
from nightlight.matching.pdq import LEAST_QUALITY
from nightlight.provenance.certificates import SigningAlgorithm, create_development_chain
from nightlight.provenance.manifest import HASH_ALGORITHM, WATERMARK_ALGORITHM, manifest_label, watermark_from_binding
from nightlight.provenance.signing import ManifestSigner, SigningCredential
from nightlight.provenance.verify import ManifestState, verify_manifest
from nightlight_core.errors import CertificateExpired, LeaseLost
from tests.integration.flows.conftest import profile_id  # noqa: F401 - a fixture
from tests.integration.flows.conftest import services as flow_services  # noqa: F401 - a fixture
from tests.support import pictures

pytestmark = pytest.mark.integration
OWN_WATERMARKS = True
ASKED = {"tiny": "sidecar", "low": "sidecar", "medium": "embedded", "full": "embedded"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    keys_folder = tmp_path_factory.mktemp("c2pa")
    create_development_chain(keys_folder, SigningAlgorithm.ED25519, datetime.now(UTC))
    return keys_folder


@pytest.fixture
def services(flow_services, folder):  # noqa: F811
    flow_services.recipes = tuple(replace(recipe, provenance=ASKED[recipe.tier]) for recipe in flow_services.recipes)
    credential = SigningCredential.read(folder / "chain.pem", folder / "leaf.key.pem", folder / "root.pem")
    flow_services.signing = ManifestSigner(credential, lambda: datetime.now(UTC))
    object.__setattr__(flow_services.render, "signing", flow_services.signing)
    return flow_services


def stored(services, row):
    return services.renditions.store.get(object_key(row.name, EXTENSIONS[row.format]), max_bytes=4_000_000).data


def rows_of(services, image_id):
    with services.catalogue.reading() as tx:
        return tx.images.renditions(image_id)


def test_every_rendition_has_its_manifest_in_the_form_of_its_tier(services, profile_id, folder):  # noqa: F811
    root = (folder / "root.pem").read_text()
    image = services.upload(profile_id, pictures.photograph("astronaut.png"))
    assert services.deliver() == ["ready"]
    rows = rows_of(services, image.image_id)
    assert {row.tier for row in rows} == set(ASKED)
    for row in rows:
        data = stored(services, row)
        manifest = services.renditions.store.get(manifest_key(row.manifest), max_bytes=100_000).data
        inside = verify_manifest(data, "image/webp", anchors=root)
        beside = verify_manifest(data, "image/webp", anchors=root, manifest=manifest)
        assert inside.state is (ManifestState.TRUSTED if ASKED[row.tier] == "embedded" else ManifestState.NONE)
        assert beside.state is ManifestState.TRUSTED
        # The softest picture's watermark is read back nearly always, and its hash has about the least quality.
        bound = beside.bindings.get(WATERMARK_ALGORITHM)
        assert (bound is not None) == (row.watermark_agreement is not None)
        assert bound is None or watermark_from_binding(bound) == row.watermark
        assert (HASH_ALGORITHM in beside.bindings) == (pictures.own_hash(data)[1] >= LEAST_QUALITY)
        assert row.tier == "tiny" or beside.bindings.keys() == {WATERMARK_ALGORITHM, HASH_ALGORITHM}
        assert Image.open(io.BytesIO(data)).size == (row.width, row.height)
        assert len(manifest) < 5_000
    before = set(services.objects())
    services.delete.image(image.image_id, actor="t")
    assert services.deliver() == ["erased"]
    assert not [key for key in before & set(services.objects()) if key.startswith("p/")]


def test_two_images_of_the_same_bytes_have_manifests_of_their_own(services, profile_id):  # noqa: F811
    """Where no mark tells them apart: a picture that everybody uploads. One is erased, and the other keeps its own."""
    services.recipes = tuple(
        replace(recipe, invisible_watermark="none", provenance="sidecar") for recipe in services.recipes
    )
    other = f"{profile_id}-other"
    services.declare.declare(other, Declaration("adult", "verified", "eu", "everyone"), follow_band=False, actor="t")
    first, second = (services.upload(name).image_id for name in (profile_id, other))
    assert services.deliver() == ["ready", "ready"]
    shared = [{row.sha256 for row in rows_of(services, image_id)} for image_id in (first, second)]
    assert shared[0] == shared[1]
    services.delete.image(first, actor="t")
    assert services.deliver() == ["erased"]
    for row in rows_of(services, second):
        manifest = services.renditions.store.get(manifest_key(row.manifest), max_bytes=100_000).data
        assert manifest_label(manifest) == row.manifest_id


def test_nothing_is_published_unsigned(services, profile_id):  # noqa: F811
    def expired(*_, **__):
        raise CertificateExpired("yesterday")

    image = services.upload(profile_id)
    object.__setattr__(services.render, "signing", SimpleNamespace(sign=expired))
    assert services.deliver() == ["later"]
    assert services.state(image.image_id) == images.PENDING
    assert rows_of(services, image.image_id) == []
    object.__setattr__(services.render, "signing", None)  # no credential at all
    services.clock.forward(hours=1)
    services.reconciler.run_once()
    assert services.deliver() == ["later"]
    assert not [key for key in services.objects() if key.startswith("a/")]
    object.__setattr__(services.render, "signing", services.signing)
    services.clock.forward(hours=1)
    services.reconciler.run_once()
    assert services.deliver() == ["ready"]
    assert all(row.manifest for row in rows_of(services, image.image_id))


def test_a_worker_killed_between_manifest_and_picture_leaves_a_pair_that_belongs_together(services, profile_id, folder):  # noqa: F811
    root = (folder / "root.pem").read_text()
    image = services.upload(profile_id)
    services.relay.run_once()
    ((_, job_id),) = services.sent
    services.sent.clear()
    real = services.renditions.store.put
    ending, step = "lost", 0
    while ending == "lost":
        step += 1
        calls = iter(range(1000))

        def put(*arguments, calls=calls, step=step, **named):
            if next(calls) == step:
                raise LeaseLost("killed")
            return real(*arguments, **named)

        services.renditions.store.put = put
        services.limits.__dict__["max_attempts"] = 1000
        ending = services.render.run(job_id, redelivered=True)
    services.renditions.store.put = real
    assert ending == "ready"
    assert step >= 8  # a manifest and a picture for each of four tiers
    for row in rows_of(services, image.image_id):
        data = stored(services, row)
        manifest = services.renditions.store.get(manifest_key(row.manifest), max_bytes=100_000).data
        assert verify_manifest(data, "image/webp", anchors=root, manifest=manifest).state is ManifestState.TRUSTED
    # What attempts that were killed had signed and nobody shows is known too, and goes with the image.
    services.delete.image(image.image_id, actor="t")
    services.deliver()
    assert not [key for key in services.objects() if key.startswith(("p/", "a/"))]
