import hashlib

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from nightlight.policy.validate_tiers import LEAST_WATERMARKED_EDGE
from nightlight.watermark.embed import LEAST_SIDE, embed
from nightlight.watermark.layout import BANDS, CELLS, build_layout
from nightlight.watermark.payload import Payload
from nightlight.watermark.read_back import agreement
from tests.support.pictures import portrait

KEY = bytes(range(32))
PAYLOAD = Payload(0x0123456789ABCD, 1)


@pytest.mark.parametrize("side", [64, 96, 100, 137, 160, 161, 255, 256, 320])
def test_the_mark_costs_no_more_than_it_may_and_reads_back(side):
    pixels = portrait(side)
    marked = embed(pixels, PAYLOAD, build_layout(KEY))
    assert peak_signal_noise_ratio(pixels, marked.pixels) == pytest.approx(marked.psnr)
    assert marked.psnr >= 40
    similar = structural_similarity(pixels, marked.pixels, channel_axis=2, data_range=255)
    assert similar == pytest.approx(marked.ssim, abs=5e-4)
    assert similar >= 0.97
    assert marked.payload == (PAYLOAD if side >= 160 else PAYLOAD.shortened())
    assert agreement(marked.pixels, marked.payload, build_layout(KEY)) > 0.8
    assert agreement(marked.pixels, marked.payload, build_layout(bytes(32))) == 0
    assert agreement(pixels, marked.payload, build_layout(KEY)) == 0


def test_a_large_rendition_is_marked_within_its_ceiling():
    pixels = portrait(1024)
    for ceiling in (40, 44):
        marked = embed(pixels, PAYLOAD, build_layout(KEY), psnr=ceiling)
        assert ceiling <= peak_signal_noise_ratio(pixels, marked.pixels) < ceiling + 1
        assert agreement(marked.pixels, PAYLOAD, build_layout(KEY)) > 0.8


def test_the_same_picture_and_payload_give_the_same_pixels_and_another_payload_others():
    pixels = portrait(160)
    first, again = (embed(pixels, PAYLOAD, build_layout(KEY)).pixels for _ in range(2))
    assert np.array_equal(first, again)
    other = embed(pixels, Payload(PAYLOAD.rendition, 0), build_layout(KEY)).pixels
    assert not np.array_equal(first, other)


def test_pixels_that_are_not_square_or_too_few_are_refused():
    for shape in ((100, 101, 3), (160, 160), (160, 160, 4)):
        with pytest.raises(ValueError, match="square RGB"):
            embed(np.zeros(shape, np.uint8), PAYLOAD, build_layout(KEY))
    with pytest.raises(ValueError, match="64 pixels"):
        embed(np.zeros((63, 63, 3), np.uint8), PAYLOAD, build_layout(KEY))
    assert LEAST_WATERMARKED_EDGE == LEAST_SIDE


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_blank_picture_can_be_marked_or_not_but_breaks_nothing(grey):
    blank = np.full((160, 160, 3), grey, np.uint8)
    marked = embed(blank, PAYLOAD, build_layout(KEY))
    assert marked.psnr >= 40
    assert marked.ssim is None or marked.ssim >= 0.97 or np.array_equal(marked.pixels, blank)


def test_a_keys_layout_never_changes_since_marked_pictures_outlive_releases():
    marks = build_layout(KEY)
    drawn = hashlib.sha256()
    for part in (marks.waves, marks.signs, marks.cell, marks.band, marks.dither, marks.bit, marks.short_bit):
        drawn.update(np.ascontiguousarray(part).astype("<f8").tobytes())
    assert drawn.hexdigest()[:16] == "d88fb2bd955d127d"
    assert marks.pilot.shape == (160, 160)
    assert set(marks.band) == set(range(BANDS))
    assert set(marks.cell) == set(range(CELLS * CELLS))
    # Every coded bit is carried at least once by the coarse bands, and about as often as any other.
    carried = np.bincount(marks.bit[marks.band < 4])
    assert carried.min() >= 1
    assert carried.max() - carried.min() <= 1
    assert not np.array_equal(marks.dither, build_layout(bytes(32)).dither)
