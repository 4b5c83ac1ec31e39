"""Views are used only while the feed is read, and never after they have changed."""

import pytest

from nightlight_core.decisions.profile_views import LIFE_S, MOST_AGAIN, ProfileView, ProfileViewCache


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def kept(clock, most=10):
    views = ProfileViewCache(most=most, stale_s=1.0, clock=clock)
    views.polled(clock.now, (), reset=True)
    return views


def ids(views):
    return [profile_view.profile_id for profile_view in views.find("abcdef") if profile_view is not None]


def test_nothing_is_fresh_before_the_first_look_nor_long_after_the_last(clock):
    views = ProfileViewCache(most=10, stale_s=1.0, clock=clock)
    assert not views.fresh
    assert views.age_s == float("inf")
    views.polled(clock.now, (), reset=True)
    clock.now += 0.9
    assert views.fresh
    clock.now += 0.1
    assert not views.fresh


def test_a_change_drops_its_view_and_no_other(clock):
    views = kept(clock)
    views.keep(views.ticket(), [ProfileView("a"), ProfileView("b")])
    views.polled(clock.now, ["a", "unheard-of"], reset=False)
    assert ids(views) == ["b"]
    views.polled(clock.now, [], reset=True)
    assert ids(views) == []


def test_what_was_read_before_a_change_is_not_kept_after_it(clock):
    views = kept(clock)
    ticket = views.ticket()
    views.polled(clock.now, ["a"], reset=False)
    views.keep(ticket, [ProfileView("a"), ProfileView("b")])
    assert ids(views) == ["b"]
    ticket = views.ticket()
    views.polled(clock.now, [], reset=True)
    views.keep(ticket, [ProfileView("c")])
    assert ids(views) == ["b"] or ids(views) == []
    assert "c" not in ids(views)


def test_a_view_that_was_read_again_takes_the_place_of_what_it_was(clock):
    views = kept(clock)
    views.keep(views.ticket(), [ProfileView("a"), ProfileView("b"), ProfileView("c")])
    assert views.changed(["c", "b", "unheard-of", "b"]) == [ProfileView("c"), ProfileView("b")]
    views.polled(
        clock.now,
        ["c", "b", "unheard-of"],
        reset=False,
        again=[ProfileView("b", report_flag="reported"), ProfileView("d")],
    )
    assert ids(views) == ["a", "b"]
    assert views.find("b") == [ProfileView("b", report_flag="reported")]
    views.polled(clock.now, ["a"], reset=True, again=[ProfileView("a")])
    assert ids(views) == []


def test_what_a_decision_read_before_a_change_does_not_replace_what_was_read_after_it(clock):
    views = kept(clock)
    views.keep(views.ticket(), [ProfileView("a")])
    ticket = views.ticket()
    views.polled(clock.now, ["a"], reset=False, again=[ProfileView("a", report_flag="reported")])
    views.keep(ticket, [ProfileView("a")])
    assert views.find("a") == [ProfileView("a", report_flag="reported")]


def test_of_very_many_changes_at_once_some_are_read_again_and_the_others_forgotten(clock):
    names = [f"n-{number}" for number in range(MOST_AGAIN + 2)]
    views = kept(clock, most=len(names))
    views.keep(views.ticket(), map(ProfileView, names))
    again = views.changed(names)
    assert [view.profile_id for view in again] == names[:-2]
    views.polled(clock.now, names, reset=False, again=again)
    assert len(views) == MOST_AGAIN
    assert views.find(names[-2:]) == [None, None]


def test_a_view_lives_as_long_whether_it_changes_or_not(clock):
    views = kept(clock)
    views.keep(views.ticket(), [ProfileView("a"), ProfileView("b")])
    clock.now += LIFE_S - 1
    views.keep(views.ticket(), [ProfileView("c")])
    views.polled(clock.now, ["a"], reset=False, again=[ProfileView("a")])
    assert ids(views) == ["a", "b", "c"]
    clock.now += 2
    views.polled(clock.now, ["c"], reset=False, again=[ProfileView("c")])
    assert ids(views) == ["c"]
    few = kept(clock, most=2)
    few.keep(few.ticket(), [ProfileView("a"), ProfileView("b")])
    few.polled(clock.now, ["a"], reset=False, again=[ProfileView("a")])
    few.keep(few.ticket(), [ProfileView("c")])
    assert ids(few) == ["b", "c"]


def test_what_was_read_very_long_ago_is_not_kept(clock):
    views = kept(clock)
    ticket = views.ticket()
    for _ in range(201):
        views.polled(clock.now, ["z"], reset=False)
    views.keep(ticket, [ProfileView("a")])
    assert ids(views) == []


def test_after_expiry_only_a_look_that_begins_later_counts(clock):
    views = kept(clock)
    began = clock.now
    clock.now += 0.1
    views.expire()
    assert not views.fresh
    views.polled(began, (), reset=False)  # was under way already: it may have missed what made them expire
    assert not views.fresh
    views.polled(clock.now, (), reset=False)
    assert views.fresh


def test_the_views_that_were_read_first_make_room(clock):
    views = kept(clock, most=2)
    views.keep(views.ticket(), [ProfileView("a"), ProfileView("b")])
    views.keep(views.ticket(), [ProfileView("a"), ProfileView("c")])
    assert ids(views) == ["a", "c"]
    assert len(views) == 2
    nothing = kept(clock, most=0)
    nothing.keep(nothing.ticket(), [ProfileView("a")])
    assert len(nothing) == 0


def test_a_view_is_read_again_after_a_while_whatever_the_feed_says(clock):
    views = kept(clock)
    views.keep(views.ticket(), [ProfileView("a")])
    clock.now += LIFE_S - 1
    views.keep(views.ticket(), [ProfileView("b")])
    views.polled(clock.now, (), reset=False)
    assert ids(views) == ["a", "b"]
    clock.now += 2
    views.polled(clock.now, (), reset=False)
    assert ids(views) == ["b"]
