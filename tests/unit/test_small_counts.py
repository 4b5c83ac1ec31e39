"""What a report withholds, and what goes with it."""

from hypothesis import given
from hypothesis import strategies as st

from nightlight.flows.small_counts import group_shown, parts_shown, shown, shown_beside

COUNTS = st.dictionaries(st.integers(0, 9), st.integers(0, 60), max_size=8)
THRESHOLD = 10


@given(COUNTS, st.integers(0, 30))
def test_what_is_left_of_a_total_is_nothing_or_not_small(counts, beside):
    total = sum(counts.values()) + beside
    published = parts_shown(counts, total, THRESHOLD)
    assert all(counts[key] == count >= THRESHOLD for key, count in published.items())
    left = total - sum(published.values())
    assert left == 0 or left >= THRESHOLD or total < THRESHOLD


@given(COUNTS)
def test_in_a_group_no_small_count_is_told_or_alone_among_others(counts):
    published = group_shown(counts, THRESHOLD)
    assert all(count in {None, counts[key]} for key, count in published.items())
    assert not any(count and count < THRESHOLD for count in published.values())
    withheld = [key for key, count in published.items() if count is None]
    assert len(withheld) != 1 or not any(published.values())
    small = [key for key, count in counts.items() if 0 < count < THRESHOLD]
    assert len(withheld) <= max(len(small), 2 if small else 0)  # no more than it takes


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_part_is_told_only_where_the_rest_is_not_small(part, rest):
    published = shown_beside(part, part + rest, THRESHOLD)
    assert published in {None, part}
    if published is not None:
        assert shown(rest, THRESHOLD) is not None
