import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nightlight.imaging import face, face_budget
from nightlight.imaging.face import Face, FaceSearch
from tests.support import pictures

SHARES = st.floats(0.001, 1)


@given(st.integers(1, 2048), SHARES, st.integers(2, 512))
def test_a_grid_never_lays_more_than_the_budget_across_the_face(side, share, face_px):
    width = side * share
    grid = face_budget.grid_side(side, width, face_px)
    assert 1 <= grid <= side
    assert grid == 1 or grid * width / side <= face_px + 1e-6


def test_what_is_shown_comes_from_the_grid_alone():
    """Two pictures that agree on the grid are the same rendition, whatever finer detail they had."""
    coarse = pictures.gradient(24, 24)
    fine = coarse.resize((480, 480), Image.Resampling.NEAREST)
    rough = np.asarray(fine, dtype=np.int16)
    checks = 12 * (np.indices((480, 480)).sum(axis=0) % 2 * 2 - 1)[..., None]
    other = Image.fromarray(np.clip(rough + checks, 0, 255).astype(np.uint8))
    assert pictures.psnr(fine, other) < 30
    shown = [face_budget.soften(image, grid=12, canvas=96) for image in (fine, other)]
    assert pictures.psnr(*shown) > 45


def test_fine_stripes_are_gone_and_coarse_ones_stay():
    """A budget of n pixels holds n / 2 periods: Nyquist."""
    x = np.arange(480)

    def stripes(periods):
        row = 128 + 100 * np.sin(2 * np.pi * periods * x / 480)
        return Image.fromarray(np.tile(row, (480, 1)).astype(np.uint8)).convert("RGB")

    def contrast(periods, grid):
        return np.asarray(face_budget.soften(stripes(periods), grid=grid, canvas=96).convert("L"), dtype=float).std()

    assert contrast(2, 20) > 50
    assert contrast(14, 20) < 12
    assert contrast(40, 20) < 8


def test_it_is_frosted_and_not_tiled():
    """No step between neighbouring pixels is anything like a tile's edge."""
    half = Image.new("RGB", (400, 400))
    half.paste((255, 255, 255), (200, 0, 400, 400))
    row = np.asarray(face_budget.soften(half, grid=10, canvas=200).convert("L"), dtype=int)[100]
    assert np.abs(np.diff(row)).max() < 25


def test_a_budget_that_the_canvas_keeps_anyway_changes_nothing():
    image = pictures.gradient(300, 300)
    plain = image.resize((64, 64), Image.Resampling.LANCZOS, reducing_gap=1.5)
    assert face_budget.soften(image, grid=200, canvas=64).tobytes() == plain.tobytes()


@pytest.mark.parametrize("faces", [[], [Face(0, 0, 20, 26, 0.34)], [Face(0, 0, 5, 5, 0.2)] * 3])
def test_without_a_sure_face_the_whole_square_is_taken_for_one(faces):
    assert face.widest_face_px(FaceSearch(tuple(faces)), 300) == 300


def test_the_widest_of_all_that_may_be_a_face_counts():
    sure, unsure = Face(0, 0, 90, 117, 0.9), Face(0, 0, 180, 180, 0.25)
    assert face.widest_face_px(FaceSearch((sure,)), 300) == pytest.approx(99)
    assert face.widest_face_px(FaceSearch((sure, unsure)), 300) == pytest.approx(198)
    assert face.crop_face([sure, unsure]) == sure


def test_a_face_on_its_side_is_as_wide_as_its_box_is_high():
    assert Face(0, 0, 60, 130, 0.9).span == pytest.approx(face.MARGIN * 100)


def test_small_faces_do_not_let_a_missed_one_through_in_full():
    assert face.widest_face_px(FaceSearch((Face(0, 0, 10, 13, 0.9),)), 300) == face.LEAST_SHARE * 300


@pytest.mark.parametrize(
    ("size", "expected"), [((1024, 1024), (192, 192)), ((2048, 1024), (256, 128)), ((1, 1), (192, 192))]
)
def test_the_network_sees_the_frame_in_its_own_shape(size, expected):
    assert face.input_size(*size) == expected


@given(st.integers(1, 4096), st.integers(1, 4096))
def test_the_networks_input_is_bounded(width, height):
    if max(width, height) > 2 * min(width, height):
        return
    across, down = face.input_size(width, height)
    assert across % 32 == down % 32 == 0
    assert across * down <= 1.3 * face.INPUT_PIXELS


def test_the_least_share_is_that_of_the_search():
    small = (Face(0, 0, 10, 13, 0.9),)
    assert face.widest_face_px(FaceSearch(small, least_share=0.7), 300) == pytest.approx(210)


def test_a_hint_counts_as_wide_as_it_is_and_without_a_sure_face_a_wider_one_counts_too():
    small, hint = Face(0, 0, 10, 13, 0.9), Face(0, 0, 400, 520, 0.2)
    assert face.widest_face_px(FaceSearch((small,), (hint,)), 300) == pytest.approx(440)
    assert face.widest_face_px(FaceSearch((), (hint,)), 300) == pytest.approx(440)


def test_a_search_that_failed_rules_no_face_out():
    assert not FaceSearch().no_face
    assert face.widest_face_px(FaceSearch(), 300) == 300
