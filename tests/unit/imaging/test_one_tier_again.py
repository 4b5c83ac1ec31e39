"""A tier that is rendered alone: the picture that it is beside the others, and no more work than its own."""

from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from nightlight.imaging.face import FRAME_EDGE, FaceDetector
from nightlight.imaging.invisible_watermark import InvisibleWatermarkWriter
from nightlight.imaging.pipeline import Pipeline
from nightlight.imaging.probe import UploadCaps
from nightlight.imaging.visible_watermark import VisibleWatermark
from tests.support import pictures
from tests.support.in_process import InProcessDecoder


class Counted(InProcessDecoder):
    """Decodes, and notes at which edges."""

    def __init__(self):
        self.edges = []

    def frame(self, data, header, *, edge, **how):
        self.edges.append(edge)
        return super().frame(data, header, edge=edge, **how)


@pytest.fixture(scope="module")
def pipeline():
    writer = InvisibleWatermarkWriter(bytes(range(32)))
    return Pipeline(UploadCaps(), Counted(), FaceDetector(), VisibleWatermark(), writer)


def scene(share):
    """A person who takes up a share of a large picture's side."""
    picture = Image.new("RGB", (1600, 1600), (90, 120, 90))
    side = int(1600 * share)
    person = Image.open(BytesIO(pictures.photograph())).convert("RGB").resize((side, side))
    picture.paste(person, (0, 1600 - side))
    return pictures.encoded(picture, "JPEG", quality=92)


@pytest.mark.parametrize("share", [1.0, 0.7, 0.5, 0.35, 0.25, 0.18])
def test_a_small_tier_alone_has_the_faces_and_the_detail_that_it_has_beside_larger_ones(pipeline, all_recipes, share):
    data = scene(share)
    together = pipeline.render(data, all_recipes)
    for number, recipe in enumerate(all_recipes):
        alone = pipeline.render(data, [recipe])
        (rendition,), beside = alone.renditions, together.renditions[number]
        assert rendition.grid == beside.grid
        assert alone.face_share == pytest.approx(together.face_share, abs=0.01)
        assert pictures.psnr(rendition.picture, beside.picture) > 30


def test_only_what_is_asked_for_is_decoded_for_and_encoded(pipeline, all_recipes, monkeypatch):
    encoded = []
    from nightlight.imaging import pipeline as module

    encode = module.encode
    monkeypatch.setattr(module, "encode", lambda image, **how: encoded.append(image.size) or encode(image, **how))
    data = scene(0.7)
    for recipe in all_recipes:
        pipeline.decoder.edges.clear()
        encoded.clear()
        pipeline.render(data, [replace(recipe, max_bytes=None)])
        assert pipeline.decoder.edges == [max(recipe.edge, FRAME_EDGE)]
        assert set(encoded) == {(recipe.edge, recipe.edge)}
        assert len(encoded) <= 2  # a second time where the watermark did not read back
