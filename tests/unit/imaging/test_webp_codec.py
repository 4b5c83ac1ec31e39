"""libwebp called directly writes what Pillow writes, and reads the luma that every decoder reads."""

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nightlight.imaging import encode, webp_codec
from nightlight.imaging.encode import OPT_OUT
from nightlight.imaging.invisible_watermark import decoded_luma
from nightlight_core.errors import CorruptImage


@pytest.fixture(scope="module")
def photograph():
    return Image.open(Path(find_spec("skimage").origin).parent / "data" / "astronaut.png").convert("RGB")


def by_pillow(image, quality, effort, **more):
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=effort, **more)
    return buffer.getvalue()


@pytest.mark.parametrize("side", [512, 131])
def test_with_four_segments_the_bytes_are_pillows(photograph, side):
    image = photograph.resize((side, side))
    for quality, effort, xmp in ((75, 4, None), (60, 3, OPT_OUT)):
        data = webp_codec.encode_webp(image, quality=quality, effort=effort, segments=4, xmp=xmp)
        assert data == by_pillow(image, quality, effort, **({"xmp": xmp} if xmp else {}))


def test_a_picture_in_several_pieces_of_memory_is_encoded_too():
    image = Image.effect_noise((2600, 1700), 40).convert("RGB")
    assert webp_codec.encode_webp(image, quality=30, effort=0, segments=4, xmp=None) == by_pillow(image, 30, 0)


def test_a_low_effort_takes_one_segment_and_pillow_where_libwebp_cannot_be_called(photograph, monkeypatch):
    given = {"format": "webp", "quality": 80, "effort": 2, "opt_out": True}
    data = encode.encode(photograph, **given)
    assert Image.open(BytesIO(data)).info["xmp"] == OPT_OUT
    monkeypatch.setattr(webp_codec, "_encoder", lambda: None)
    assert encode.encode(photograph, **given) == by_pillow(photograph, 80, 2, xmp=OPT_OUT) != data


@pytest.mark.parametrize(("side", "form"), [(512, "webp"), (97, "webp"), (512, "jpeg")])
def test_the_luma_is_that_of_the_decoded_colours(photograph, side, form):
    data = encode.encode(photograph.resize((side, side)), format=form, quality=80, effort=4)
    colours = np.asarray(Image.open(BytesIO(data)).convert("L"), dtype=np.int16)
    luma = decoded_luma(data, (side, side))
    assert luma.shape == (side, side)
    assert np.abs(luma - colours).mean() < 0.6


def test_without_libwebp_the_luma_is_pillows(photograph, monkeypatch):
    data = encode.encode(photograph, format="webp", quality=80, effort=2)
    monkeypatch.setattr(webp_codec, "libwebp", lambda: None)
    assert (decoded_luma(data, photograph.size) == np.asarray(Image.open(BytesIO(data)).convert("L"))).all()


@pytest.mark.parametrize("size", [(512, 512), (500, 512)])
def test_bytes_that_are_no_such_picture_are_refused(photograph, size):
    data = encode.encode(photograph, format="webp", quality=80, effort=2)
    broken = data[:40] if size == photograph.size else data
    with pytest.raises(CorruptImage):
        decoded_luma(broken, size)
