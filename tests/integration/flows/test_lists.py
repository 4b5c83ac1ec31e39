"""Hash lists that lose something let nothing through; what is found of a picture is found wherever it lies."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from nightlight.catalogue import images
from nightlight.catalogue.matching_schema import hash_list_matches, screenings
from nightlight.catalogue.schema import jobs as jobs_table
from nightlight.catalogue.schema import revocations
from nightlight.flows.pictures.hash_lists import Screening
from nightlight.imaging.formats import Format
from nightlight.imaging.match_squares import candidate_lumas, whole_picture
from nightlight.imaging.probe import UploadCaps, probe
from nightlight.jobs import kinds
from nightlight.matching import list_index
from nightlight.matching.list_index import HashListIndex, hash_lumas
from nightlight.matching.pdq import distance
from nightlight_core.errors import ListsUnavailable, NotFound
from tests.support import pictures
from tests.support.lists import LISTED, PLAIN, Folder, deliver, events, filler, hex_of, later, upload

pytestmark = pytest.mark.integration


def emptied(folder):
    (folder.path / "a.csv").write_text("")


def header_alone(folder):
    folder.write("a", [])


def deleted(folder):
    (folder.path / "a.csv").unlink()


def folder_gone(folder):
    shutil.rmtree(folder.path)


def folder_emptied(folder):
    for path in folder.path.iterdir():
        path.unlink()


def renamed(folder):
    (folder.path / "a.csv").rename(folder.path / "z.csv")


def ending_changed(folder):
    (folder.path / "a.csv").rename(folder.path / "a.csv.old")


def shrunken(folder):
    folder.write("a", [hex_of(LISTED), *filler(35)])


def replaced_by_others(folder):
    """As many as before, and nothing of what was there."""
    folder.write("a", filler(40, seed=7))


def a_folder_in_its_place(folder):
    deleted(folder)
    (folder.path / "a.csv").mkdir()


def a_pipe_in_its_place(folder):
    deleted(folder)
    os.mkfifo(folder.path / "a.csv")


def a_link_to_nothing(folder):
    deleted(folder)
    (folder.path / "a.csv").symlink_to("nowhere")


def endless(folder):
    deleted(folder)
    (folder.path / "a.csv").symlink_to("/dev/zero")


LOSSES = [
    emptied, header_alone, deleted, folder_gone, folder_emptied, renamed, ending_changed, shrunken, replaced_by_others,
    a_folder_in_its_place, a_pipe_in_its_place, a_link_to_nothing, endless,
]  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_a_list_that_loses_something_lets_nothing_through_until_it_is_back(
    screened, folder, profile_id, tmp_path, loss
):  # fmt: skip
    entries = [hex_of(LISTED), *filler(40)]
    folder.write("a", entries)
    screened.screening.look()
    loss(folder)
    image_id = upload(screened, profile_id, LISTED)
    assert "later" in deliver(screened)
    assert screened.state(image_id) == images.PENDING
    # Another worker, or this one after a restart, knows what there was.
    again = Screening(screened.catalogue, HashListIndex(folder.path, tmp_path / "other-index"), screened.clock)
    with pytest.raises(ListsUnavailable):
        again.screen(bytes(32))
    with screened.catalogue.reading() as tx:
        query = jobs_table.select().where(jobs_table.c.image_id == image_id, jobs_table.c.kind == kinds.RENDER.name)
        assert tx.connection.execute(query).one().reason == "lists_unavailable"
    for path in folder.path.iterdir() if folder.path.is_dir() else ():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.path.mkdir(exist_ok=True)
    folder.write("a", entries)
    assert images.QUARANTINED in later(screened)
    assert screened.state(image_id) == images.QUARANTINED


@pytest.mark.parametrize("loss", [header_alone, deleted, shrunken, replaced_by_others], ids=lambda loss: loss.__name__)
def test_an_operator_may_confirm_what_a_list_lost(screened, folder, profile_id, loss):
    folder.write("a", [hex_of(LISTED), *filler(40)])
    folder.write("b", filler(3, seed=3))
    screened.screening.look()
    with pytest.raises(NotFound):
        screened.screening.confirm("a", actor="cli:ann")
    loss(folder)
    image_id = upload(screened, profile_id, PLAIN)
    assert "later" in deliver(screened)
    assert [report_row.name for report_row in screened.screening.report() if report_row.waits] == ["a"]
    with pytest.raises(NotFound):
        screened.screening.confirm("b", actor="cli:ann")
    (confirmed,) = screened.screening.confirm("a", actor="cli:ann")
    assert events(screened, "list.confirmed")[-1] == {
        "list": "a", "what": confirmed.waits, "known": 41, "hashes": confirmed.hashes or 0,
    }  # fmt: skip
    assert images.READY in later(screened)
    assert screened.state(image_id) == images.READY
    assert not [report_row for report_row in screened.screening.report() if report_row.waits]


def test_small_losses_add_up(screened, folder):
    """Nine in a hundred at a time is a list gone in a while: what is known does not shrink by itself."""
    entries = filler(100)
    folder.write("a", entries)
    screened.screening.look()
    folder.write("a", entries[:95])
    screened.screening.look()
    folder.write("a", entries[:91])
    screened.screening.look()
    folder.write("a", entries[:89])
    with pytest.raises(ListsUnavailable, match="shrunken"):
        screened.screening.look()


def test_a_folder_without_any_list_lets_nothing_through_until_that_is_confirmed(screened, profile_id):
    image_id = upload(screened, profile_id, PLAIN)
    assert deliver(screened) == ["later"]
    assert screened.screening.confirm(None, actor="cli:ann") == []
    assert images.READY in later(screened)
    assert screened.state(image_id) == images.READY


def test_a_worker_without_the_setting_lets_nothing_through_while_lists_are_known(screened, folder, profile_id):
    folder.write("a", filler(3))
    screened.screening.look()
    object.__setattr__(screened.render, "screening", None)
    upload(screened, profile_id, PLAIN)
    assert "later" in deliver(screened)


def test_a_list_that_changes_while_a_picture_is_rendered_is_not_missed(screened, folder, profile_id, monkeypatch):
    folder.write("a", filler(3))
    screened.screening.look()
    deliver(screened)
    image_id = upload(screened, profile_id, LISTED)
    real = screened.screening.screen

    def then_it_changes(hashes, md5):
        matches = real(hashes, md5)
        folder.write("a", [*filler(3), hex_of(LISTED)])
        Screening(screened.catalogue, screened.lists, screened.clock).look()
        return matches

    monkeypatch.setattr(Screening, "screen", lambda _, hashes, md5=b"": then_it_changes(hashes, md5))
    screened.relay.run_once()
    sent, screened.sent[:] = list(screened.sent), []
    assert screened.render.run(sent[0][1], redelivered=False) == "later"
    monkeypatch.undo()
    monkeypatch.setattr(list_index, "_RECHECK_S", 0.0)
    assert images.QUARANTINED in later(screened)
    assert screened.state(image_id) == images.QUARANTINED


def test_a_list_that_is_written_while_it_is_read_is_read_again(folder, tmp_path, monkeypatch):
    folder.write("a", filler(3))
    real = list_index.read_hash_list

    def written_meanwhile(path, name):
        hash_list = real(path, name)
        folder.write("a", filler(9))
        return hash_list

    monkeypatch.setattr(list_index, "read_hash_list", written_meanwhile)
    lists = HashListIndex(folder.path, tmp_path / "index")
    with pytest.raises(ListsUnavailable, match="written while it was read"):
        lists.state()
    monkeypatch.undo()
    assert [state.hashes for state in lists.state()] == [9]


def test_a_machine_with_an_older_copy_neither_takes_it_over_nor_counts_as_having_looked(
    screened, folder, profile_id, tmp_path
):  # fmt: skip
    folder.write("a", filler(20))
    screened.screening.look()
    deliver(screened)
    older = Folder(tmp_path / "older")
    older.write("a", filler(19))
    past = (folder.path / "a.csv").stat().st_mtime_ns - 10**12
    os.utime(older.path / "a.csv", ns=(past, past))
    elsewhere = Screening(
        screened.catalogue, HashListIndex(older.path, tmp_path / "older-index"), screened.clock, "second"
    )
    before = screened.screening.revision()
    assert before > 0
    with pytest.raises(ListsUnavailable, match=r"'a' is older here .* by worker:first"):
        elsewhere.look()
    (here,), (elsewhere_report,) = screened.screening.report(), elsewhere.report()
    assert (here.waits, elsewhere_report.waits) == ("", "older")
    assert here.known_by == elsewhere_report.known_by == "worker:first"
    assert here.known_file_at == elsewhere_report.known_file_at == here.file_at > elsewhere_report.file_at
    assert screened.screening.revision() == before
    object.__setattr__(screened.render, "screening", elsewhere)
    image_id = upload(screened, profile_id, PLAIN)
    assert "later" in deliver(screened)
    assert screened.state(image_id) == images.PENDING
    # It may be the right one, of which nobody kept the time: people say so.
    assert [report_row.waits for report_row in elsewhere.confirm("a", actor="t")] == ["older"]
    assert elsewhere.look() > before


def test_an_erasure_takes_the_hashes_along(screened, folder, profile_id):
    folder.write("a", filler(3))
    image_id = upload(screened, profile_id, PLAIN)
    deliver(screened)
    with screened.catalogue.reading() as tx:
        assert tx.connection.execute(screenings.select().where(screenings.c.image_id == image_id)).one().hashes
    screened.delete.image(image_id, actor="t")
    deliver(screened)
    with screened.catalogue.reading() as tx:
        for table in (screenings, hash_list_matches, revocations):
            assert tx.connection.execute(table.select().where(table.c.image_id == image_id)).all() == []


@pytest.mark.parametrize(
    "canvas", [(300, 480), (300, 599), (301, 600), (480, 300), (300, 900), (1000, 300), (640, 3900)]
)
@pytest.mark.parametrize("where", ["start", "middle", "end", "crop"])
def test_a_listed_square_is_found_wherever_it_lies_in_a_longer_picture(sandbox, canvas, where):
    width, height = canvas
    side, spare = min(canvas), max(canvas) - min(canvas)
    shown = min(max(canvas), 2 * side)  # what is longer is cut to this first, at the same share
    cut = (max(canvas) - shown) * (0.5 if width > height else 0.4)
    crop = cut + (shown - side) * (0.5 if width > height else 0.4)
    at = {"start": 0, "middle": spare // 2, "end": spare, "crop": round(crop)}[where]
    canvas_image = Image.effect_noise(canvas, 60).convert("RGB")
    canvas_image.paste(pictures.opened(pictures.photograph()).convert("RGB").resize((side, side)),
               (at, 0) if width > height else (0, at))  # fmt: skip
    data = pictures.encoded(canvas_image, "PNG")
    header = probe(data, UploadCaps(formats=frozenset(Format)), edge=512)
    hashes = np.frombuffer(hash_lumas(candidate_lumas(whole_picture(sandbox, data, header)) + candidate_lumas(sandbox.frame(data, header, edge=512))),
                          np.uint8).reshape(-1, 32)  # fmt: skip
    wanted = np.frombuffer(bytes.fromhex(hex_of(LISTED)), np.uint8)
    assert int(distance(hashes, wanted).min()) <= 31
