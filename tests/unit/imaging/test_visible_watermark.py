from io import BytesIO
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nightlight.imaging.tile_layout import LAYOUTS
from nightlight.imaging.visible_watermark import STRENGTHS, VisibleWatermark
from nightlight_core.errors import SettingsRefused
from nightlight_core.policy.protection import FIELDS
from nightlight_core.policy.tier import VisibleWatermarkPattern, VisibleWatermarkStrength
from tests.support import matched_filter, pictures

DESIGN = VisibleWatermark()
PHOTOGRAPH = pictures.opened(pictures.photograph()).convert("RGB").resize((320, 320))


def logo(*, shape=True):
    image = Image.new("RGBA", (200, 100), (0, 0, 0, 0))
    if shape:
        ImageDraw.Draw(image).rectangle((20, 20, 180, 80), fill=(255, 0, 0, 255))
    return pictures.encoded(image, "PNG")


DESIGNS = {"crescents": DESIGN, "text": VisibleWatermark(text="example.org"), "logo": VisibleWatermark(logo=logo())}


def moved(image, name, strength="clear", pattern="tiles"):
    """By how much the mark changes each pixel, uint8 (height, width)."""
    marked = np.asarray(DESIGNS[name].draw(image, strength, pattern), dtype=int)
    return np.abs(marked - np.asarray(image, dtype=int)).max(axis=2)


@pytest.mark.parametrize("pattern", LAYOUTS)
@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_it_is_seen_on_dark_and_on_light(name, shade, pattern):
    side = 640 if pattern == "fine" else 320
    plain = Image.new("RGB", (side, side), (shade,) * 3)
    least = 0.005 if pattern == "tiles" else 0.003
    assert (moved(plain, name, pattern=pattern) > 16).mean() > least
    assert moved(plain, name, pattern=pattern).max() < 90


@pytest.mark.parametrize("pattern", LAYOUTS)
@pytest.mark.parametrize("name", DESIGNS)
def test_it_leaves_the_picture_readable(name, pattern):
    assert pictures.psnr(PHOTOGRAPH, DESIGNS[name].draw(PHOTOGRAPH, "clear", pattern)) > 16


@pytest.mark.parametrize("pattern", LAYOUTS)
@pytest.mark.parametrize("name", DESIGNS)
def test_each_strength_is_more_than_the_one_before(name, pattern):
    drawn = (DESIGNS[name].draw(PHOTOGRAPH, strength, pattern) for strength in STRENGTHS)
    distances = [pictures.psnr(PHOTOGRAPH, picture) for picture in drawn]
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


def test_a_policy_may_name_each_pattern_and_no_other():
    assert get_args(VisibleWatermarkPattern) == tuple(LAYOUTS)


@pytest.mark.parametrize("side", [96, 160, 320, 1000, 1024])
@pytest.mark.parametrize(("pattern", "part"), [("tiles", 3), ("sparse", 3), ("fine", 6)])
@pytest.mark.parametrize("name", DESIGNS)
def test_every_crop_to_a_third_holds_a_whole_tile(name, pattern, part, side):
    layout, crop = LAYOUTS[pattern](DESIGNS[name].tile, side, side), side // part
    near_left, near_top, far_left, far_top = layout.tile.getbbox()
    holds = np.zeros((side - crop + 1,) * 2, dtype=bool)
    for left, top in layout.places:
        columns, rows = (
            slice(max(0, place + far - crop), max(0, place + near + 1))
            for place, near, far in ((left, near_left, far_left), (top, near_top, far_top))
        )
        holds[rows, columns] = True
    assert holds.all()


def test_sparse_tiles_leave_the_middle_of_a_picture_free():
    for name in DESIGNS:
        middle = moved(Image.new("RGB", (320, 320), (90,) * 3), name, "strong", "sparse")[134:186, 156:164]
        assert not middle.any()


