import os

import numpy as np
import pytest
from PIL import Image

from nightlight.imaging.match_squares import square_luma
from nightlight.matching import list_index
from nightlight.matching.index import HashIndex
from nightlight.matching.list_index import HashListIndex, IndexedHashList, ListIndexMatch, hash_lumas
from nightlight.matching.pdq import pdq
from nightlight_core.errors import Conflict, InvalidInput, ListsUnavailable
from tests.support import pictures


def view(name="astronaut.png", change=lambda image: image):
    return square_luma(change(pictures.opened(pictures.photograph(name)).convert("RGB")), 512)


def entries_near(lists, views):
    return lists.search_hashes(hash_lumas(views)).matches


def hex_of(view_):
    return bytes(pdq(view_).hashes[0]).hex()


@pytest.fixture
def lists(tmp_path, monkeypatch):
    monkeypatch.setattr(list_index, "_RECHECK_S", 0.0)
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "house.csv").write_text(f"hash,quality,reference\n{'00' * 32},100,blank\n{hex_of(view())},100,case 7\n")
    (folder / "other.csv").write_text(f"{hex_of(view('coffee.png'))}\n")
    return HashListIndex(folder, tmp_path / "index")


def test_a_listed_picture_is_found_with_its_list_and_reference(lists):
    assert entries_near(lists, [view()]) == [ListIndexMatch("house", "case 7", 0)]
    assert entries_near(lists, [view("coffee.png")]) == [ListIndexMatch("other", "", 0)]
    assert entries_near(lists, [view("rocket.jpg")]) == []
    assert entries_near(lists, []) == []


@pytest.mark.parametrize("turn", [*Image.Transpose])
def test_turned_and_mirrored_it_is_found_too(lists, turn):
    (match,) = entries_near(lists, [view(change=lambda image: image.transpose(turn))])
    assert (match.list, match.reference) == ("house", "case 7")
    assert match.distance <= 31


def test_what_says_nothing_is_near_to_nothing(lists):
    """A blank upload has no hash worth the name, though a list may hold one."""
    assert entries_near(lists, [np.full((512, 512), 200, np.uint8)]) == []


def test_of_several_views_and_lists_the_nearest_comes_first(lists, tmp_path):
    near = bytearray(pdq(view()).hashes[0])
    near[0] ^= 0b111
    (tmp_path / "lists/third.csv").write_text(f"hash,reference\n{near.hex()},near\n")
    matches = entries_near(lists, [view("rocket.jpg"), view()])
    assert [(match.list, match.distance) for match in matches] == [("house", 0), ("third", 3)]


def test_a_list_that_changes_is_read_again_and_the_old_index_goes(lists, tmp_path):
    assert entries_near(lists, [view("rocket.jpg")]) == []
    (tmp_path / "lists/new.csv").write_text(f"{hex_of(view('rocket.jpg'))}\n")
    assert entries_near(lists, [view("rocket.jpg")]) == [ListIndexMatch("new", "", 0)]
    (tmp_path / "lists/new.csv").unlink()
    assert entries_near(lists, [view("rocket.jpg")]) == []
    assert len(list((tmp_path / "index").glob("lists-*"))) == 1


def test_building_says_what_is_in_them_and_is_done_once(lists, tmp_path):
    wanted = [IndexedHashList("house", 2, 0), IndexedHashList("other", 1, 0)]
    assert lists.build() == wanted
    (index,) = (tmp_path / "index").iterdir()
    before = {path.name: path.stat().st_mtime_ns for path in index.iterdir()}
    assert HashListIndex(tmp_path / "lists", tmp_path / "index").build() == wanted
    assert {path.name: path.stat().st_mtime_ns for path in index.iterdir()} == before


def test_no_lists_let_everything_through(tmp_path):
    (tmp_path / "lists").mkdir()
    assert entries_near(HashListIndex(tmp_path / "lists", tmp_path / "index"), [view()]) == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("bad.csv", "hash\nzz\n", "bad.csv:2: a hash is 64"),
        ("Bad Name.csv", "hash\n", "a list's name"),
        ("=cmd.csv", "hash\n", "a list's name"),
        ("bad.csv", b"\xff\xfe", "bad.csv"),
    ],
)
def test_while_a_list_cannot_be_read_nothing_is_let_through(lists, tmp_path, name, text, message):
    entries_near(lists, [view()])
    (tmp_path / "lists" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ListsUnavailable, match=message):
        entries_near(lists, [view("rocket.jpg")])
    with pytest.raises(InvalidInput, match=message):
        lists.build()
    (tmp_path / "lists" / name).unlink()
    assert entries_near(lists, [view()])


def test_a_folder_that_is_gone_lets_nothing_through(tmp_path):
    with pytest.raises(ListsUnavailable, match="no such folder"):
        entries_near(HashListIndex(tmp_path / "nowhere", tmp_path / "index"), [view()])


def test_large_lists_are_indexed_by_the_command_alone(lists, monkeypatch):
    monkeypatch.setattr(list_index, "MAX_IMPLICIT_BUILD_BYTES", 10)
    with pytest.raises(ListsUnavailable, match="run `nightlight lists build`"):
        entries_near(lists, [view()])
    lists.build()
    assert entries_near(lists, [view()])


def test_an_index_that_was_cut_short_is_made_again_and_a_broken_one_lets_nothing_through(lists, tmp_path):
    lists.build()
    (index,) = (tmp_path / "index").iterdir()
    (index / "about.json").unlink()
    assert entries_near(lists, [view()])
    fresh = HashListIndex(tmp_path / "lists", tmp_path / "index")
    (index / "manifest.json").write_text("{")
    with pytest.raises(ListsUnavailable):
        entries_near(fresh, [view()])


def test_while_another_process_builds_this_one_waits_and_then_lets_nothing_through(lists, tmp_path, monkeypatch):
    monkeypatch.setattr(list_index, "_WAIT_S", 0.05)
    lists.build()
    (index,) = (tmp_path / "index").iterdir()
    os.utime(tmp_path / "lists/house.csv", (1, 1))
    target, _ = lists._target()
    target.mkdir(parents=True)
    with HashIndex(target, write=True):
        with pytest.raises(ListsUnavailable):
            entries_near(lists, [view()])
        with pytest.raises(Conflict):
            lists.build()
    assert entries_near(lists, [view()])
    assert not index.exists()
