"""What the policy keeps no longer goes on its day: a minor's picture sooner, and nothing before its time."""

import pytest

from nightlight.catalogue import images
from nightlight.catalogue.profiles import Declaration
from nightlight.flows.erase import Delete
from nightlight.flows.sweep import Sweep
from nightlight.policy.compile import compile_folder
from tests.conftest import ROOT
from tests.support import pictures

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def retention():
    return compile_folder(ROOT / "policies").retention


@pytest.fixture
def sweep(house, retention):
    return Sweep(house.catalogue, Delete(house.catalogue, house.clock), lambda: retention, 30, house.clock)


def declared(house, profile_id, band, assurance="verified"):
    said = Declaration(band, assurance, "eu", "connections")
    house.declare.declare(profile_id, said, follow_band=False, actor="t")


def replaced(house, profile_id):
    """Two pictures, the second in place of the first; (the first, the second)."""
    made = []
    for seed in (1, 2):
        made.append(house.upload(profile_id, pictures.jpeg(200, 200, seed=seed)).image_id)
        assert "ready" in house.deliver()
    assert [house.state(one) for one in made] == [images.SUPERSEDED, images.READY]
    return made


def gone(house, sweep, *image_ids):
    sweep.run_once()
    return [house.state(one) == images.DELETED for one in image_ids]


@pytest.mark.parametrize(
    ("band", "assurance", "days"),
    [("age_13_15", "verified", 7), ("under_13", "verified", 7), ("adult", "verified", 30), ("adult", "none", 7)],
)
def test_what_was_replaced_goes_after_its_owners_days_and_no_sooner(house, sweep, profile_id, band, assurance, days):
    declared(house, profile_id, band, assurance)
    old, new = replaced(house, profile_id)
    house.clock.forward(days=days, seconds=-1)
    declared(house, profile_id, band, assurance)  # asserted again, as platforms do
    assert gone(house, sweep, old, new) == [False, False]
    house.clock.forward(seconds=2)
    assert gone(house, sweep, old, new) == [True, False]
    with house.catalogue.reading() as tx:
        original = tx.images.get(old).original_key
        assert [entry.actor for entry in tx.audit.of_image(old) if entry.event == "image.deleted"] == ["retention"]
    assert original in house.objects()
    assert "erased" in house.deliver()
    assert original not in house.objects()


def test_who_is_a_minor_now_counts_as_one_for_what_was_uploaded_before(house, sweep, profile_id):
    declared(house, profile_id, "adult")
    old, new = replaced(house, profile_id)
    declared(house, profile_id, "age_16_17")
    house.clock.forward(days=8)
    assert gone(house, sweep, old, new) == [True, False]


def test_who_is_an_adult_now_was_a_minor_when_it_was_uploaded(house, sweep, profile_id):
    old, new = replaced(house, profile_id)
    declared(house, profile_id, "adult")
    house.clock.forward(days=8)
    assert gone(house, sweep, old, new) == [True, False]


def test_a_band_that_lapsed_is_a_minors(house, sweep, profile_id):
    declared(house, profile_id, "adult")
    house.clock.forward(days=20)
    old, new = replaced(house, profile_id)
    house.clock.forward(days=8)
    assert gone(house, sweep, old, new) == [False, False]
    house.clock.forward(days=3)  # 31 days since anybody vouched for the age
    assert gone(house, sweep, old, new) == [True, False]


def test_what_a_report_is_open_about_stays_until_it_is_closed(house, sweep, profile_id):
    old, new = replaced(house, profile_id)
    house.declare.hold(profile_id, "reported", actor="t")
    house.clock.forward(days=20)
    assert gone(house, sweep, old, new) == [False, False]
    house.declare.hold(profile_id, "clear", actor="t")
    assert gone(house, sweep, old, new) == [True, False]


def test_a_picture_in_use_goes_after_its_own_time(house, sweep, profile_id):
    image = house.upload(profile_id).image_id
    house.deliver()
    house.clock.forward(days=3649)
    assert gone(house, sweep, image) == [False]
    house.clock.forward(days=2)
    assert gone(house, sweep, image) == [True]


def test_more_than_a_batch_goes_by_and_by(house, sweep, profile_id, monkeypatch):
    from nightlight.flows import sweep as module

    monkeypatch.setattr(module, "_BATCH", 1)
    made = [house.upload(profile_id, pictures.jpeg(200, 200, seed=seed)).image_id for seed in range(4)]
    for _ in range(6):
        house.deliver()
    house.clock.forward(days=8)
    left = 3
    while left:
        assert sweep.run_once() >= 1
        left = sum(house.state(one) == images.SUPERSEDED for one in made)
    assert house.state(made[-1]) == images.READY
