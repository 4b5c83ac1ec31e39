"""A notice with a picture of which hashes find nothing: its watermark leads to our image, and to every copy of that."""

import base64
import io

import pytest
from PIL import Image

from nightlight.catalogue import images
from nightlight.delivery.object_names import rendition_key
from nightlight.flows.takedowns.search import hash_notice
from nightlight.imaging import notice_views
from tests.support import pictures
from tests.support.lists import LISTED, OTHER
from tests.support.takedown_world import TakedownWorld, begin_afresh, jpeg

pytestmark = pytest.mark.integration
OWN_WATERMARKS = True


@pytest.fixture
def world(services, tmp_path, pipeline, monkeypatch):
    ring = f"m1:{base64.b64encode(bytes(range(32))).decode()}"
    monkeypatch.setenv("NIGHTLIGHT_INVISIBLE_WATERMARK_KEYS", ring)
    monkeypatch.setattr(notice_views, "STEP", 0.1)
    begin_afresh(services)
    services.recipes = tuple(recipe for recipe in services.recipes if recipe.edge == 320)
    return TakedownWorld(services, tmp_path, pipeline, monkeypatch)


def leak_of(world, image_id):
    """A quarter of the rendition, as somebody cuts it out: so little of the picture that no hash is near to it."""
    with world.catalogue.reading() as tx:
        ((name, form),) = tx.images.rendition_names(image_id)
    stored = world.services.renditions.get(rendition_key(name, form), max_bytes=10**7)
    shown = Image.open(io.BytesIO(stored.data)).convert("RGB")
    side = shown.width
    return jpeg(shown.crop((side // 8, side // 4, side // 8 + side * 5 // 8, side // 4 + side * 5 // 8)), 90)


def test_a_picture_that_only_its_watermark_knows_leads_to_every_copy_of_the_image(world, profile_id):
    photograph = pictures.opened(pictures.photograph(LISTED)).convert("RGB")
    named = world.upload(f"{profile_id}-a", jpeg(photograph))
    copy = world.upload(f"{profile_id}-b", jpeg(photograph.resize((photograph.width // 2, photograph.height // 2)), 60))
    other = world.upload(f"{profile_id}-c", pictures.photograph(OTHER))
    leak = leak_of(world, named)
    by_hash = world.find.find(hash_notice(*world.rendering.notice_lumas(leak, None)), until=float("inf"))
    assert by_hash.copies == []
    takedown_id = world.notice_on_picture(leak)
    world.work()
    assert world.review.status(takedown_id).takedown.hidden == 2
    states = [world.services.state(image_id) for image_id in (named, copy, other)]
    assert states == [images.QUARANTINED, images.QUARANTINED, images.READY]
    later = world.upload(f"{profile_id}-d", jpeg(photograph, 70))
    assert world.services.state(later) == images.QUARANTINED
