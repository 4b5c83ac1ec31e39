import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlight.imaging import crop, normalise
from nightlight.imaging.crop import LEAST_SIDE, MAX_ASPECT, Region
from nightlight.imaging.face import Face
from tests.support import pictures

SIDES = st.integers(1, 16_384)


@given(SIDES, SIDES, st.integers(1, 8), st.none() | st.builds(Region, *[st.integers(0, 20_000)] * 4))
def test_a_window_lies_in_the_picture_and_is_not_longer_than_it_may_be(width, height, orientation, region):
    left, top, right, bottom = crop.frame_window((width, height), orientation, region)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    shorter, longer = sorted((right - left, bottom - top))
    assert longer <= MAX_ASPECT * shorter + 1e-6


@given(
    SIDES, SIDES, st.none() | st.builds(Region, *[st.integers(0, 20_000)] * 4), st.integers(1, 2048), st.integers(1, 8)
)
def test_a_frame_never_has_more_pixels_than_there_is_room_for(width, height, region, edge, orientation):
    size = crop.fitted_size(crop.frame_window((width, height), orientation, region), edge)
    assert size[0] * size[1] <= crop.most_pixels((width, height), edge, region)
    assert min(size) <= edge


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_owners_crop_is_of_the_upright_picture(orientation):
    stored = pictures.gradient(120, 80)
    upright = normalise.upright(stored, orientation)
    region = Region(20, 10, 40, 30)
    expected = upright.crop((20, 10, 60, 40))
    box = crop.frame_window(stored.size, orientation, region)
    cut = normalise.upright(stored.crop(tuple(round(side) for side in box)), orientation)
    assert cut.size == expected.size
    assert cut.tobytes() == expected.tobytes()


def test_a_crop_that_leaves_nothing_is_as_good_as_none():
    whole = crop.frame_window((200, 100), 1, None)
    assert crop.frame_window((200, 100), 1, Region(190, 90, 50, 50)) == whole
    assert crop.frame_window((200, 100), 1, Region(5_000, 5_000, 50, 50)) == whole


def test_a_crop_that_reaches_beyond_the_picture_is_cut_at_its_edge():
    assert crop.frame_window((200, 100), 1, Region(150, 50, 500, 500)) == (150, 50, 200, 100)


@pytest.mark.parametrize(
    "text",
    ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "-1,0,50,50", "1.5,0,50,50", "0,0,15,50", "0,0,50,15", "0,0,20000,50",
     "٣,0,50,50", "0,0,5e1,50", "000000,0,50,50", " 0,0,50,50", "16000,0,1000,50"],
)  # fmt: skip
def test_a_crop_that_is_no_crop_is_refused(text):
    with pytest.raises(ValueError, match="crop"):
        Region.parse(text, max_side=16_384)


def test_a_crop_is_written_as_it_was_read():
    assert str(Region.parse("1,2,30,40", max_side=100)) == "1,2,30,40"
    assert LEAST_SIDE == 16


def test_a_square_without_a_face_is_in_the_middle_across_and_high():
    assert crop.kept_box(200, 100) == (50, 0, 150, 100)
    assert crop.kept_box(100, 200) == (0, 40, 100, 140)


def test_a_square_is_centred_on_a_face_with_headroom():
    face = Face(150, 30, 20, 26, 0.9)
    assert crop.kept_box(200, 100, face) == (100, 0, 200, 100)  # as far right as there is picture
    tall = crop.kept_box(100, 200, Face(40, 120, 20, 26, 0.9))
    assert tall == (0, 91, 100, 191)
    middle = (120 + 26 / 2 - tall[1]) / 100
    assert middle == pytest.approx(crop.FACE_FROM_TOP, abs=0.01)


@given(SIDES, SIDES, st.floats(-50, 20_000), st.floats(-50, 20_000), st.floats(1, 9_000), st.floats(1, 9_000))
def test_a_square_lies_in_the_frame_wherever_a_face_is_said_to_be(width, height, left, top, wide, high):
    box = crop.kept_box(width, height, Face(left, top, wide, high, 0.9))
    side = min(width, height)
    assert box[0] >= 0 <= box[1]
    assert box[2] <= width
    assert box[3] <= height
    assert box[2] - box[0] == box[3] - box[1] == side
