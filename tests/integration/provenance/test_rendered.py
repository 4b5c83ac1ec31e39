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
from nightlight.provenance.certificates import SigningAlgorithm, create_development_chain
from nightlight.provenance.manifest import HASH_ALGORITHM, WATERMARK_ALGORITHM, manifest_label, watermark_from_binding
from nightlight.provenance.signing import ManifestSigner, SigningCredential
from nightlight.provenance.verify import ManifestState, verify_manifest
from nightlight_core.errors import CertificateExpired, LeaseLost
from tests.integration.flows.conftest import house as house_  # noqa: F401 - a fixture
from tests.integration.flows.conftest import profile_id  # noqa: F401 - a fixture
from tests.support import pictures

pytestmark = pytest.mark.integration
ASKED = {"tiny": "sidecar", "low": "sidecar", "medium": "embedded", "full": "embedded"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("c2pa")
    create_development_chain(made, SigningAlgorithm.ED25519, datetime.now(UTC))
    return made


@pytest.fixture
def house(house_, folder):  # noqa: F811
    house_.recipes = tuple(replace(one, provenance=ASKED[one.tier]) for one in house_.recipes)
    credential = SigningCredential.read(folder / "chain.pem", folder / "leaf.key.pem", folder / "root.pem")
    house_.signing = ManifestSigner(credential, lambda: datetime.now(UTC))
    object.__setattr__(house_.render, "signing", house_.signing)
    return house_


def stored(house, row):
    return house.renditions.store.get(object_key(row.name, EXTENSIONS[row.format]), max_bytes=4_000_000).data


def rows_of(house, image_id):
    with house.catalogue.reading() as tx:
        return tx.images.renditions(image_id)


def test_every_rendition_has_its_manifest_in_the_form_of_its_tier(house, profile_id, folder):  # noqa: F811
    root = (folder / "root.pem").read_text()
    image = house.upload(profile_id, pictures.photograph("astronaut.png"))
    assert house.deliver() == ["ready"]
    rows = rows_of(house, image.image_id)
    assert {row.tier for row in rows} == set(ASKED)
    for row in rows:
        data = stored(house, row)
        manifest = house.renditions.store.get(manifest_key(row.manifest), max_bytes=100_000).data
        inside = verify_manifest(data, "image/webp", anchors=root)
        beside = verify_manifest(data, "image/webp", anchors=root, manifest=manifest)
        assert inside.state is (ManifestState.TRUSTED if ASKED[row.tier] == "embedded" else ManifestState.NONE)
        assert beside.state is ManifestState.TRUSTED
        assert watermark_from_binding(beside.bindings[WATERMARK_ALGORITHM]) == row.watermark
        assert HASH_ALGORITHM in beside.bindings
        assert Image.open(io.BytesIO(data)).size == (row.width, row.height)
        assert len(manifest) < 5_000
    before = set(house.objects())
    house.delete.image(image.image_id, actor="t")
    assert house.deliver() == ["erased"]
    assert not [key for key in before & set(house.objects()) if key.startswith("p/")]


def test_two_images_of_the_same_bytes_have_manifests_of_their_own(house, profile_id):  # noqa: F811
    """Where no mark tells them apart: a picture that everybody uploads. One is erased, and the other keeps its own."""
    house.recipes = tuple(replace(one, invisible_watermark="none", provenance="sidecar") for one in house.recipes)
    other = f"{profile_id}-other"
    house.declare.declare(other, Declaration("adult", "verified", "eu", "everyone"), follow_band=False, actor="t")
    first, second = (house.upload(name).image_id for name in (profile_id, other))
    assert house.deliver() == ["ready", "ready"]
    shared = [{row.sha256 for row in rows_of(house, one)} for one in (first, second)]
    assert shared[0] == shared[1]
    house.delete.image(first, actor="t")
    assert house.deliver() == ["erased"]
    for row in rows_of(house, second):
        manifest = house.renditions.store.get(manifest_key(row.manifest), max_bytes=100_000).data
        assert manifest_label(manifest) == row.manifest_id


def test_nothing_is_published_unsigned(house, profile_id):  # noqa: F811
    def expired(*_, **__):
        raise CertificateExpired("yesterday")

    image = house.upload(profile_id)
    object.__setattr__(house.render, "signing", SimpleNamespace(sign=expired))
    assert house.deliver() == ["later"]
    assert house.state(image.image_id) == images.PENDING
    assert rows_of(house, image.image_id) == []
    object.__setattr__(house.render, "signing", None)  # no credential at all
    house.clock.forward(hours=1)
    house.reconciler.run_once()
    assert house.deliver() == ["later"]
    assert not [key for key in house.objects() if key.startswith("a/")]
    object.__setattr__(house.render, "signing", house.signing)
    house.clock.forward(hours=1)
    house.reconciler.run_once()
    assert house.deliver() == ["ready"]
    assert all(row.manifest for row in rows_of(house, image.image_id))


def test_a_worker_killed_between_manifest_and_picture_leaves_a_pair_that_belongs_together(house, profile_id, folder):  # noqa: F811
    root = (folder / "root.pem").read_text()
    image = house.upload(profile_id)
    house.relay.run_once()
    ((_, job_id),) = house.sent
    house.sent.clear()
    real = house.renditions.store.put
    ending, step = "lost", 0
    while ending == "lost":
        step += 1
        calls = iter(range(1000))

        def put(*arguments, calls=calls, step=step, **named):
            if next(calls) == step:
                raise LeaseLost("killed")
            return real(*arguments, **named)

        house.renditions.store.put = put
        house.limits.__dict__["max_attempts"] = 1000
        ending = house.render.run(job_id, redelivered=True)
    house.renditions.store.put = real
    assert ending == "ready"
    assert step >= 8  # a manifest and a picture for each of four tiers
    for row in rows_of(house, image.image_id):
        data = stored(house, row)
        manifest = house.renditions.store.get(manifest_key(row.manifest), max_bytes=100_000).data
        assert verify_manifest(data, "image/webp", anchors=root, manifest=manifest).state is ManifestState.TRUSTED
    # What attempts that were killed had signed and nobody shows is known too, and goes with the image.
    house.delete.image(image.image_id, actor="t")
    house.deliver()
    assert not [key for key in house.objects() if key.startswith(("p/", "a/"))]
