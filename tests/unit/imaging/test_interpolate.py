"""The last step to the frame: as true as the filter that it replaces, and of the same size."""

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from nightlight.imaging.decoded_frame import decode_frame, make_frame
from nightlight.imaging.decoders.shrink import unshrunk_size
from nightlight.imaging.decoders.strips import FILTER
from nightlight.imaging.pixels import shared_pixels
from nightlight.imaging.probe import UploadCaps, probe
from tests.support import pictures


@pytest.fixture(scope="module")
def photograph():
    return Image.open(Path(find_spec("skimage").origin).parent / "data" / "astronaut.png").convert("RGB")


def jpeg(image, **more):
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=95, **more)
    return buffer.getvalue()


def frame(data, edge, make=make_frame):
    return make(BytesIO(data), probe(data, UploadCaps(), edge=edge), edge=edge)


# From 512 pixels: factors of 1.04, 1.19, 1.33, 1.47 (interpolated), 1.6 and 1.95 (by the filter).
@pytest.mark.parametrize("edge", [492, 430, 384, 348, 320, 262])
def test_a_shownis_about_as_near_to_lanczos_as_with_the_filter_alone(photograph, edge):
    data = jpeg(photograph)
    decoded, shown = Image.open(BytesIO(data)), frame(data, edge)
    true = decoded.resize((edge, edge), Image.Resampling.LANCZOS)
    assert shown.size == (edge, edge)
    assert (unshrunk_size(probe(data, UploadCaps(), edge=edge), edge) is not None) == (512 / edge <= 1.5)
    assert pictures.psnr(shown, true) > pictures.psnr(decoded.resize((edge, edge), FILTER), true) - 1.3


def test_a_turned_picture_is_interpolated_as_if_it_were_upright(photograph):
    upright = photograph.crop((0, 0, 512, 400))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = frame(jpeg(upright.transpose(Image.Transpose.ROTATE_90), exif=exif), 300)
    assert turned.size == (384, 300)
    assert pictures.psnr(turned, frame(jpeg(upright), 300)) > 34


def test_what_has_a_profile_is_shrunk_before_its_colours_are_converted(photograph):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = jpeg(photograph, icc_profile=profile)
    assert frame(data, 400, decode_frame).size == frame(data, 400).size == (400, 400)
    assert frame(jpeg(photograph), 400, decode_frame).size == (512, 512)


@pytest.mark.parametrize(("size", "edge"), [((512, 200), 150), ((512, 512), 512), ((300, 512), 512), ((512, 512), 600)])
def test_long_pictures_and_small_ones_are_not_handed_over_larger(photograph, size, edge):
    data = jpeg(photograph.resize(size))
    assert unshrunk_size(probe(data, UploadCaps(), edge=edge), edge) is None
    assert frame(data, edge).size == frame(data, edge, decode_frame).size


def test_what_is_written_into_shared_pixels_is_in_the_picture():
    image = Image.new("RGB", (30, 20), (1, 2, 3))
    with shared_pixels(image) as pixels:
        assert pixels.shape == (20, 30, 4)
        assert (pixels[:, :, :3] == (1, 2, 3)).all()
        pixels[5, 7, :3] = (9, 8, 7)
    assert image.getpixel((7, 5)) == (9, 8, 7)
    assert np.asarray(image).shape == (20, 30, 3)
    for other in (image.convert("L"), Image.new("RGB", (2600, 2000))):  # too large for one piece of memory
        with pytest.raises(ValueError, match=r"L|contiguous"), shared_pixels(other):
            pass
