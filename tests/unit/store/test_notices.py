"""What servers say of their buckets, in each of their ways; and what nobody should say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightlight.store.event_notifications import MAX_BYTES, ObjectEvent, read_events
from nightlight.store.key_template import KeyTemplate, parse_uri
from nightlight_core.errors import InvalidInput


def record(key="a%2Fb+c.jpg", name="ObjectCreated:Put", source="aws:s3", **entity):
    return {
        "eventSource": source,
        "eventName": name,
        "s3": {"bucket": {"name": "avatars"}, "object": {"key": key, **entity}},
    }


def test_a_record_of_s3_with_its_escaped_key():
    (event,) = read_events(json.dumps({"Records": [record(eTag="e1", sequencer="0A", versionId="v")]}))
    assert event == ObjectEvent("avatars", "a/b c.jpg", removed=False, etag="e1", event_id="ObjectCreated/0A/v")


def test_ceph_and_minio_say_it_a_little_differently():
    (ceph,) = read_events(
        json.dumps({"Records": [record("a+b%.jpg", "s3:ObjectRemoved:Delete", "ceph:s3", eTag='"e"')]})
    )
    assert (ceph.key, ceph.removed, ceph.etag) == ("a+b%.jpg", True, "e")
    minio = {
        "EventName": "s3:ObjectCreated:Put",
        "Key": "avatars/a",
        "Records": [record("a%20b", "s3:ObjectCreated:Put", "minio:s3")],
    }
    assert read_events(json.dumps(minio))[0].key == "a b"


def test_inside_a_message_of_sns_and_of_eventbridge():
    inner = json.dumps({"Records": [record("k")]})
    assert read_events(json.dumps({"Type": "Notification", "Message": inner}))[0].key == "k"
    bridge = {
        "detail-type": "Object Deleted",
        "detail": {"bucket": {"name": "avatars"}, "object": {"key": "a+b", "etag": "e", "sequencer": "1"}},
    }
    (event,) = read_events(json.dumps(bridge))
    assert (event.key, event.removed) == ("a+b", True)
    bridge["detail"]["reason"] = "Lifecycle Expiration"
    assert read_events(json.dumps(bridge)) == []  # what a rule deleted, nobody asked to delete


def test_events_without_a_number_are_told_apart_by_their_time():
    records = [{**record(name="ObjectRemoved:Delete"), "eventTime": f"2026-11-2{day}T00:00:00Z"} for day in (1, 2)]
    first, second = (read_events(json.dumps({"Records": [entry]}))[0] for entry in records)
    assert first.event_id != second.event_id


def test_tests_and_other_events_say_nothing():
    assert read_events(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})) == []
    assert (
        read_events(
            json.dumps({"Records": [record(name="ObjectTagging:Put"), record(name="LifecycleExpiration:Delete")]})
        )
        == []
    )
    assert read_events(json.dumps({"detail-type": "Object Tags Added", "detail": {}})) == []


@pytest.mark.parametrize(
    "body",
    [
        "", "null", "[]", "{}", "7", '"x"', "{", "\xff", '{"Records": 1}', '{"Records": [1]}', '{"Records": [{}]}',
        json.dumps({"Records": [record("")]}), json.dumps({"Records": [record("k" * 1025)]}),
        json.dumps({"Records": [{**record(), "s3": {"bucket": {"name": 7}, "object": {"key": "k"}}}]}),
        json.dumps({"Records": [{**record(), "s3": {"bucket": {"name": "x" * 64}, "object": {"key": "k"}}}]}),
        json.dumps({"Message": json.dumps({"Message": json.dumps({"Message": "{}"})})}),
        '{"Message": "{"}', "[" * 100_000, " " * (MAX_BYTES + 1), '{"detail-type": "Object Created", "detail": []}',
    ],
)  # fmt: skip
def test_anything_else_is_refused(body):
    with pytest.raises(InvalidInput):
        read_events(body)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda kids: st.lists(kids) | st.dictionaries(st.sampled_from(
    ["Records", "eventName", "s3", "bucket", "name", "object", "key", "Message", "detail-type", "detail", "Event"]), kids), max_leaves=20))  # fmt: skip
def test_nothing_but_our_own_error_comes_of_any_json(body):
    try:
        events = read_events(json.dumps(body))
    except InvalidInput:
        return
    assert all(isinstance(event, ObjectEvent) for event in events)


@pytest.mark.parametrize(
    ("template", "key", "profile"),
    [
        ("avatars/{profile}.jpg", "avatars/u-81.jpg", "u-81"),
        ("avatars/{profile}/*", "avatars/u-81/a.png", "u-81"),
        ("avatars/{profile}/*", "avatars/u-81/a/b.png", None),
        ("**/{profile}/*.jpg", "x/y/u.8_1~/z.jpg", "u.8_1~"),
        ("{profile}", "a/b", None),
        ("{profile}", "-a", "-a"),
        ("u/{profile}/f.jpg", "u/anna b@example.com/f.jpg", "anna b@example.com"),
        ("u/{profile}/f.jpg", "u/%2e%2e/f.jpg", "%2e%2e"),  # nothing in a key is decoded
        ("u/{profile}/f.jpg", "u/../f.jpg", None),
        ("u/{profile}/f.jpg", "u//f.jpg", None),
        ("u/{profile}/*", "u/a/\0", None),
        ("{profile}", "a" * 256, "a" * 256),
        ("{profile}", "a" * 257, None),
        ("{profile}", "a\n", None),
        ("{profile}", "\u202ea", None),
        ("a.c/{profile}", "abc/u", None),  # a dot is a dot
        ("u/{profile}", "x/u/1", None),
        ("u/{profile}.jpg", "u/1.jpg.exe", None),
        ("u/{profile}", "u/" + "é" * 2000, None),
        ("u/{profile}", "u/" + "\U0001f47b" * 255, "\U0001f47b" * 255),
    ],
)
def test_a_template_finds_the_profile_in_a_key(template, key, profile):
    assert KeyTemplate(template).profile(key) == profile


@pytest.mark.parametrize(
    "text",
    [
        "",
        "avatars/*",
        "*/*/*/{profile}",
        "{profile}/{profile}",
        "{profile}{other}",
        "{PROFILE}",
        "{profile}" + "x" * 300,
    ],
)
def test_what_is_no_template_is_refused(text):
    with pytest.raises(InvalidInput, match="template"):
        KeyTemplate(text)


@pytest.mark.parametrize(
    ("uri", "parts"),
    [("s3://avatars", ("avatars", "")), ("s3://avatars/", ("avatars", "")), ("s3://a.b-c/x/y", ("a.b-c", "x/y"))],
)
def test_addresses_of_buckets(uri, parts):
    assert parse_uri(uri) == parts


@pytest.mark.parametrize(
    "uri", ["", "avatars", "https://avatars/x", "s3://", "s3://A/x", "s3://a", "s3://x/" + "k" * 1025, "s3:///x"]
)
def test_what_is_no_address_is_refused(uri):
    with pytest.raises(InvalidInput, match="s3://bucket/prefix"):
        parse_uri(uri)
