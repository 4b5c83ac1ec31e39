"""The picture in a screenshot is found where rows of it are plain, and where it is narrower than the screen."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nightlight.imaging.bars import inner_box, inner_boxes
from nightlight.imaging.match_squares import square_luma
from nightlight.matching.pdq import distance, pdq
from tests.support import pictures

WIDTH, HEIGHT = 540, 1170


def photograph(width, plain=0.0):
    """A photograph whose left part is of one soft shade, as behind a person who was asked to stand before a wall."""
    picture = pictures.opened(pictures.photograph("astronaut.png")).convert("RGB").resize((width, width))
    wall = Image.linear_gradient("L").resize((int(width * plain) or 1, width)).point(lambda v: 150 + v // 32)
    if plain:
        picture.paste(wall.convert("RGB"), (0, 0))
    return picture


def screen(picture, shade, top=200):
    shown = Image.new("RGB", (WIDTH, HEIGHT), (shade,) * 3)
    shown.paste(picture, ((WIDTH - picture.width) // 2, top))
    draw = ImageDraw.Draw(shown)
    draw.ellipse((20, 50, 70, 100), fill=(200, 80, 80))
    draw.text((85, 60), "someone_else", (128,) * 3, font_size=22)
    draw.text((20, top + picture.height + 20), "liked by 23 others and more", (128,) * 3, font_size=22)
    return shown


def bits_apart(picture, shown):
    wanted = pdq(square_luma(picture, 512)).hashes[0]
    boxes = inner_boxes(np.asarray(shown.convert("L")))
    return min((int(distance(pdq(square_luma(shown.crop(box), 512)).hashes[0], wanted)) for box in boxes), default=256)


@pytest.mark.parametrize("shade", [18, 255])
@pytest.mark.parametrize(
    ("width", "plain"), [(540, 0), (500, 0), (250, 0), (200, 0), (540, 0.5), (540, 0.65), (250, 0.5)]
)
def test_the_picture_is_found_on_a_screen(width, plain, shade):
    picture = photograph(width, plain)
    assert bits_apart(picture, screen(picture, shade)) <= 31


def test_the_first_guess_alone_does_not_find_a_narrow_picture():
    shown = np.asarray(screen(photograph(200), 18).convert("L"))
    box = inner_box(shown)
    assert box is None or box[2] - box[0] != 200


def test_in_a_photograph_nothing_else_is_seen():
    for name in ("astronaut.png", "coffee.png", "rocket.jpg", "chelsea.png"):
        grey = np.asarray(pictures.opened(pictures.photograph(name)).convert("L"))
        assert len(inner_boxes(grey)) == (inner_box(grey) is not None), name


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (40, 40)])
@pytest.mark.parametrize("shade", [0, 1, 254, 255])
def test_of_a_plain_picture_nothing_is_kept(shape, shade):
    assert inner_boxes(np.full(shape, shade, np.uint8)) == []


def test_noise_on_a_background_is_no_error():
    dice = np.random.default_rng(3)
    for _ in range(50):
        luma = np.full((60, 90), 7, np.uint8)
        luma[dice.random((60, 90)) < dice.random()] = dice.integers(0, 256)
        for left, top, right, bottom in inner_boxes(luma):
            assert 0 <= left < right <= 90
            assert 0 <= top < bottom <= 60
