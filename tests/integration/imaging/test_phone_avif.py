"""Phones' AVIF: every matrix, range, subsampling and depth, with alpha, and the memory that it takes."""

import shutil
import subprocess

import pytest
from PIL import Image

from nightlight.imaging.decoders import plane_rows as planes
from nightlight.imaging.probe import probe
from nightlight.imaging.sandbox import Sandbox
from tests.support import phone_pictures, pictures
from tests.support.phone_frames import CAPS, FADED, SMALL, difference, frame, on_white, smooth

pytestmark = pytest.mark.integration


CODINGS = [
    ("identity", True, planes.YUV444),  # for 4:4:4 alone
    *(
        (matrix, full_range, format_)
        for matrix in ("bt601", "bt709", "bt2020")
        for full_range in (True, False)
        for format_ in (planes.YUV444, planes.YUV422, planes.YUV420)
    ),
]


@pytest.mark.parametrize(("matrix", "full_range", "format_"), CODINGS)
def test_an_avif_of_every_matrix_range_and_subsampling(matrix, full_range, format_):
    data = phone_pictures.avif(SMALL, matrix=matrix, full_range=full_range, format_=format_)
    assert probe(data, CAPS).samples == {planes.YUV444: 3.0, planes.YUV422: 2.0, planes.YUV420: 1.5}[format_]
    assert difference(frame(data), SMALL) < 2


def test_a_grey_avif():
    data = phone_pictures.avif(SMALL.convert("L"), format_=planes.YUV400)
    assert probe(data, CAPS).colour == "grey"
    assert difference(frame(data), SMALL.convert("L")) < 2


@pytest.mark.parametrize("premultiplied", [False, True])
@pytest.mark.parametrize("edge", [240, 100])
def test_an_avif_with_alpha(premultiplied, edge):
    data = phone_pictures.avif(FADED, format_=planes.YUV444, premultiplied=premultiplied)
    header = probe(data, CAPS)
    assert header.alpha
    assert header.coded == 2 * 320 * 240
    size = (round(320 * edge / 240), edge)
    assert difference(frame(data, edge=edge), on_white(FADED.resize(size, Image.Resampling.HAMMING))) < 2


@pytest.mark.parametrize("chroma", ["400", "420", "422", "444"])
@pytest.mark.parametrize("depth", ["10", "12"])
def test_a_deep_avif(depth, chroma, tmp_path):
    avifenc = shutil.which("avifenc")
    if avifenc is None:
        pytest.skip("no avifenc here (Debian's libavif-bin): what is in Pillow's package writes 8 bits only")
    source, target = tmp_path / "source.png", tmp_path / "deep.avif"
    SMALL.save(source)
    options = ["-d", depth, "-y", chroma, "-s", "10", "--min", "0", "--max", "8"]
    subprocess.run([avifenc, *options, source, target], check=True, capture_output=True)
    header = probe(target.read_bytes(), CAPS)
    assert header.bits == int(depth)
    assert difference(frame(target.read_bytes()), SMALL.convert("L") if chroma == "400" else SMALL) < 2


@pytest.mark.parametrize("size", [(4032, 3024), (6000, 4000)])
def test_an_avif_of_a_phone_passes_and_keeps_its_memory(size):
    data = pictures.encoded(smooth(*size), "AVIF", quality=50, speed=10)
    header = probe(data, CAPS, edge=1024)
    with Sandbox() as sandbox:
        assert min(sandbox.frame(data, header, edge=1024).size) == 1024
        assert sandbox.peak_kb < 160_000
