"""PDQ against what the reference's published binding (pdqhash 0.2.8) gives for the same pixels, and its promises."""

import numpy as np
import pytest
from PIL import Image

from nightlight.matching.pdq import CANONICAL, LEAST_QUALITY, MATCH_WITHIN, distance, pdq, turned
from tests.support import pictures

# Photographs inside scikit-image, brought to 512 pixels a side with Pillow's box filter: the reference's hash (in
# hexadecimal, as hash lists write it) and quality.
REFERENCE = {
    "astronaut.png": ("2d6b1af3a956c529e79ca3d2526fa834d4196c81cedd04de0a26b855fc99b724", 100),
    "coffee.png": ("88629e779a663698f9a338668027727c21a679f61eb6e1f8c79b27e27c0299e0", 100),
    "chelsea.png": ("5fab5331f01da156898e2b7629a5d3438412cdbd23f48942464526317db33ffd", 100),
    "camera.png": ("dc9c9d3b746978f888f40ce6e5c3f70f7266623e8d989cb99f21f2010841e1c7", 100),
    "rocket.jpg": ("8793786c8f9370e4af1bc0e43f1bc0e03f1cc2e33d2482537c8c821b7cecf376", 100),
    "moon.png": ("131645cde366d981e1e371b264d8b25b9e4d13771d8c4f366d946ca57133d0c9", 83),
    "page.png": ("965b26b62693636b1924c4cdcc91d9ac392583697984dc25a3fb9cce4616a6fb", 100),
    "brick.png": ("bed7058ba2005a4b071bb8a4cc6278789fbc02cfcd30d1d73fa71673c67945d2", 100),
}


def canonical(image, filter_=Image.Resampling.BOX):
    return np.asarray(image.convert("RGB").resize((CANONICAL, CANONICAL), filter_))


def photograph(name):
    return pictures.opened(pictures.photograph(name)).convert("RGB")


@pytest.mark.parametrize("name", REFERENCE)
def test_it_is_what_the_reference_gives(name):
    expected, quality = REFERENCE[name]
    result = pdq(canonical(photograph(name)))
    # The mean of a run of pixels may round otherwise with another processor: the reference allows 10 bits.
    assert distance(result.hashes[0], np.frombuffer(bytes.fromhex(expected), np.uint8)) <= 2
    assert abs(result.quality - quality) <= 1


@pytest.mark.parametrize("name", REFERENCE)
def test_luma_will_do(name):
    image = photograph(name).resize((CANONICAL, CANONICAL), Image.Resampling.BOX)
    whole, luma = pdq(np.asarray(image)), pdq(np.asarray(image.convert("L")))
    assert distance(whole.hashes, luma.hashes).max() <= 4
    assert abs(whole.quality - luma.quality) <= 2


TURNS = {
    1: Image.Transpose.ROTATE_90,
    2: Image.Transpose.ROTATE_180,
    3: Image.Transpose.ROTATE_270,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.FLIP_LEFT_RIGHT,
    6: Image.Transpose.TRANSPOSE,
    7: Image.Transpose.TRANSVERSE,
}


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png"])
def test_each_of_the_eight_is_the_hash_of_the_picture_so_turned(name, turn):
    image = photograph(name).resize((CANONICAL, CANONICAL), Image.Resampling.BOX)
    expected = pdq(np.asarray(image)).hashes[turn]
    result = pdq(np.asarray(image.transpose(TURNS[turn]))).hashes[0]
    assert distance(result, expected) <= 22


@pytest.mark.parametrize("name", REFERENCE)
def test_a_hash_alone_is_turned_as_the_picture_would_be(name):
    hashes = pdq(canonical(photograph(name))).hashes
    result = turned(hashes[0].tobytes())
    assert result.shape == hashes.shape
    assert np.diag(distance(result[:, None], hashes[None])).max() <= 18
    assert distance(result[0], hashes[0]) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda image: pictures.opened(pictures.encoded(image, "JPEG", quality=40)),
        lambda image: image.resize((120, 120), Image.Resampling.BICUBIC),
        lambda image: image.point(lambda value: min(255, int(value * 1.15))),
        lambda image: pictures.opened(pictures.encoded(image, "WEBP", quality=40)),
    ],
)
def test_a_re_encoded_resized_or_brighter_copy_matches_and_another_picture_does_not(change):
    image = photograph("astronaut.png")
    own = pdq(canonical(image)).hashes[0]
    assert distance(pdq(canonical(change(image).convert("RGB"))).hashes[0], own) <= MATCH_WITHIN
    assert distance(pdq(canonical(photograph("coffee.png"))).hashes, own).min() > 80


def test_a_picture_with_nothing_in_it_has_no_quality():
    blank = np.full((CANONICAL, CANONICAL, 3), 128, np.uint8)
    assert pdq(blank).quality == 0
    slope = np.asarray(Image.linear_gradient("L").convert("RGB").resize((CANONICAL, CANONICAL)))
    assert pdq(slope).quality < LEAST_QUALITY


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((64, 64, 3), np.uint8),
        np.zeros((CANONICAL, CANONICAL, 1), np.uint8),
        np.zeros((CANONICAL, CANONICAL, 4), np.uint8),
        np.zeros((CANONICAL, CANONICAL, 3), np.float32),
    ],
)
def test_other_shapes_and_types_are_refused(pixels):
    with pytest.raises(ValueError, match="PDQ takes uint8"):
        pdq(pixels)
