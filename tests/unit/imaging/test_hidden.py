"""The hidden mark in the pipeline: read back from the bytes, or not published."""

import io

import numpy as np
import pytest
from PIL import Image

from nightlight.imaging.decoded_frame import Stages, Uncaged
from nightlight.imaging.face import FaceDetector
from nightlight.imaging.invisible_watermark import LEAST_AGREEMENT, HiddenMark
from nightlight.imaging.pipeline import Pipeline
from nightlight.imaging.probe import Caps
from nightlight.imaging.recipe import Recipe
from nightlight.imaging.visible_watermark import Design
from nightlight.watermark.detect import Detector
from nightlight.watermark.payload import Payload
from nightlight_core.errors import SettingsRefused
from tests.support import pictures

KEY = bytes(range(32))
NUMBER = 0x00C0FFEE123456


@pytest.fixture(scope="module")
def pipeline():
    return Pipeline(Caps(), Uncaged(), FaceDetector(), Design(), HiddenMark(KEY))


def detected(rendition):
    pixels = np.asarray(Image.open(io.BytesIO(rendition.data)).convert("RGB"))
    return Detector({"m1": KEY}, ()).detect(pixels).detection


@pytest.mark.parametrize("format_", ["webp", "jpeg", "avif"])
@pytest.mark.parametrize("edge", [96, 160, 320])
def test_the_published_bytes_say_which_rendition_and_variant_they_are(pipeline, format_, edge):
    recipe = Recipe(tier="t", edge=edge, format=format_, hidden_mark="required", variants=2)
    made = pipeline.render(pictures.photograph(), (recipe,), numbers={"t": NUMBER}).renditions
    assert [rendition.variant for rendition in made] == [0, 1]
    for rendition in made:
        said = Payload(NUMBER, rendition.variant)
        assert detected(rendition).payload == (said if edge >= 160 else said.shortened())
        assert rendition.agreement >= LEAST_AGREEMENT
    assert made[0].sha256 != made[1].sha256
    assert pictures.psnr(made[0].picture, made[1].picture) > 36


def test_the_detail_budget_and_a_byte_budget_leave_room_for_it(pipeline):
    recipe = Recipe(
        tier="t", edge=96, face_px=5, quality=60, max_bytes=3000, visible_mark="faint", hidden_mark="required"
    )
    (rendition,) = pipeline.render(pictures.photograph(), (recipe,), numbers={"t": NUMBER}).renditions
    assert len(rendition.data) <= 3000
    assert detected(rendition).payload == Payload(NUMBER).shortened()


@pytest.mark.parametrize("wanted", ["required", "best_effort"])
def test_a_mark_that_does_not_read_back_is_not_published_where_it_is_required(pipeline, wanted):
    recipe = Recipe(tier="t", edge=160, format="jpeg", quality=2, hidden_mark=wanted)
    rendered = pipeline.render(pictures.photograph(), (recipe,), numbers={"t": NUMBER})
    assert [one.agreement for one in rendered.renditions] == ([] if wanted == "required" else [None])


def test_a_picture_too_small_for_a_mark_has_none(pipeline):
    recipe = Recipe(tier="t", edge=160, hidden_mark="best_effort")
    (rendition,) = pipeline.render(pictures.jpeg(60, 60), (recipe,)).renditions
    assert (rendition.width, rendition.agreement) == (60, None)


def test_without_a_key_nothing_is_rendered_that_asks_for_a_mark():
    keyless = Pipeline(Caps(), Uncaged(), FaceDetector(), Design())
    with pytest.raises(SettingsRefused, match="NIGHTLIGHT_HIDDEN_MARK_KEYS"):
        keyless.render(pictures.jpeg(), (Recipe(tier="t", edge=96, hidden_mark="best_effort"),))


def test_the_first_try_is_made_again_without_the_limit_on_likeness():
    asked = []

    def encode(image):
        """An encoder that spoils the first picture it is given."""
        asked.append(image)
        return pictures.encoded(image, "JPEG", quality=1 if len(asked) == 1 else 95)

    recipe = Recipe(tier="t", edge=160, hidden_mark="required")
    picture = Image.fromarray(pictures.portrait(160))
    made = HiddenMark(KEY).mark(picture, recipe, Payload(NUMBER), encode, Stages())
    assert len(asked) == 2
    assert made.agreement >= LEAST_AGREEMENT
    assert made.psnr >= 40


def test_a_key_never_prints():
    assert repr(KEY) not in repr(HiddenMark(KEY))
