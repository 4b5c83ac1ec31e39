"""A reviewer's picture has few pixels of detail: across a face, and across the whole."""

import io

import numpy as np
import pytest
from PIL import Image

from nightlight.imaging.face import Face, FaceSearch
from nightlight.imaging.review_picture import CANVAS, FACE_PX, LONGEST, MOST_PX, detail, review_picture, shrunk


def seen(width):
    """A search that surely found one face, so many pixels wide."""
    return FaceSearch(faces=(Face(0.0, 0.0, float(width), float(width), 0.99),), least_share=0.0)


@pytest.mark.parametrize(
    ("search", "pixels"),
    [
        (FaceSearch(no_face=True), MOST_PX),
        (FaceSearch(), FACE_PX),  # nothing is known: all of it counts as a face
        (seen(500), int(FACE_PX * 1000 / seen(500).faces[0].span)),
        (seen(20), MOST_PX),
    ],
    ids=["surely none", "unknown", "half of it", "tiny"],
)
def test_the_widest_face_bounds_the_detail_and_so_does_the_whole(search, pixels):
    assert detail(search, 1000) == pixels


@pytest.mark.parametrize("size", [(900, 300), (300, 900), (1, 1)])
def test_the_whole_picture_is_shown_on_a_square(size):
    picture = Image.open(io.BytesIO(review_picture(Image.new("RGB", size, (200, 0, 0)), FaceSearch(no_face=True))))
    assert (picture.format, picture.size) == ("WEBP", (CANVAS, CANVAS))
    red = np.asarray(picture)[..., 0].astype(int) - np.asarray(picture)[..., 1]
    share = (red > 90).mean()
    assert share == pytest.approx(min(size) / max(size), abs=0.06)


def test_a_long_picture_is_shrunk_before_its_square_is_made():
    assert shrunk(Image.new("RGB", (10, 60_000))).size == (1, LONGEST)
    assert shrunk(Image.new("RGB", (512, 700))).size == (512, 700)
