import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightlight.matching.index import MERGE_SEGMENTS, HashIndex, HashMatch
from nightlight.matching.pdq import BYTES, MATCH_WITHIN, distance
from nightlight.matching.segment import KEY_BYTES
from nightlight_core.errors import Conflict, IndexBroken
from tests.conftest import ROOT

DICE = np.random.default_rng(7)


def add(index, key, rows):
    index.extend([(key, bytes(row)) for row in np.atleast_2d(rows)])


def hashes(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, BYTES), dtype=np.uint8)


def key(number):
    return int(number).to_bytes(KEY_BYTES, "big")


def keys(count, first=0):
    return np.frombuffer(b"".join(key(number) for number in range(first, first + count)), np.uint8).reshape(
        -1, KEY_BYTES
    )


def changed(row, bits, dice=DICE):
    """A copy in which so many bits are others."""
    flat = np.unpackbits(row)
    at = dice.choice(flat.size, bits, replace=False)
    flat[at] ^= 1
    return np.packbits(flat)


def by_hand(rows, query, within):
    return {(int(place), int(bits)) for place, bits in enumerate(distance(rows, query)) if bits <= within}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    rows = hashes(20_000)
    index = HashIndex(tmp_path_factory.mktemp("index"), write=True)
    index.build([(rows[:7_000], keys(7_000)), (rows[7_000:], keys(13_000, 7_000))])
    yield rows, index
    index.close()


