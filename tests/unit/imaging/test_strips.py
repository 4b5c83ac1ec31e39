"""Pictures that are made smaller strip by strip are those that Pillow makes of the whole, give or take a rounding."""

import numpy as np
import pytest
from PIL import Image

from nightlight.imaging import crop, normalise
from nightlight.imaging.crop import Region
from nightlight.imaging.decoders import strips
from nightlight.imaging.decoders.strips import FILTER, GAP, StripResizer
from tests.support import odd, pictures


def whole(image, box, edge):
    return normalise.to_continuous(image).resize(crop.fitted_size(box, edge), FILTER, box=box, reducing_gap=GAP)


def by_strips(image, box, edge):
    resizer = StripResizer(image.size, box, edge)
    for top, bottom in resizer.strips(4 * image.width):
        resizer.add(image.crop((0, top, image.width, bottom)))
    return resizer.finish()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(600, 450), (451, 1203), (90, 40), (1, 7)])
@pytest.mark.parametrize("region", [None, Region(30, 20, 311, 207), Region(0, 0, 5_000, 5_000)])
@pytest.mark.parametrize("edge", [30, 64, 150, 400])
def test_strips_make_the_same_picture(monkeypatch, mode, size, region, edge):
    monkeypatch.setattr(strips, "STRIP_BYTES", 20_000)
    image = pictures.gradient(*size).convert(mode)
    box = crop.frame_window(size, crop.UPRIGHT, region)
    resized, expected = (np.asarray(way(image, box, edge)).astype(int) for way in (by_strips, whole))
    assert abs(resized - expected).max() <= 1


@pytest.mark.parametrize("edge", [30, 150, 400])
def test_colours_are_averaged_as_far_as_they_are_opaque(monkeypatch, edge):
    monkeypatch.setattr(strips, "STRIP_BYTES", 20_000)
    image = odd.flat(600, 450, (200, 30, 10)).convert("RGBA")
    image.paste((0, 255, 0, 0), (100, 100, 333, 301))
    box = (0.0, 0.0, 600.0, 450.0)
    resized, expected = (np.asarray(way(image, box, edge)).astype(int) for way in (by_strips, whole))
    assert abs(resized[..., 3] - expected[..., 3]).max() <= 12
    assert abs(resized[resized[..., 3] > 40][:, :3] - (200, 30, 10)).max() <= 3


@pytest.mark.parametrize("bits", [8, 16])
def test_a_png_larger_than_a_strip_is_decoded_as_by_pillow(monkeypatch, bits):
    image = pictures.gradient(500, 400)
    data = pictures.png(image, bits=bits)
    monkeypatch.setattr(strips, "STRIP_BYTES", 30_000)
    monkeypatch.setattr("nightlight.imaging.decode_memory.MOST_AT_ONCE", 0)
    for region in (None, Region(120, 200, 90, 80)):
        box = crop.frame_window(image.size, crop.UPRIGHT, region)
        resized, _ = odd.opened(data).load(box, edge=70)
        shown, expected = (np.asarray(way).astype(int) for way in (resized, whole(image, box, 70)))
        assert abs(shown - expected).max() <= 1


def test_every_filter_of_a_png_is_taken_off_across_strips(monkeypatch):
    monkeypatch.setattr(strips, "STRIP_BYTES", 10_000)
    for mode in ("RGB", "RGBA", "L", "LA"):
        image = pictures.gradient(300, 200).convert(mode)
        if "A" in mode:
            image.putalpha(Image.linear_gradient("L").resize(image.size))
        data = pictures.encoded(image, "PNG", optimize=True)
        resized, _ = odd.opened(data).load((0.0, 0.0, 300.0, 200.0), edge=200)
        shown, expected = (np.asarray(way.convert("RGBA").convert("RGBa")).astype(int) for way in (resized, image))
        assert abs(shown - expected).max() <= 1
