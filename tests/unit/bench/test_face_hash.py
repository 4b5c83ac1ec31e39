"""A BlurHash read back from its text, as an attacker reads it."""

import blurhash as reference
import numpy as np
import pytest
from PIL import Image

from bench.face_hash import SIDE, picture
from nightlight.imaging.blurhash import blurhash


@pytest.mark.parametrize("seed", range(3))
def test_a_hash_is_painted_as_the_reference_paints_it(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    text = blurhash(Image.fromarray(noise).resize((32, 32), Image.Resampling.BICUBIC))
    painted = np.array(reference.decode(text, SIDE, SIDE)).ravel() / 255
    assert picture(text) == pytest.approx(painted, abs=1.5 / 255)
