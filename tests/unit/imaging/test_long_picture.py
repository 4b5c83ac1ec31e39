"""Long pictures: every part of them is searched, and the frame shows the part around the face."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nightlight.imaging import crop, long_picture
from nightlight.imaging.crop import MAX_ASPECT, Region
from nightlight.imaging.face import Face, FaceDetector, FaceSearch, crop_face
from nightlight.imaging.pipeline import Pipeline
from nightlight.imaging.probe import UploadCaps
from nightlight.imaging.recipe import Recipe
from nightlight.imaging.visible_watermark import VisibleWatermark
from tests.support import pictures
from tests.support.in_process import InProcessDecoder

SMALL = Recipe("small", 96, quality=90)


@given(st.integers(1, 300), st.integers(1, 16_384))
def test_windows_cover_a_long_picture_and_lie_in_it(short, long):
    if long < short:
        return
    boxes = long_picture.windows(long, short)
    assert len(boxes) <= long_picture.MOST_WINDOWS
    assert boxes[0][0] == 0
    assert boxes[-1][2] == long
    assert all(0 <= left < right <= long and (top, bottom) == (0, short) for left, top, right, bottom in boxes)
    assert all(right - left <= MAX_ASPECT * short for left, _, right, _ in boxes)


@given(st.integers(8, 300), st.floats(2.01, 33))
def test_up_to_1_to_33_every_face_lies_whole_in_a_window(short, aspect):
    long = round(short * aspect)
    boxes = long_picture.windows(short, long)
    for begin in range(0, long - short, max(1, short // 4)):
        assert any(top <= begin and begin + short <= bottom + 2 for _, top, _, bottom in boxes)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("upright", [(1200, 200), (200, 1200)])
def test_the_part_around_a_face_is_the_same_whatever_the_orientation(orientation, upright):
    stored = upright[::-1] if orientation in crop.SIDEWAYS else upright
    whole = (768, 128) if upright[0] > upright[1] else (128, 768)
    at_end = Face(600, 20, 60, 78, 0.9) if upright[0] > upright[1] else Face(20, 600, 60, 78, 0.9)
    region = crop.long_part(stored, None, whole, at_end)
    assert region == (Region(784, 0, 400, 200) if upright[0] > upright[1] else Region(0, 798, 200, 400))
    left, top, right, bottom = crop.frame_window(stored, orientation, region)
    assert sorted((right - left, bottom - top)) == [200, 400]


def test_the_part_around_a_face_stays_in_the_owners_crop():
    region = crop.long_part((3000, 300), Region(500, 50, 1000, 100), (640, 64), Face(600, 10, 30, 39, 0.9))
    assert region == Region(1300, 50, 200, 100)


@pytest.mark.parametrize("size", [(200, 100), (100, 200), (16_384, 8), (1, 1)])
def test_what_is_no_longer_than_a_frame_is_not_long(size):
    assert not crop.is_long(size, None)


class AtTheEnd:
    """Sees one face, where the picture is red."""

    looked_at = 0

    def largest(self, frame):
        self.looked_at += 1
        box = frame.getchannel("R").point(lambda value: 255 * (value > 200)).getbbox()
        return Face(box[0], box[1], box[2] - box[0], box[3] - box[1], 0.9) if box else None

    def find(self, frame):
        face = self.largest(frame)
        return FaceSearch(faces=(face,) if face else ())


class Broken(AtTheEnd):
    def largest(self, frame):
        raise RuntimeError("the network is gone")


def pipeline(finder):
    return Pipeline(UploadCaps(), InProcessDecoder(), finder, VisibleWatermark())


def banner(width=3000, height=200):
    picture = Image.new("RGB", (width, height), (20, 90, 60))
    picture.paste((255, 0, 0), (width - 150, 60, width - 70, 164))
    return picture


@pytest.mark.parametrize("turn", [None, Image.Transpose.ROTATE_90])
def test_a_face_at_the_end_of_a_banner_is_shown(turn):
    picture = banner() if turn is None else banner().transpose(turn)
    (shown,) = pipeline(AtTheEnd()).render(pictures.encoded(picture, "PNG"), [SMALL]).renditions
    red = [pixel for pixel in shown.picture.get_flattened_data() if pixel[0] > 200 and pixel[1] < 60]
    assert len(red) > 0.1 * 96 * 96


def test_where_the_detector_breaks_the_middle_of_a_banner_is_one_whole_face():
    rendered = pipeline(Broken()).render(pictures.encoded(banner(), "PNG"), [replace(SMALL, face_px=6)])
    assert rendered.face_share == 1
    assert rendered.renditions[0].grid == 6


def test_a_picture_that_is_not_long_is_decoded_once():
    class Counted(InProcessDecoder):
        calls = 0

        def frame(self, data, header, **how):
            Counted.calls += 1
            return super().frame(data, header, **how)

    replace(pipeline(AtTheEnd()), decoder=Counted()).render(pictures.jpeg(640, 330), [SMALL])
    assert Counted.calls == 1


def test_a_real_face_at_the_end_of_a_panorama_is_shown():
    face = pictures.opened(pictures.photograph()).convert("RGB").crop((110, 0, 340, 230))
    picture = pictures.gradient(6900, 230)
    picture.paste(face, (6600, 0))
    rendered = pipeline(FaceDetector()).render(pictures.encoded(picture, "JPEG", quality=92), [SMALL])
    assert crop_face(rendered.search.faces) is not None
    assert pictures.psnr(rendered.renditions[0].picture, face.resize((96, 96))) > 12
