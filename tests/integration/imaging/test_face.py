"""The face detector on a real portrait: sizes, turns, several faces, and pictures that have none."""

import numpy as np
import pytest
from PIL import Image

from nightlight.imaging import face
from nightlight.imaging.face import FaceDetector
from tests.support import pictures

pytestmark = pytest.mark.integration

# Where the face is in the portrait, by hand: left, top, right, bottom in its 512 pixels.
FACE = (177, 65, 272, 187)


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


def portrait():
    return pictures.opened(pictures.photograph()).convert("RGB")


def canvas(width, height, seed=0):
    return pictures.gradient(width, height, seed=seed)


def test_the_face_of_a_portrait_is_found_where_it_is(detector):
    box = face.crop_face(detector.find(portrait()).faces)
    assert box.left == pytest.approx(FACE[0], abs=20)
    assert box.top == pytest.approx(FACE[1], abs=25)
    assert 0.95 < box.span / (FACE[2] - FACE[0]) < 1.25


@pytest.mark.parametrize("width", [12, 16, 24, 48, 96])
def test_faces_down_to_a_sixteenth_of_the_frame_are_found(detector, width):
    """The portrait's head and shoulders, so small that the face is ``width`` of the network's 192 pixels."""
    part = portrait().crop((110, 0, 340, 300))
    factor = width * 4 / (FACE[2] - FACE[0])
    small = part.resize((round(part.width * factor), round(part.height * factor)), Image.Resampling.LANCZOS)
    frame = Image.new("RGB", (768, 768), (150, 160, 170))
    frame.paste(small, (200, 100) if width < 96 else (0, 0))
    box = face.crop_face(detector.find(frame).faces)
    assert box is not None
    assert 0.95 < box.span / (width * 4) < 1.6  # too wide protects more


@pytest.mark.parametrize("degrees", [30, 90, 180, 270, 330])
def test_turned_faces_are_found(detector, degrees):
    turned = portrait().rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(150, 160, 170))
    side = min(turned.size)
    box = face.crop_face(detector.find(turned.resize((side, side)) if degrees % 90 else turned).faces)
    assert box is not None


def test_several_faces_are_found_each_once(detector):
    frame = Image.new("RGB", (900, 900), (120, 130, 140))
    part = portrait().crop((110, 0, 340, 300))
    for index in range(9):
        frame.paste(part, (20 + 300 * (index % 3), 300 * (index // 3)))
    sure = [candidate for candidate in detector.find(frame).faces if candidate.confidence >= face.SURE_CONFIDENCE]
    assert len(sure) == 9


@pytest.mark.parametrize("name", ["coffee.png", "chelsea.png", "rocket.jpg", "page.png", "motorcycle_right.png"])
def test_a_picture_without_a_face_is_one_whole_face_to_the_budget(detector, name):
    image = pictures.opened(pictures.photograph(name)).convert("RGB")
    side = min(image.size)
    assert face.widest_face_px(detector.find(image), side) >= side


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (16, 16), (2048, 1024), (64, 33)])
def test_any_shape_of_frame_is_looked_at(detector, size):
    assert isinstance(detector.find(canvas(*size)), face.FaceSearch)


def test_noise_and_flat_ground_are_no_faces(detector):
    for image in (
        Image.new("RGB", (300, 300), (200, 150, 120)),
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (300, 300, 3), dtype=np.uint8)),
    ):
        assert face.crop_face(detector.find(image).faces) is None
