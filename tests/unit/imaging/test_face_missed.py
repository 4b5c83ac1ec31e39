"""Faces that one pass misses: large ones that are close, turned or changed, beside small clear ones."""

import numpy as np
import pytest
from PIL import Image

from bench.composite_kinds import KINDS, Portrait, compose
from nightlight.imaging import face
from nightlight.imaging.crop import kept_box
from nightlight.imaging.face import FaceDetector, FaceSearch
from tests.support import pictures

# The packaged portraits: the face's middle and width from ear to ear, by hand.
ASTRONAUT = ("astronaut.png", 224, 125, 95)
SQUARE = 512


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


@pytest.fixture(scope="module")
def portraits():
    """The astronaut's head and shoulders, at two sizes: a small crop for small faces too."""
    name, x, y, width = ASTRONAUT
    image = pictures.opened(pictures.photograph(name)).convert("RGB").crop((104, 5, 344, 245))
    return [Portrait(image, x - 104, y - 5, width)]


def detail_px(search, composite, budget=5):
    """The pixels of detail that a budget leaves across what shows of the large face."""
    left, top, right, _ = kept_box(*composite.picture.size, face.crop_face(search.faces))
    side = right - left
    grid = max(1, int(side * budget / face.widest_face_px(search, side)))
    return grid * composite.faces[0].shown_px(left, top, side) / side


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "long picture"])
def test_a_large_face_that_is_easily_missed_keeps_no_more_than_its_budget(detector, portraits, kind):
    """Six composites of each kind; of the same, the first pass alone leaves some in far more detail."""
    for seed in range(6):
        composite = compose(kind, portraits, seed)
        assert detail_px(detector.find(composite.picture), composite) <= 6.25


def test_the_first_pass_alone_would_keep_far_more(detector, portraits):
    missed = 0
    for seed, kind in enumerate(kind for kind in KINDS if kind != "long picture"):
        composite = compose(kind, portraits, seed)
        alone = FaceSearch(detector.find(composite.picture).faces)
        missed += detail_px(alone, composite) > 6.25
    assert missed >= 4


@pytest.mark.parametrize("share", [0.4, 0.6, 0.9])
def test_one_clear_portrait_is_softened_no_more_than_by_the_first_pass(detector, portraits, share):
    """What the other passes see of the same face again is not another face."""
    (portrait,) = portraits
    half = portrait.width / share / 2
    left, top = max(0, portrait.x - half), max(0, portrait.y - half)
    image = portrait.image.crop((round(left), round(top), round(left + 2 * half), round(top + 2 * half)))
    image = image.resize((SQUARE, SQUARE), Image.Resampling.BICUBIC)
    search = detector.find(image)
    assert face.crop_face(search.faces) is not None
    assert not search.no_face
    assert face.widest_face_px(search, SQUARE) <= 1.25 * face.widest_face_px(FaceSearch(search.faces), SQUARE)


def test_flat_ground_has_no_face_and_a_portrait_has_one(detector, portraits):
    assert detector.find(Image.new("RGB", (400, 400), (90, 140, 200))).no_face
    assert not detector.find(portraits[0].image).no_face


@pytest.mark.parametrize("turns", range(4))
def test_boxes_of_a_turned_input_come_back_to_where_they_were(turns):
    """A bright block lies where its box says, whichever way the input was turned."""
    pixels = np.zeros((128, 128), dtype=np.uint8)
    pixels[10:30, 40:90] = 255
    turned = np.rot90(pixels, turns)
    rows, columns = np.nonzero(turned)
    box = np.array([[columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1, 0.9]], dtype=float)
    assert face._turned_back(box, turns, 128)[0, :4].tolist() == [40, 10, 50, 20]


@pytest.mark.parametrize("network", ["_centerface", "_blazeface"])
def test_a_network_that_fails_is_not_taken_for_a_picture_without_a_face(network, monkeypatch):
    detector = FaceDetector()

    def fail(*_):
        raise RuntimeError("the network is gone")

    monkeypatch.setattr(getattr(detector, network), "find", fail)
    with pytest.raises(RuntimeError, match="gone"):
        detector.find(Image.new("RGB", (400, 400)))
