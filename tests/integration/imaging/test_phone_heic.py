"""Phones' HEIC: every subsampling and depth, in tiles and in one piece, and the memory that it takes."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from nightlight.imaging.crop import Region
from nightlight.imaging.probe import probe
from nightlight.imaging.sandbox import Sandbox
from nightlight_core.errors import ImageTooLarge
from tests.support import phone_pictures, pictures
from tests.support.phone_frames import CAPS, FADED, SMALL, difference, frame, on_white, smooth

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("chroma", [420, 422, 444])
def test_a_heic_of_every_subsampling(chroma):
    data = pictures.encoded(SMALL, "HEIF", quality=95, chroma=chroma)
    assert probe(data, CAPS).samples == {420: 1.5, 422: 2.0, 444: 3.0}[chroma]
    assert difference(frame(data), SMALL) < 2


def test_a_grey_heic_and_one_with_alpha():
    assert difference(frame(pictures.encoded(SMALL.convert("L"), "HEIF", quality=95)), SMALL.convert("L")) < 2
    assert difference(frame(pictures.encoded(FADED, "HEIF", quality=95)), on_white(FADED)) < 2


def test_a_deep_heic():
    import pillow_heif

    buffer = BytesIO()
    samples = np.asarray(SMALL).astype(np.uint16) * 257
    pillow_heif.encode("RGB;16", SMALL.size, samples.tobytes(), buffer, quality=95)
    assert probe(buffer.getvalue(), CAPS).bits > 8
    assert difference(frame(buffer.getvalue()), SMALL) < 2


@pytest.mark.parametrize("edge", [100, 512])
def test_a_heic_in_tiles_has_no_seams(edge):
    image = pictures.gradient(1024, 512)
    data = phone_pictures.heic_grid(image, tile=128)
    header = probe(data, CAPS, edge=edge)
    assert header.tile == (128, 128)
    assert header.coded == 1024 * 512
    expected = image.resize((edge * 2, edge), Image.Resampling.HAMMING)
    shown = frame(data, edge=edge)
    assert difference(shown, expected) < 2
    region = Region(100, 60, 300, 130)
    assert difference(frame(data, edge=130, region=region), image.crop((100, 60, 360, 190)).resize((260, 130))) < 60


@pytest.mark.slow  # to write it takes half a minute
def test_a_heic_of_48_megapixels_in_tiles_keeps_its_memory():
    data = phone_pictures.heic_grid(smooth(8192, 6144), tile=512, quality=40)
    header = probe(data, CAPS, edge=1024)
    with Sandbox() as sandbox:
        assert sandbox.frame(data, header, edge=1024).size == (1365, 1024)
        assert sandbox.peak_kb < 160_000


@pytest.mark.parametrize(
    "size",
    [
        (4032, 3024),
        pytest.param((6000, 4000), marks=pytest.mark.slow),
    ],
)
def test_a_heic_of_one_piece_passes(size):
    preset = {"enc_params": {"preset": "ultrafast"}}
    data = pictures.encoded(smooth(*size), "HEIF", quality=40, **preset)
    with Sandbox() as sandbox:
        assert min(sandbox.frame(data, probe(data, CAPS, edge=1024), edge=1024).size) == 1024
        assert sandbox.peak_kb < 160_000


def test_48_megapixels_of_one_piece_are_refused_by_their_memory():
    data = phone_pictures.with_ispe(pictures.heic(), 8064, 6048)
    with pytest.raises(ImageTooLarge, match=r"a HEIC of 8064 x 6048 pixels would take \d+ MB of memory"):
        probe(data, CAPS, edge=1024)


def test_other_pictures_of_a_heic_do_not_count():
    """A burst: the primary picture is small, another is larger."""
    import pillow_heif

    heif = pillow_heif.from_pillow(SMALL)
    heif.add_from_pillow(pictures.gradient(2000, 1500))
    buffer = BytesIO()
    heif.save(buffer, primary_index=0, quality=90, enc_params={"preset": "ultrafast"})
    header = probe(buffer.getvalue(), CAPS)
    assert (header.width, header.height, header.coded) == (320, 240, 320 * 240)
    assert difference(frame(buffer.getvalue()), SMALL) < 3


# How AVIF and HEIC are turned and cut.
