"""An image gets from one state to another by a transition of the table, or not at all."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from nightlight.catalogue.image_states import (
    ACCEPT,
    DELETE,
    FAIL,
    PUBLISH,
    QUARANTINE,
    REJECT,
    STATES,
    TRANSITIONS,
    StateChange,
    change,
)
from nightlight.catalogue.images import DELETED, PENDING, RECEIVING, ImageRow
from nightlight.catalogue.profiles import Declaration
from nightlight.catalogue.schema import images
from nightlight.flows.pictures.change_state import FOLLOWED_BY, change_state
from nightlight_core.errors import Conflict
from nightlight_core.ids import new_image_id, new_original_key
from tests.conftest import ROOT

pytestmark = pytest.mark.integration

THEN = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
STAMPS = ("ready_at", "superseded_at")


def image_in(catalogue, state):
    image_id = new_image_id()
    with catalogue.transaction() as tx:
        tx.profiles.declare("p-states", Declaration("adult", "verified", "eu", "connections"), THEN)
        sequence = tx.profiles.next_upload("p-states")
        tx.images.add(
            ImageRow(image_id, "p-states", sequence, state, "before", new_original_key(), 9, "jpeg", 4, 3, "adult", "adult", THEN, None)
        )  # fmt: skip
    return image_id


def row_of(catalogue, image_id):
    with catalogue.reading() as tx:
        return tx.images.get(image_id), [
            (entry.event, entry.actor, entry.detail) for entry in tx.audit.of_image(image_id)
        ]


@pytest.mark.parametrize("name", TRANSITIONS)
@pytest.mark.parametrize("state", STATES)
def test_each_pair_of_state_and_transition_is_allowed_by_the_table_or_refused(catalogue, state, name):
    transition, image_id = TRANSITIONS[name], image_in(catalogue, state)
    before, _ = row_of(catalogue, image_id)
    if state not in transition.sources:
        with pytest.raises(Conflict), catalogue.transaction() as tx:
            change_state(tx, transition, image_id, NOW, actor="t", reason="why")
        assert row_of(catalogue, image_id) == (before, [])
        return
    with catalogue.transaction() as tx:
        change_state(tx, transition, image_id, NOW, actor="t", reason="why", detail={"n": 1})
    after, log = row_of(catalogue, image_id)
    assert (after.state, after.reason) == (transition.target, "why")
    assert [getattr(after, stamp) for stamp in STAMPS] == [
        NOW if stamp in transition.stamps else getattr(before, stamp) for stamp in STAMPS
    ]
    assert log == [(transition.event, "t", {"n": 1, "reason": "why"})]
    follower = FOLLOWED_BY.get(transition)
    with catalogue.reading() as tx:
        assert {kind.name: tx.jobs.rank_before(image_id, kind.name) is not None for kind in FOLLOWED_BY.values()} == {
            kind.name: kind is follower for kind in FOLLOWED_BY.values()
        }


def test_a_reason_goes_when_the_image_goes_on(catalogue):
    image_id = image_in(catalogue, RECEIVING)
    with catalogue.transaction() as tx:
        change(tx, ACCEPT, image_id, NOW, StateChange("t"))
    image, log = row_of(catalogue, image_id)
    assert (image.reason, log) == (None, [("image.accepted", "t", {})])


def test_of_two_transitions_at_once_one_is_made(catalogue):
    image_id = image_in(catalogue, PENDING)

    def make(transition):
        try:
            with catalogue.transaction() as tx:
                change(tx, transition, image_id, NOW, StateChange("t"))
        except Conflict:
            return None
        return transition.target

    with ThreadPoolExecutor(3) as pool:
        transitions = [target for target in pool.map(make, (REJECT, FAIL, PUBLISH)) if target is not None]
    image, log = row_of(catalogue, image_id)
    assert transitions == [image.state]
    assert len(log) == 1


def test_an_image_that_is_not_there_is_in_no_state(catalogue):
    with pytest.raises(Conflict), catalogue.transaction() as tx:
        change(tx, DELETE, new_image_id(), NOW, StateChange("t"))


def test_a_change_that_is_rolled_back_leaves_nothing(catalogue):
    image_id = image_in(catalogue, PENDING)
    with pytest.raises(RuntimeError), catalogue.transaction() as tx:
        change_state(tx, QUARANTINE, image_id, NOW, actor="t")
        raise RuntimeError
    image, log = row_of(catalogue, image_id)
    assert (image.state, log) == (PENDING, [])


def test_every_state_is_reached_and_only_a_deleted_image_goes_nowhere():
    assert {transition.target for transition in TRANSITIONS.values()} | {RECEIVING} == set(STATES)
    assert {state for transition in TRANSITIONS.values() for state in transition.sources} == set(STATES) - {DELETED}
    assert all(column in images.c for transition in TRANSITIONS.values() for column in transition.stamps)


def test_no_other_code_writes_a_state():
    writers = [
        path.name
        for path in (ROOT / "nightlight").rglob("*.py")
        if re.search(r"image_states\.change\(|import [^\n]*\bchange\b", path.read_text("utf-8"))
    ]
    assert writers == ["change_state.py"]
    rows = (ROOT / "nightlight/catalogue/images.py").read_text("utf-8")
    assert not re.search(r"values\([^)]*\bstate\b", rows)
