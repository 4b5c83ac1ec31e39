"""Faces that one pass misses: large ones that are close, turned or changed, beside small clear ones."""

import numpy as np
import pytest
from PIL import Image

from bench.composite_kinds import KINDS, Portrait, compose
from nightlight.imaging import face
from nightlight.imaging.crop import kept_box
from nightlight.imaging.face import FaceDetector, FaceSearch
from nightlight.imaging.face_networks import LARGE_FACE_SIDE, LargeFace
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
def test_a_large_face_is_seen_where_it_is_whichever_way_it_is_turned(portraits, turns):
    """The likeliest cell of a portrait's left half lies there, and so do those of the same picture turned."""
    picture = Image.new("RGB", (480, 240), (120, 130, 140))
    picture.paste(portraits[0].image.resize((240, 240)), (0, 0))
    picture = picture.rotate(90 * turns, expand=True)
    canvas = face.SquareInput(picture, picture, LARGE_FACE_SIDE, 1.0)
    logits, (across, down) = LargeFace().find(canvas.pixels), canvas.middles()
    row, column = np.unravel_index(logits.argmax(), logits.shape)
    turned = [(0.25, 0.5), (0.5, 0.75), (0.75, 0.5), (0.5, 0.25)][turns]
    assert across[row, column] / picture.width == pytest.approx(turned[0], abs=0.2)
    assert down[row, column] / picture.height == pytest.approx(turned[1], abs=0.2)
    assert logits.max() > face.BESIDE[1]


def test_a_large_face_that_is_sure_is_no_face_beside_itself(detector, portraits):
    image = portraits[0].image
    sure = detector.largest(image)
    assert sure.span > face.PAINTED_SHARE * min(image.size)
    assert detector._likely_large(image, image, [sure]) < detector._likely_large(image, image, [])


def test_a_value_that_is_not_finite_is_a_failure(monkeypatch):
    network = LargeFace()
    monkeypatch.setattr(network, "_logits", lambda _: np.full((9, 9), np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match="not finite"):
        network.find(np.zeros((LARGE_FACE_SIDE, LARGE_FACE_SIDE, 3), dtype=np.uint8))


@pytest.mark.parametrize("network", ["_centerface", "_large_face"])
def test_a_network_that_fails_is_not_taken_for_a_picture_without_a_face(network, monkeypatch):
    detector = FaceDetector()

    def fail(*_):
        raise RuntimeError("the network is gone")

    monkeypatch.setattr(getattr(detector, network), "find", fail)
    with pytest.raises(RuntimeError, match="gone"):
        detector.find(Image.new("RGB", (400, 400)))


@pytest.mark.parametrize("name", ["coffee.png", "chelsea.png", "rocket.jpg"])
def test_a_cup_a_cat_and_a_rocket_are_pictures_without_a_face(detector, name):
    image = pictures.opened(pictures.photograph(name)).convert("RGB")
    image.thumbnail((512, 512))
    assert detector.find(image).no_face


@pytest.mark.parametrize("share", [0.14, 0.18, 0.22])
def test_people_who_are_small_in_their_picture_keep_its_detail(detector, portraits, share):
    """Of a picture in which the only face is small, the face alone sets the budget, down to the least share."""
    side = round(portraits[0].width / share)
    picture = Image.new("RGB", (side, side), (96, 110, 124))
    picture.paste(portraits[0].image, ((side - 240) // 2, side - 240))
    search = detector.find(picture)
    assert face.crop_face(search.faces) is not None
    assert face.widest_face_px(search, side) <= 0.3 * side
