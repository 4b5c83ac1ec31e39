import hashlib
import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from nightlight.watermark.detect import PRESENCE_THRESHOLD, Detector
from nightlight.watermark.embed import embed
from nightlight.watermark.layout import build_layout
from nightlight.watermark.payload import CHANCE, Payload
from tests.support.pictures import opened, photograph, portrait

KEY = bytes(range(32))
PAYLOAD = Payload(0x00DEADBEEF1234, 1)
SIDES = (96, 160, 320)


def encoded(image, format_, quality):
    buffer = io.BytesIO()
    image.save(buffer, format_, quality=quality)
    return Image.open(buffer).convert("RGB")


def lettered(image):
    image = image.copy()
    ImageDraw.Draw(image).text((8, image.height // 2), "LEAKED", fill="white", stroke_width=1, stroke_fill="black")
    return image


def cropped(image, left, top, width, height):
    return image.crop(tuple(round(image.width * part) for part in (left, top, left + width, top + height)))


ATTACKS = {
    "none": lambda i: i,
    "JPEG 50": lambda i: encoded(i, "JPEG", 50),
    "WebP 75": lambda i: encoded(i, "WEBP", 75),
    "AVIF 50": lambda i: encoded(i, "AVIF", 50),
    "half size": lambda i: i.resize((i.width // 2, i.height // 2)),
    "twice the size": lambda i: i.resize((i.width * 2, i.height * 2)),
    "squeezed": lambda i: i.resize((i.width, i.height * 2 // 3)),
    "brighter": lambda i: ImageEnhance.Brightness(i).enhance(1.2),
    "less contrast": lambda i: ImageEnhance.Contrast(i).enhance(0.8),
    "grey": lambda i: i.convert("L").convert("RGB"),
    "blurred": lambda i: i.filter(ImageFilter.GaussianBlur(1)),
    "mirrored": ImageOps.mirror,
    "turned by a quarter": lambda i: i.transpose(Image.Transpose.ROTATE_90),
    "on a page": lambda i: ImageOps.pad(i, (i.width * 2, i.height), color="white"),
    "lettered": lettered,
    "cropped by a tenth": lambda i: cropped(i, 0.03, 0.08, 0.9, 0.9),
    "cropped by a quarter": lambda i: cropped(i, 0.2, 0.1, 0.75, 0.75),
    "cropped to an oblong": lambda i: cropped(i, 0.1, 0.05, 0.85, 0.75),
    "cropped and enlarged": lambda i: cropped(i, 0.05, 0.1, 0.85, 0.85).resize((i.width, i.height), Image.Resampling.BICUBIC),
    "turned by three degrees": lambda i: i.rotate(-3, Image.Resampling.BICUBIC),
    "turned by eight degrees": lambda i: i.rotate(8, Image.Resampling.BICUBIC),
    "screenshot": lambda i: encoded(cropped(i.resize((i.width * 3 // 4,) * 2, Image.Resampling.BICUBIC), 0.03, 0.03, 0.97, 0.97), "JPEG", 80),
    "mirrored screenshot": lambda i: encoded(ImageOps.mirror(cropped(i.resize((i.width * 3 // 4,) * 2), 0.05, 0, 0.95, 0.95)), "JPEG", 80),
}  # fmt: skip


@pytest.fixture(scope="module")
def detector():
    return Detector({"m2": bytes(32), "m1": KEY}, SIDES)


@pytest.mark.parametrize("side", [160, 320])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_changed_copy_is_read(detector, side, attack):
    marked = Image.fromarray(embed(portrait(side), PAYLOAD, build_layout(KEY)).pixels)
    detection = detector.detect(np.asarray(ATTACKS[attack](marked))).detection
    assert detection is not None
    assert (detection.payload, detection.key_id, detection.chance) == (PAYLOAD, "m1", CHANCE)
    assert detection.mirrored == ("mirrored" in attack)


@pytest.mark.parametrize(
    ("number", "side", "cut", "quality"), [(16, 496, 40, 60), (28, 508, 40, 60), (157, 512, 25, 75)]
)
def test_a_crop_of_a_rendition_whose_side_no_tier_names_is_read(number, side, cut, quality):
    """Of uploads smaller than their tier. These keys and payloads are those that the search by scale did not find."""
    key, digest = (hashlib.sha256(b"%s%d" % (what, number)).digest() for what in (b"k", b"p"))
    payload = Payload(int.from_bytes(digest[:7], "big"), 0)
    picture = opened(photograph("astronaut.png")).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    marked = Image.fromarray(embed(np.asarray(picture), payload, build_layout(key)).pixels)
    box = (cut, cut, side - cut, side - cut) if cut == 25 else (cut, cut + 3, side - cut - 2, side - cut)
    copy = encoded(encoded(marked, "WEBP", 80).crop(box), "JPEG", quality)
    result = Detector({"a": key}, (96, 160, 320, 1024)).detect(np.asarray(copy))
    assert result.detection is not None
    assert (result.detection.payload, result.detection.how) == (payload, "cropped")


@pytest.mark.parametrize("attack", ["none", "JPEG 50", "WebP 75", "mirrored", "cropped by a tenth", "brighter"])
def test_a_small_rendition_says_what_fits(detector, attack):
    marked = Image.fromarray(embed(portrait(96), PAYLOAD, build_layout(KEY)).pixels)
    detection = detector.detect(np.asarray(ATTACKS[attack](marked))).detection
    assert detection is not None
    assert detection.payload == PAYLOAD.shortened()


def test_a_crop_too_small_to_read_still_says_that_a_mark_is_there(detector):
    marked = Image.fromarray(embed(portrait(160), PAYLOAD, build_layout(KEY)).pixels)
    result = detector.detect(np.asarray(cropped(marked, 0.27, 0.27, 0.46, 0.46)))
    assert result.detection is None
    assert result.present > PRESENCE_THRESHOLD


def _hostile():
    random = np.random.default_rng(1)
    yield "blank", np.zeros((300, 300, 3), np.uint8)
    yield "white", np.full((200, 100, 3), 255, np.uint8)
    yield "noise", random.integers(0, 256, (200, 200, 3)).astype(np.uint8)
    yield "tiny", random.integers(0, 256, (23, 300, 3)).astype(np.uint8)
    yield "one row", np.zeros((1, 4000, 3), np.uint8)
    yield "long", random.integers(0, 256, (24, 3000, 3)).astype(np.uint8)
    yield "stripes", np.tile(np.array([[[0], [255]]], np.uint8), (150, 75, 3))
    yield "unmarked", portrait(320)
    yield "grey", portrait(200)[..., 0].copy()
    yield "huge", np.asarray(Image.fromarray(portrait(320)).resize((3000, 3000)))


@pytest.mark.parametrize("name", [name for name, _ in _hostile()])
def test_nothing_is_found_where_nothing_is(name):
    result = Detector({"m1": KEY}, SIDES).detect(dict(_hostile())[name])
    assert result.detection is None
    assert result.present < PRESENCE_THRESHOLD


def test_another_key_reads_nothing():
    marked = embed(portrait(160), PAYLOAD, build_layout(KEY)).pixels
    result = Detector({"m2": bytes(32)}, SIDES).detect(marked)
    assert result.detection is None
    assert result.present < PRESENCE_THRESHOLD
    assert Detector({}, SIDES).detect(marked).detection is None
