"""A lifecycle rule is what it means, however it is written."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlight.retention.lifecycle_rule import LifecycleRule, Transition, read_rule, refuse_invalid, write_rule
from nightlight_core.errors import LifecycleRefused

WORD = st.text("abcdefgh-", min_size=1, max_size=8)
DAYS = st.integers(1, 40_000)


@st.composite
def rules(draw):
    """Rules as the policy may come to."""
    tags = tuple(sorted(draw(st.dictionaries(WORD, WORD, max_size=3)).items()))
    kind = draw(st.sampled_from(["expire", "noncurrent", "upload", "markers"]))
    if kind in {"upload", "markers"}:
        tags = ()
    return LifecycleRule(
        draw(WORD), enabled=draw(st.booleans()), prefix=draw(st.sampled_from(["", "a/", "found/"])), tags=tags,
        expire_days=draw(DAYS) if kind == "expire" else None,
        noncurrent_days=draw(DAYS) if kind == "noncurrent" else None,
        abort_upload_days=draw(DAYS) if kind == "upload" else None,
        drop_delete_markers=kind == "markers",
    )  # fmt: skip


@given(rules())
def test_what_is_written_is_read_as_it_was(rule):
    refuse_invalid(rule)
    assert read_rule(write_rule(rule)) == rule
    assert rule.does() != "nothing"
    assert rule.about()


EQUAL = [
    ({"Filter": {"Prefix": "a/"}}, {"Prefix": "a/"}),
    ({"Filter": {"Prefix": ""}}, {}),
    ({"Filter": {"And": {"Tags": [{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}]}}},
     {"Filter": {"And": {"Prefix": "", "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]}}}),
    ({"Filter": {"Tag": {"Key": "a", "Value": "1"}}}, {"Filter": {"And": {"Tags": [{"Key": "a", "Value": "1"}]}}}),
    ({"Expiration": {"Date": datetime(2027, 1, 1, tzinfo=UTC)}}, {"Expiration": {"Date": "2027-01-01T00:00:00Z"}}),
    ({"Expiration": {"Days": 3, "ExpiredObjectDeleteMarker": False}}, {"Expiration": {"Days": 3}}),
    ({"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 0}},
     {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}),
    ({"Transitions": [{"Days": 60, "StorageClass": "GLACIER"}, {"Days": 30, "StorageClass": "STANDARD_IA"}]},
     {"Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 60, "StorageClass": "GLACIER"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("left", "other"), EQUAL)
def test_two_ways_of_writing_mean_the_same(left, other):
    head = {"ID": "x", "Status": "Enabled"}
    assert read_rule({**head, **left}) == read_rule({**head, **other})


DIFFERENT = [
    {"Status": "Disabled"}, {"ID": "y"}, {"Filter": {"Prefix": "b/"}}, {"Filter": {"Tag": {"Key": "a", "Value": "1"}}},
    {"Filter": {"ObjectSizeGreaterThan": 5}}, {"Filter": {"And": {"Prefix": "a/", "ObjectSizeLessThan": 5}}},
    {"Expiration": {"Days": 4}}, {"Expiration": {"ExpiredObjectDeleteMarker": True}},
    {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 2}},
    {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
    {"Transitions": [{"Days": 30, "StorageClass": "GLACIER"}]}, {"Something": "new"},
    {"Filter": {"Something": "new"}},
]  # fmt: skip


@pytest.mark.parametrize("change", DIFFERENT)
def test_what_means_something_else_is_something_else(change):
    rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "a/"}, "Expiration": {"Days": 3}}
    assert read_rule({**rule, **change}) != read_rule(rule)


WRONG = [
    (LifecycleRule("x"), "does nothing"),
    (LifecycleRule("x", expire_days=0), "from 1"),
    (LifecycleRule("x", noncurrent_days=-1), "from 1"),
    (LifecycleRule("x", tags=(("a", "1"),), abort_upload_days=1), "no tags"),
    (LifecycleRule("x", tags=(("a", "1"),), drop_delete_markers=True), "no tags"),
    (LifecycleRule("x", expire_days=1, drop_delete_markers=True), "of their own"),
    (LifecycleRule("x", expire_days=1, larger_than=5), "by size"),
    (LifecycleRule("x", noncurrent_days=1, noncurrent_keep=2), "cannot say"),
    (LifecycleRule("x", expire_days=400, moves=(Transition(30, None, "GLACIER"),)), "read at once"),
    (LifecycleRule("x", expire_days=400, moves=(Transition(29, None, "STANDARD_IA"),)), "least days"),
    (LifecycleRule("x", expire_days=30, moves=(Transition(30, None, "STANDARD_IA"),)), "before deletion"),
]


@pytest.mark.parametrize(("rule", "message"), WRONG)
def test_rules_that_s3_would_refuse_or_mistake_are_refused_first(rule, message):
    with pytest.raises(LifecycleRefused, match=message):
        refuse_invalid(rule)


def test_which_objects_a_rule_is_about():
    rule = LifecycleRule("x", prefix="a/", tags=(("s", "1"),), larger_than=10, smaller_than=20)
    assert rule.matches("a/b", {"s": "1", "t": "2"}, 15)
    for key, tags, size in [("b/a", {"s": "1"}, 15), ("a/b", {}, 15), ("a/b", {"s": "2"}, 15), ("a/b", {"s": "1"}, 10),
                            ("a/b", {"s": "1"}, 20)]:  # fmt: skip
        assert not rule.matches(key, tags, size)
    assert rule.about() == "under a/ and tagged s=1 and larger than 10 bytes and smaller than 20 bytes"
