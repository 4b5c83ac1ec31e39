"""Keys are read again when their file changes, and a file that cannot be read changes nothing."""

import base64
import os

import pytest

from nightlight.delivery.object_names import ObjectNames
from nightlight.flows.key_rotation.key_files import RingStorage
from nightlight.wiring.live_keys import LiveKeys
from nightlight_core.decisions.url_signing import HmacUrlSigner, RingDayKeys
from nightlight_core.errors import SettingsRefused
from nightlight_core.files import replace_file
from nightlight_core.keyring import KeyRing, parse_name_keys
from nightlight_core.live_files import RingFile, fingerprint

VARIABLE = "NIGHTLIGHT_DELIVERY_SIGNING_KEYS"
NOW = 1_800_000_000


def key(letter):
    return f"{letter}1:{base64.b64encode(letter.encode() * 32).decode()}"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def live(tmp_path, monkeypatch, clock):
    monkeypatch.setenv("NIGHTLIGHT_SECRETS_DIR", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / VARIABLE.lower()).write_text(key("a"))
    return LiveKeys(clock)


def look(live, clock):
    clock.now += 1
    live.look()


def test_a_ring_follows_its_file_at_most_a_second_late(live, clock, tmp_path):
    ring = live.ring("urls", key("a"), VARIABLE)
    path = tmp_path / VARIABLE.lower()
    replace_file(path, f"{key('a')},{key('b')}")
    live.look()
    assert list(ring.value.keys) == ["a1"]
    look(live, clock)
    assert list(ring.value.keys) == ["a1", "b1"]
    assert live.loaded() == {"urls": [fingerprint("a1", b"a" * 32), fingerprint("b1", b"b" * 32)]}


@pytest.mark.parametrize("text", ["", "nonsense", "a1:c2hvcnQ=", "a1:" + "A" * 44 + ",a1:" + "A" * 44])
def test_a_file_that_is_no_ring_leaves_the_last_one_until_it_is_one_again(live, clock, tmp_path, text):
    ring, path = live.ring("urls", key("a"), VARIABLE), tmp_path / VARIABLE.lower()
    replace_file(path, text)
    look(live, clock)
    assert list(ring.value.keys) == ["a1"]
    assert ring.failure
    path.unlink()
    look(live, clock)
    assert list(ring.value.keys) == ["a1"]
    replace_file(path, key("c"))
    look(live, clock)
    assert list(ring.value.keys) == ["c1"]
    assert ring.failure is None


def test_a_change_within_the_same_moment_is_seen_by_the_file_it_is(live, clock, tmp_path):
    ring, path = live.ring("urls", key("a"), VARIABLE), tmp_path / VARIABLE.lower()
    before = path.stat()
    replace_file(path, key("b"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    look(live, clock)
    assert list(ring.value.keys) == ["b1"]


def test_what_is_in_the_environment_never_changes(live, clock, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, key("e"))
    ring = live.ring("urls", key("e"), VARIABLE)
    replace_file(tmp_path / VARIABLE.lower(), key("b"))
    look(live, clock)
    assert list(ring.value.keys) == ["e1"]


def test_the_first_read_of_a_broken_file_stops_the_start(live, tmp_path):
    replace_file(tmp_path / VARIABLE.lower(), "nonsense")
    with pytest.raises(SettingsRefused):
        live.ring("urls", key("a"), VARIABLE)


def test_a_retired_keys_urls_end_at_once_although_the_days_key_was_derived():
    days = RingDayKeys(KeyRing.parse(f"{key('a')},{key('b')}", "x"))
    old = HmacUrlSigner(KeyRing.parse(key("a"), "x"), "")
    new = HmacUrlSigner(days, "")
    url, _ = old.url("/a/x", now=NOW, life_s=600)
    e, k, s = (part.split("=", 1)[1] for part in url.split("?")[1].split("&"))
    assert new.verify("/a/x", e, k, s, now=NOW)
    days.use(KeyRing.parse(key("b"), "x"))
    assert new.verify("/a/x", e, k, s, now=NOW) is None
    assert "k=b1" in new.url("/a/x", now=NOW, life_s=600)[0]


def test_the_placeholder_goes_by_the_names_of_all_keys():
    plain = base64.b64encode(b"a" * 32).decode()
    ring = parse_name_keys(f"n1:{base64.b64encode(b'b' * 32).decode()},n0:{plain}", "x")
    names = ObjectNames(*parse_name_keys(plain, "x").keys.values())
    before = names.placeholder()
    names.use(*ring.keys.values())
    assert names.placeholder() != before
    assert names.placeholders() == (names.placeholder(), before)


def test_a_platforms_process_follows_the_file_of_relation_keys(tmp_path, clock):
    path = tmp_path / "relations"
    path.write_text(key("a"))
    ring = RingFile(path, elapsed=clock)
    assert list(ring) == ["a1"]
    assert len(ring) == 1
    replace_file(path, f"{key('b')},{key('a')}")
    assert next(iter(ring.items()))[0] == "a1"
    clock.now += 1
    assert next(iter(ring.items())) == ("b1", b"b" * 32)
    assert ring["a1"] == b"a" * 32


def test_ids_of_a_ring_are_what_its_file_says(tmp_path):
    path = tmp_path / "ring"
    path.write_text(key("a"))
    assert RingStorage(path, "a").keys() == [fingerprint("a1", b"a" * 32)]
