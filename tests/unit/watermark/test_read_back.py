"""Reading back: the known codeword is compared, and nothing passes that decoding would refuse."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from nightlight.watermark import error_correction, read_back
from nightlight.watermark.detect import Detector
from nightlight.watermark.embed import embed
from nightlight.watermark.layout import build_layout
from nightlight.watermark.payload import Payload
from nightlight.watermark.read_back import CERTAIN, SAMPLE, agreement, decodes, read_ratios, sampled
from tests.support.pictures import portrait

KEY = bytes(range(32))
LAYOUT = build_layout(KEY)
PLAIN, SAMPLED = (
    next(Payload(n) for n in range(1, 10_000) if sampled(Payload(n)) is wanted) for wanted in (False, True)
)


def encoded(pixels, format_, quality):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_, quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def damaged(pixels):
    """Yield the picture with less and less of its watermark left."""
    yield pixels
    for quality in (80, 50, 30, 15, 5):
        yield encoded(pixels, "WEBP", quality)
        yield encoded(pixels, "JPEG", quality)
    for radius in (1, 2, 3, 5):
        yield np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))
    random = np.random.default_rng(len(pixels))
    for deviation in (10, 25, 50):
        yield np.clip(pixels + random.normal(0, deviation, pixels.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def decodings(monkeypatch):
    """The readings that were decoded in full."""
    decode, calls = error_correction.decode, []

    def counted(soft):
        calls.append(soft)
        return decode(soft)

    monkeypatch.setattr(read_back.error_correction, "decode", counted)
    return calls


@pytest.mark.parametrize("side", [64, 96, 137, 160, 256, 320, 640])
def test_what_agrees_with_the_known_codeword_is_what_decodes_without_knowing_it(side):
    readable = unreadable = 0
    for variant in range(2):
        marked = embed(portrait(side), Payload(PLAIN.rendition, variant), LAYOUT)
        for copy in damaged(marked.pixels):
            score = agreement(copy, marked.payload, LAYOUT)
            decoded = decodes(read_ratios(copy, marked.payload, LAYOUT), marked.payload, LAYOUT)
            assert (score > 0) == decoded
            readable, unreadable = readable + decoded, unreadable + (not decoded)
    assert readable >= 4
    assert unreadable >= 2


def test_a_watermark_that_stands_well_is_not_decoded(decodings):
    marked = embed(portrait(160), PLAIN, LAYOUT)
    assert agreement(marked.pixels, marked.payload, LAYOUT) > CERTAIN
    assert decodings == []


def test_a_sample_is_decoded_however_well_it_stands(decodings):
    marked = embed(portrait(160), SAMPLED, LAYOUT)
    assert agreement(marked.pixels, marked.payload, LAYOUT) > CERTAIN
    assert len(decodings) == 1
    share = np.mean([sampled(Payload(number * 7919, number % 2)) for number in range(20_000)])
    assert share == pytest.approx(1 / SAMPLE, rel=0.25)


def test_a_watermark_that_hardly_stands_is_decoded(decodings):
    marked = embed(portrait(160), PLAIN, LAYOUT)
    scores = [agreement(copy, marked.payload, LAYOUT) for copy in damaged(marked.pixels)]
    assert len(decodings) == sum(score < CERTAIN for score in scores) > 0


def test_neither_another_payload_nor_another_key_nor_a_bare_picture_reads_back():
    pixels = portrait(160)
    marked = embed(pixels, PLAIN, LAYOUT)
    assert agreement(marked.pixels, Payload(PLAIN.rendition, 1), LAYOUT) == 0
    assert agreement(marked.pixels, marked.payload, build_layout(bytes(32))) == 0
    assert agreement(pixels, marked.payload, LAYOUT) == 0


@pytest.mark.parametrize("side", [96, 160, 320, 1024])
def test_what_reads_back_is_what_a_detector_finds(side):
    marked = embed(portrait(side), PLAIN, LAYOUT)
    assert agreement(marked.pixels, marked.payload, LAYOUT) > CERTAIN
    detection = Detector({"m1": KEY}, ()).detect(marked.pixels, quick=True).detection
    assert detection.payload == marked.payload
