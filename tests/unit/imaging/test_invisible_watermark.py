"""The invisible watermark in the pipeline: read back from the bytes, or not published."""

import io

import numpy as np
import pytest
from PIL import Image

from nightlight.imaging.decoded_frame import StageTimes
from nightlight.imaging.face import FaceDetector
from nightlight.imaging.invisible_watermark import LEAST_AGREEMENT, InvisibleWatermarkWriter
from nightlight.imaging.pipeline import Pipeline
from nightlight.imaging.probe import UploadCaps
from nightlight.imaging.recipe import Recipe
from nightlight.imaging.visible_watermark import VisibleWatermark
from nightlight.watermark.detect import Detector
from nightlight.watermark.payload import Payload
from nightlight_core.errors import SettingsRefused
from tests.support import pictures
from tests.support.in_process import InProcessDecoder

KEY = bytes(range(32))
NUMBER = 0x00C0FFEE123456


@pytest.fixture(scope="module")
def pipeline():
    return Pipeline(UploadCaps(), InProcessDecoder(), FaceDetector(), VisibleWatermark(), InvisibleWatermarkWriter(KEY))


def detected(rendition):
    pixels = np.asarray(Image.open(io.BytesIO(rendition.data)).convert("RGB"))
    return Detector({"m1": KEY}, ()).detect(pixels).detection


@pytest.mark.parametrize("format_", ["webp", "jpeg", "avif"])
@pytest.mark.parametrize("edge", [96, 160, 320])
def test_the_published_bytes_say_which_rendition_and_variant_they_are(pipeline, format_, edge):
    recipe = Recipe(tier="t", edge=edge, format=format_, invisible_watermark="required", variants=2)
    renditions = pipeline.render(pictures.photograph(), (recipe,), watermark_ids={"t": NUMBER}).renditions
    assert [rendition.variant for rendition in renditions] == [0, 1]
    for rendition in renditions:
        payload = Payload(NUMBER, rendition.variant)
        assert detected(rendition).payload == (payload if edge >= 160 else payload.shortened())
        assert rendition.agreement >= LEAST_AGREEMENT
    assert renditions[0].sha256 != renditions[1].sha256
    assert pictures.psnr(renditions[0].picture, renditions[1].picture) > 36


def test_the_detail_budget_and_a_byte_budget_leave_room_for_it(pipeline):
    recipe = Recipe(
        tier="t",
        edge=96,
        face_px=5,
        quality=60,
        max_bytes=3000,
        visible_watermark="faint",
        invisible_watermark="required",
    )
    (rendition,) = pipeline.render(pictures.photograph(), (recipe,), watermark_ids={"t": NUMBER}).renditions
    assert len(rendition.data) <= 3000
    assert detected(rendition).payload == Payload(NUMBER).shortened()


@pytest.mark.parametrize("wanted", ["required", "best_effort"])
def test_a_mark_that_does_not_read_back_is_not_published_where_it_is_required(pipeline, wanted):
    recipe = Recipe(tier="t", edge=160, format="jpeg", quality=2, invisible_watermark=wanted)
    rendered = pipeline.render(pictures.photograph(), (recipe,), watermark_ids={"t": NUMBER})
    assert [rendition.agreement for rendition in rendered.renditions] == ([] if wanted == "required" else [None])


def test_a_picture_too_small_for_a_mark_has_none(pipeline):
    recipe = Recipe(tier="t", edge=160, invisible_watermark="best_effort")
    (rendition,) = pipeline.render(pictures.jpeg(60, 60), (recipe,)).renditions
    assert (rendition.width, rendition.agreement) == (60, None)


def test_without_a_key_nothing_is_rendered_that_asks_for_a_mark():
    keyless = Pipeline(UploadCaps(), InProcessDecoder(), FaceDetector(), VisibleWatermark())
    with pytest.raises(SettingsRefused, match="NIGHTLIGHT_INVISIBLE_WATERMARK_KEYS"):
        keyless.render(pictures.jpeg(), (Recipe(tier="t", edge=96, invisible_watermark="best_effort"),))


def test_the_first_try_is_made_again_without_the_limit_on_likeness():
    asked = []

    def encode(image):
        """An encoder that spoils the first picture it is given."""
        asked.append(image)
        return pictures.encoded(image, "JPEG", quality=1 if len(asked) == 1 else 95)

    recipe = Recipe(tier="t", edge=160, invisible_watermark="required")
    picture = Image.fromarray(pictures.portrait(160))
    written = InvisibleWatermarkWriter(KEY).write(picture, recipe, Payload(NUMBER), encode, StageTimes())
    assert len(asked) == 2
    assert written.agreement >= LEAST_AGREEMENT
    assert written.psnr >= 40


def test_a_key_never_prints():
    assert repr(KEY) not in repr(InvisibleWatermarkWriter(KEY))
