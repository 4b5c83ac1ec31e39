from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nightlight.imaging.visible_watermark import STRENGTHS, VisibleWatermark
from nightlight_core.errors import SettingsRefused
from nightlight_core.policy.protection import FIELDS
from nightlight_core.policy.tier import VisibleWatermarkStrength
from tests.support import pictures

DESIGN = VisibleWatermark()
PHOTOGRAPH = pictures.opened(pictures.photograph()).convert("RGB").resize((320, 320))


def logo(*, shape=True):
    image = Image.new("RGBA", (200, 100), (0, 0, 0, 0))
    if shape:
        ImageDraw.Draw(image).rectangle((20, 20, 180, 80), fill=(255, 0, 0, 255))
    return pictures.encoded(image, "PNG")


DESIGNS = {"crescents": DESIGN, "text": VisibleWatermark(text="example.org"), "logo": VisibleWatermark(logo=logo())}


def moved(image, name, strength="clear"):
    """By how much the mark changes each pixel, uint8 (height, width)."""
    marked = np.asarray(DESIGNS[name].draw(image, strength), dtype=int)
    return np.abs(marked - np.asarray(image, dtype=int)).max(axis=2)


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_it_is_seen_on_dark_and_on_light(name, shade):
    plain = Image.new("RGB", (320, 320), (shade,) * 3)
    assert (moved(plain, name) > 16).mean() > 0.005
    assert moved(plain, name).max() < 90


@pytest.mark.parametrize("name", DESIGNS)
def test_it_leaves_the_picture_readable(name):
    assert pictures.psnr(PHOTOGRAPH, DESIGNS[name].draw(PHOTOGRAPH, "clear")) > 16


@pytest.mark.parametrize("name", DESIGNS)
def test_each_strength_is_more_than_the_one_before(name):
    distances = [pictures.psnr(PHOTOGRAPH, DESIGNS[name].draw(PHOTOGRAPH, strength)) for strength in STRENGTHS]
    assert distances == sorted(distances, reverse=True)
    assert len(set(distances)) == len(STRENGTHS)


@pytest.mark.parametrize("shade", [0, 128, 255])
@pytest.mark.parametrize("name", DESIGNS)
def test_soft_has_half_the_contrast_of_faint_and_is_seen(name, shade):
    plain = Image.new("RGB", (96, 96), (shade,) * 3)
    soft, faint = (moved(plain, name, strength).astype(float) for strength in ("soft", "faint"))
    assert soft.max() == pytest.approx(faint.max() / 2, abs=1)
    assert soft.sum() == pytest.approx(faint.sum() / 2, rel=0.1)
    assert (soft >= 3).mean() > 0.01


def test_the_words_of_policies_are_those_of_the_drawing_in_one_order():
    assert ("none", *STRENGTHS) == get_args(VisibleWatermarkStrength) == FIELDS["visible_watermark"].words[::-1]
    assert list(STRENGTHS.values()) == sorted(STRENGTHS.values())


@pytest.mark.parametrize("name", DESIGNS)
def test_no_crop_of_a_third_is_without_it(name):
    changed, third = moved(PHOTOGRAPH, name) > 12, 320 // 3
    for top in range(0, 320 - third, 20):
        for left in range(0, 320 - third, 20):
            assert changed[top : top + third, left : left + third].mean() > 0.01


def test_it_is_stronger_where_there_is_more_to_see():
    flat = Image.new("RGB", (320, 320), (120, 120, 120))
    rough = Image.fromarray(np.random.default_rng(2).integers(60, 180, (320, 320, 3), dtype=np.uint8))
    assert moved(rough, "crescents").mean() > 1.3 * moved(flat, "crescents").mean()


def test_it_is_the_same_for_every_picture_of_a_size_and_leaves_the_picture_alone():
    black = Image.new("RGB", (128, 128))
    assert DESIGN.draw(black, "clear").tobytes() == DESIGN.draw(Image.new("RGB", (128, 128)), "clear").tobytes()
    assert black.getextrema() == ((0, 0),) * 3


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (17, 17), (96, 96), (2048, 2048)])
def test_any_size_is_marked(size):
    assert DESIGN.draw(Image.new("RGB", size), "faint").size == size


def test_a_design_has_a_digest_of_everything_in_it():
    designs = [
        VisibleWatermark(),
        VisibleWatermark(text="a"),
        VisibleWatermark(text="b"),
        VisibleWatermark(logo=logo()),
        VisibleWatermark(text="a", font=b"x"),
    ]
    assert len({design.digest for design in designs}) == 5
    assert not VisibleWatermark().digest


@pytest.mark.parametrize(
    ("match", "text", "files"),
    [
        ("at most 40", "x" * 41, {}),
        ("printable", "a\nb", {}),
        ("exclude each other", "a", {"logo": logo()}),
        ("no PNG", "", {"logo": b"GIF89a"}),
        ("no shape", "", {"logo": logo(shape=False)}),
        ("more than 200,000 bytes", "", {"logo": b"\x89PNG" + bytes(200_001)}),
        ("2048 pixels a side", "", {"logo": pictures.encoded(Image.new("RGBA", (3000, 10)), "PNG")}),
        ("is no font", "a", {"font": b"nothing"}),
        ("no sign for", "\u0e01", {}),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_the_start(tmp_path, match, text, files):
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    paths = [tmp_path / name if name in files else None for name in ("logo", "font")]
    with pytest.raises(SettingsRefused, match=match):
        VisibleWatermark.read(text, *paths)


def test_a_file_that_is_not_there_is_refused_at_the_start(tmp_path):
    with pytest.raises(SettingsRefused, match="No such file"):
        VisibleWatermark.read("", tmp_path / "absent.png", None)