def test_sparse_tiles_change_a_fifth_of_what_tiles_side_by_side_do():
    shares = {pattern: (moved(PHOTOGRAPH, "crescents", pattern=pattern) > 4).mean() for pattern in LAYOUTS}
    assert shares["sparse"] < 0.25 * shares["tiles"]


PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")


def as_it_is(image):
    return image


def small_and_compressed(image):
    """Half the size at JPEG quality 60, enlarged again."""
    small = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    data = pictures.encoded(small, "JPEG", quality=60)
    return Image.open(BytesIO(data)).resize(image.size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("copied", [as_it_is, small_and_compressed])
@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("pattern", LAYOUTS)
def test_a_matched_filter_finds_it_in_crops_to_a_third_beside_the_picture_without_it(pattern, strength, copied):
    side, random = 320, np.random.default_rng(5)
    drawn = matched_filter.pattern_of(DESIGN, side, pattern)
    for name in PHOTOGRAPHS:
        plain = pictures.opened(pictures.photograph(name)).convert("RGB").resize((side, side))
        watermarked = copied(DESIGN.draw(plain, strength, pattern))
        change = matched_filter.luma(watermarked) - matched_filter.luma(copied(plain))
        for top, left in random.integers(0, side - side // 3, (2, 2)):
            crop = change[top : top + side // 3, left : left + side // 3]
            assert matched_filter.is_found(crop, drawn, top, left)


@pytest.mark.parametrize(("pattern", "strength"), [("tiles", "faint"), ("fine", "faint"), ("sparse", "clear")])
def test_a_matched_filter_finds_it_in_crops_to_a_third_alone(pattern, strength):
    side, random, is_found = 320, np.random.default_rng(6), []
    drawn = matched_filter.pattern_of(DESIGN, side, pattern)
    for name in PHOTOGRAPHS:
        plain = pictures.opened(pictures.photograph(name)).convert("RGB").resize((side, side))
        seen = matched_filter.luma(small_and_compressed(DESIGN.draw(plain, strength, pattern)))
        for top, left in random.integers(0, side - side // 3, (6, 2)):
            crop = seen[top : top + side // 3, left : left + side // 3]
            is_found.append(matched_filter.is_found(crop, drawn, top, left))
    assert np.mean(is_found) >= 0.8


def test_a_matched_filter_finds_nothing_where_nothing_was_drawn():
    side, random, is_found = 320, np.random.default_rng(7), []
    drawn = matched_filter.pattern_of(DESIGN, side, "sparse")
    for name in PHOTOGRAPHS:
        plain = matched_filter.luma(pictures.opened(pictures.photograph(name)).convert("RGB").resize((side, side)))
        for top, left in random.integers(0, side - side // 3, (6, 2)):
            crop = plain[top : top + side // 3, left : left + side // 3]
            is_found.append(matched_filter.is_found(crop, drawn, top, left))
    assert np.mean(is_found) <= 0.1


def test_it_is_stronger_where_there_is_more_to_see():
    flat = Image.new("RGB", (320, 320), (120, 120, 120))
    rough = Image.fromarray(np.random.default_rng(2).integers(60, 180, (320, 320, 3), dtype=np.uint8))
    assert moved(rough, "crescents").mean() > 1.3 * moved(flat, "crescents").mean()


def test_it_is_the_same_for_every_picture_of_a_size_and_leaves_the_picture_alone():
    black = Image.new("RGB", (128, 128))
    assert DESIGN.draw(black, "clear").tobytes() == DESIGN.draw(Image.new("RGB", (128, 128)), "clear").tobytes()
    assert black.getextrema() == ((0, 0),) * 3


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (17, 17), (96, 96), (200, 90), (2048, 2048)])
@pytest.mark.parametrize("pattern", LAYOUTS)
def test_any_size_is_marked(size, pattern):
    assert DESIGN.draw(Image.new("RGB", size), "faint", pattern).size == size


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