@given(st.integers(0, 19_999), st.integers(0, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_every_hash_within_the_distance_is_found_and_no_other(built, place, bits, seed):
    rows, index = built
    query = changed(rows[place], bits, np.random.default_rng(seed))
    matches = {(int.from_bytes(match.key, "big"), match.distance) for match in index.search(query)}
    assert matches == by_hand(rows, query, MATCH_WITHIN)


def test_the_hardest_case_has_two_bits_wrong_in_all_words_but_one(built):
    rows, index = built
    words = rows[4].view("<u2").copy()
    words[:15] ^= 0b11  # 30 bits
    words[15] ^= 0b1  # and one: 31, with a single bit in the last word
    assert index.search(words.view(np.uint8)) == [HashMatch(key(4), 31)]
    words[15] ^= 0b10
    assert index.search(words.view(np.uint8)) == []


@pytest.mark.parametrize("within", [0, 5, 31])
def test_a_smaller_distance_may_be_asked_for(built, within):
    rows, index = built
    for bits in (0, 5, 6, 31):
        assert bool(index.search(changed(rows[9], bits), within=within)) == (bits <= within)


def test_what_many_pictures_have_in_common_is_found_for_each(tmp_path):
    """Flat pictures hash alike: one word may hold most rows."""
    rows = np.repeat(hashes(1), 500, axis=0)
    with HashIndex(tmp_path, write=True) as index:
        index.build([(rows, keys(500))])
        assert len(index.search(rows[0])) == 500


def test_added_hashes_are_found_at_once_after_opening_again_and_after_sealing(tmp_path):
    rows = hashes(300)
    with HashIndex(tmp_path, write=True, seal_at=100) as index:
        for number, row in enumerate(rows):
            add(index, key(number), row)
            assert index.search(changed(row, 12)) == [HashMatch(key(number), 12)]
        assert len(index) == 300
    with HashIndex(tmp_path) as again:
        assert len(again) == 300
        assert all(again.search(row)[0].key == key(number) for number, row in enumerate(rows))


def test_the_newest_keys_are_told_across_segments(tmp_path):
    with HashIndex(tmp_path, write=True, seal_at=10) as index:
        rows = [(key(number), row.tobytes()) for number, row in enumerate(hashes(25))]
        for number, row in enumerate(hashes(25)):
            add(index, key(number), row)
        for count in (3, 17, 100):
            assert index.newest(count) == rows[-count:]


def test_the_eight_hashes_of_one_picture_are_one_match(tmp_path):
    rows = hashes(8)
    rows[3] = changed(rows[0], 4)
    with HashIndex(tmp_path, write=True) as index:
        add(index, key(1), rows)
        assert index.search(rows[0]) == [HashMatch(key(1), 0)]


def test_what_is_taken_out_is_not_found_and_leaves_the_disk_when_merged(tmp_path):
    rows = hashes(50)
    with HashIndex(tmp_path, write=True, seal_at=20) as index:
        for number, row in enumerate(rows):
            add(index, key(number), row)
        index.remove(key(7))
        index.remove(key(45))
        assert index.search(rows[7]) == []
    with HashIndex(tmp_path, write=True) as again:
        assert again.search(rows[45]) == []
        again.merge()
        assert len(again) == 48
        assert again.search(rows[8]) == [HashMatch(key(8), 0)]
    left = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert bytes(rows[7]) not in left
    assert key(45) not in left
    with HashIndex(tmp_path, write=True) as later:
        add(later, key(7), rows[7])  # it may come back
        assert later.search(rows[7]) == [HashMatch(key(7), 0)]


def test_many_segments_become_one(tmp_path):
    rows = hashes(10 * MERGE_SEGMENTS)
    with HashIndex(tmp_path, write=True, seal_at=10) as index:
        for number, row in enumerate(rows):
            add(index, key(number), row)
        assert len(list(tmp_path.glob("s[0-9]*"))) < MERGE_SEGMENTS
        assert all(index.search(row) for row in rows)


def test_a_writer_that_is_killed_loses_nothing_that_it_had_added(tmp_path):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from nightlight.matching.index import HashIndex\n"
        "from tests.unit.matching.test_index import add, hashes, key\n"
        "index = HashIndex(Path(sys.argv[1]), write=True, seal_at=10)\n"
        "for number, row in enumerate(hashes(25)):\n"
        "    add(index, key(number), row)\n"
        "os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, cwd=ROOT)
    assert done.returncode == 9
    with HashIndex(tmp_path, write=True) as index:
        assert [index.search(row)[0].key for row in hashes(25)] == [key(number) for number in range(25)]


@pytest.mark.parametrize("cut", [1, 20, 51])
def test_a_record_that_was_cut_short_is_dropped_and_the_log_goes_on(tmp_path, cut):
    rows = hashes(3)
    with HashIndex(tmp_path, write=True) as index:
        add(index, key(0), rows[0])
        add(index, key(1), rows[1])
    log = tmp_path / "added.log"
    os.truncate(log, log.stat().st_size - cut)
    with HashIndex(tmp_path, write=True) as index:
        assert index.search(rows[0])
        assert not index.search(rows[1])
        add(index, key(2), rows[2])
    with HashIndex(tmp_path) as index:
        assert index.search(rows[2]) == [HashMatch(key(2), 0)]


def test_one_process_writes_at_a_time_and_a_reader_may_not(tmp_path):
    with HashIndex(tmp_path, write=True) as index:
        add(index, key(0), hashes(1))
        with pytest.raises(Conflict, match="another process writes"):
            HashIndex(tmp_path, write=True)
        with HashIndex(tmp_path) as reader:
            assert reader.search(hashes(1)[0])
            for change in (
                lambda: add(reader, key(1), hashes(1)),
                reader.seal,
                reader.merge,
                lambda: reader.remove(key(0)),
            ):
                with pytest.raises(Conflict, match="opened for reading"):
                    change()


def test_an_index_that_is_not_there_is_empty_to_a_reader(tmp_path):
    with HashIndex(tmp_path / "nowhere") as index:
        assert len(index) == 0
        assert index.search(hashes(1)[0]) == []


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "manifest.json").write_text(json.dumps({"format": 2, "segments": []})),
        lambda folder: (folder / "manifest.json").write_text(json.dumps({"format": 1, "segments": ["s9"]})),
        lambda folder: (folder / "manifest.json").write_text("[]"),
        lambda folder: os.truncate(folder / "s1/hashes.npy", 500),
        lambda folder: os.truncate(folder / "s1/order.npy", 5_000),
        lambda folder: (folder / "s1/keys.npy").unlink(),
        lambda folder: np.save(folder / "s1/keys.npy", keys(3)),
        lambda folder: (folder / "s1/start.npy").write_bytes(b"\x93NUMPY" + bytes(50)),
    ],
)
def test_an_index_that_was_harmed_says_so_and_can_be_built_again(tmp_path, harm):
    rows = hashes(100)
    with HashIndex(tmp_path, write=True) as index:
        index.build([(rows, keys(100))])
    harm(tmp_path)
    with pytest.raises(IndexBroken):
        HashIndex(tmp_path)
    HashIndex.discard(tmp_path)
    with HashIndex(tmp_path, write=True) as index:
        index.build([(rows, keys(100))])
        assert index.search(rows[3]) == [HashMatch(key(3), 0)]


@pytest.mark.parametrize(
    "query", [hashes(1), hashes(1)[0][:31], hashes(1)[0].astype(np.int64), np.zeros((0,), np.uint8)]
)
def test_a_query_of_another_shape_or_type_is_refused(built, query):
    with pytest.raises(ValueError, match="a query is uint8"):
        built[1].search(query)


def test_a_distance_beyond_what_is_exact_is_refused(built):
    with pytest.raises(ValueError, match="exact up to 31"):
        built[1].search(hashes(1)[0], within=32)


def test_a_key_of_another_length_is_refused(tmp_path):
    with HashIndex(tmp_path, write=True) as index, pytest.raises(ValueError, match="a key is 16 bytes"):
        add(index, b"short", hashes(1))
