"""Which entries of a notice flood: those that are near to more unlike pictures than they may be."""

import numpy as np
import pytest

from nightlight.flows.takedowns.flood_guard import flooding_entries

DICE = np.random.default_rng(4)
FRAME, OTHER = DICE.bytes(32), DICE.bytes(32)


def near(stored, bits):
    """A hash in which so many bits of another are flipped."""
    flipped = np.unpackbits(np.frombuffer(stored, np.uint8))
    flipped[DICE.permutation(256)[:bits]] ^= 1
    return np.packbits(flipped).tobytes()


def unlike_uploads(count):
    """Views of uploads whose wholes are unlike each other, and that all have the frame in them."""
    return [DICE.bytes(32) + near(FRAME, 20) for _ in range(count)]


@pytest.mark.parametrize(("count", "flooding"), [(3, []), (4, [1])])
def test_an_entry_floods_once_it_is_near_to_more_unlike_pictures_than_it_may_be(count, flooding):
    assert flooding_entries(OTHER + FRAME, unlike_uploads(count), unlike=3) == flooding


def test_copies_of_one_picture_are_alike():
    copies = [near(FRAME, 10) for _ in range(50)]
    assert flooding_entries(FRAME, copies, unlike=3) == []


def test_what_is_further_away_than_a_copy_does_not_count():
    far = [DICE.bytes(32) + near(FRAME, 60) for _ in range(9)]
    assert flooding_entries(FRAME, far, unlike=3) == []


def test_without_uploads_nothing_floods():
    assert flooding_entries(FRAME, [], unlike=3) == []
