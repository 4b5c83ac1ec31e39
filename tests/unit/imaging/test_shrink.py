"""The frame of a decoded picture: as true as the filter it replaces, and of the same size."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nightlight.imaging.crop import fitted_size
from nightlight.imaging.decoders.shrink import fitted
from nightlight.imaging.decoders.strips import FILTER
from nightlight.imaging.pixels import shared_pixels
from tests.support import pictures


@pytest.fixture(scope="module")
def photograph():
    return Image.open(Path(find_spec("skimage").origin).parent / "data" / "astronaut.png").convert("RGB")


# From 512 pixels: factors of 1.04, 1.19, 1.33, 1.47 (OpenCV), 1.6 and 2.7 (Pillow).
@pytest.mark.parametrize("edge", [492, 430, 384, 348, 320, 190])
def test_the_frame_is_about_as_near_to_lanczos_as_with_the_filter_alone(photograph, edge):
    box = (0, 0, *photograph.size)
    made, true = fitted(photograph, box, edge), photograph.resize((edge, edge), Image.Resampling.LANCZOS)
    assert made.size == (edge, edge)
    by_filter = photograph.resize((edge, edge), FILTER, reducing_gap=2.0)
    assert pictures.psnr(made, true) > pictures.psnr(by_filter, true) - 1.3


@pytest.mark.parametrize("box", [(20, 40, 420, 340), (20.5, 40, 420.5, 340)])
def test_a_part_is_what_a_resize_of_the_cropped_picture_gives(photograph, box):
    made = fitted(photograph, box, 250)
    cropped = photograph.resize(fitted_size(box, 250), Image.Resampling.LANCZOS, box=box)
    assert made.size == cropped.size == (333, 250)
    assert pictures.psnr(made, cropped) > 34


def test_a_picture_too_large_for_one_piece_of_memory_is_resized_by_the_filter():
    large = Image.effect_noise((2600, 2000), 40).convert("RGB")
    assert fitted(large, (0, 0, 2600, 2000), 1800).tobytes() == large.resize((2340, 1800), FILTER).tobytes()
    with pytest.raises(ValueError, match="contiguous"), shared_pixels(large):
        pass


def test_grey_and_transparent_pictures_keep_their_mode(photograph):
    for mode in ("L", "RGBA", "CMYK"):
        assert fitted(photograph.convert(mode), (0, 0, 512, 512), 400).mode == mode


def test_what_is_written_into_shared_pixels_is_in_the_picture():
    image = Image.new("RGB", (30, 20), (1, 2, 3))
    with shared_pixels(image) as pixels:
        assert pixels.shape == (20, 30, 4)
        assert (pixels[:, :, :3] == (1, 2, 3)).all()
        pixels[5, 7, :3] = (9, 8, 7)
    assert image.getpixel((7, 5)) == (9, 8, 7)
    assert np.asarray(image).shape == (20, 30, 3)
    with pytest.raises(ValueError, match="L"), shared_pixels(image.convert("L")):
        pass
