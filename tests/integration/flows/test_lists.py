"""Hash lists that lose something let nothing through; images that are published are held against a list that changes."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from nightlight.catalogue import images
from nightlight.catalogue.profiles import Declaration
from nightlight.catalogue.tables import audit, hash_lists, list_matches, revocations, screenings
from nightlight.catalogue.tables import jobs as jobs_table
from nightlight.delivery.object_names import Names
from nightlight.delivery.purge import Purge
from nightlight.flows.pictures.hash_list_matches import Verdicts
from nightlight.flows.pictures.hash_lists import Screening
from nightlight.flows.pictures.rescreen import Rescreen
from nightlight.flows.pictures.revoke import RotateNames
from nightlight.imaging.header_readers import Format
from nightlight.imaging.match_squares import canonical, views, whole
from nightlight.imaging.probe import Caps, probe
from nightlight.jobs import kinds
from nightlight.matching import list_index
from nightlight.matching.list_index import Lists, hashes_of
from nightlight.matching.pdq import distance, pdq
from nightlight.store.interface import as_it_is
from nightlight_core.errors import ListsUnavailable, NotFound
from tests.support import pictures

pytestmark = pytest.mark.integration
LISTED, OTHER, PLAIN = "astronaut.png", "coffee.png", "rocket.jpg"


def view(name):
    return canonical(pictures.opened(pictures.photograph(name)).convert("RGB"), 512)


def hex_of(name):
    return bytes(pdq(view(name)).hashes[0]).hex()


def filler(count, seed=0):
    """Hashes of nothing in particular: (seed, number) told apart in every word."""
    return [f"{(seed * 1000 + number + 1) * 0x9E3779B97F4A7C15 % 2**64:016x}" * 4 for number in range(count)]


class Folder:
    def __init__(self, path):
        self.path = path
        path.mkdir(exist_ok=True)

    def write(self, name, hashes):
        (self.path / f"{name}.csv").write_text("hash\n" + "".join(f"{one}\n" for one in hashes))


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "lists")


@pytest.fixture
def screened(house, folder, tmp_path, monkeypatch):
    """A house whose uploads are held against the lists of a folder, looked at each time."""
    monkeypatch.setattr(list_index, "_LOOK_AGAIN_S", 0.0)
    with house.catalogue.transaction() as tx:
        for table in (hash_lists, screenings):
            tx.connection.execute(table.delete())
    house.lists = Lists(folder.path, tmp_path / "index")
    house.screening = Screening(house.catalogue, house.lists, house.clock)
    object.__setattr__(house.render, "screening", house.screening)
    views = lambda data, _: [canonical(pictures.opened(data).convert("RGB"), 512)]  # noqa: E731
    house.rescreen = Rescreen(
        house.render.runner, house.screening, house.originals, as_it_is, views, max_bytes=20_000_000
    )
    house.rename = RotateNames(
        house.render.runner, house.renditions, Names(bytes(32)), Purge(None, token=None, timeout_s=1)
    )
    return house


def upload(house, profile_id, name):
    house.views = [view(name)]
    return house.upload(profile_id, pictures.photograph(name)).image_id


def deliver(house):
    """Do everything that is waiting, whatever it leads to; return the endings."""
    endings = []
    while True:
        house.relay.run_once()
        sent, house.sent[:] = list(house.sent), []
        if not sent:
            return endings
        run = {
            "nightlight.render": house.render.run, "nightlight.rescreen": house.rescreen.run,
            "nightlight.rotate_names": house.rename.run, "nightlight.erase": house.erase.run,
            "nightlight.verify_erasure": house.erase.verify, "nightlight.retention_tags": house.retention_tags.run,
        }  # fmt: skip
        endings += [run[task](job_id, redelivered=False) for task, job_id in sent]


def later(house):
    house.clock.forward(hours=1)
    house.reconciler.run_once()
    return deliver(house)


def events(house, name):
    with house.catalogue.reading() as tx:
        return [row.detail for row in tx.connection.execute(audit.select().where(audit.c.event == name))]


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
    whole = [hex_of(LISTED), *filler(40)]
    folder.write("a", whole)
    screened.screening.look()
    loss(folder)
    image_id = upload(screened, profile_id, LISTED)
    assert "later" in deliver(screened)
    assert screened.state(image_id) == images.PENDING
    # Another worker, or this one after a restart, knows what there was.
    again = Screening(screened.catalogue, Lists(folder.path, tmp_path / "other-index"), screened.clock)
    with pytest.raises(ListsUnavailable):
        again.screen(bytes(32))
    with screened.catalogue.reading() as tx:
        query = jobs_table.select().where(jobs_table.c.image_id == image_id, jobs_table.c.kind == kinds.RENDER.name)
        assert tx.connection.execute(query).one().reason == "lists_unavailable"
    for path in folder.path.iterdir() if folder.path.is_dir() else ():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    folder.path.mkdir(exist_ok=True)
    folder.write("a", whole)
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
    assert [one.name for one in screened.screening.report() if one.waits] == ["a"]
    with pytest.raises(NotFound):
        screened.screening.confirm("b", actor="cli:ann")
    (confirmed,) = screened.screening.confirm("a", actor="cli:ann")
    assert events(screened, "list.confirmed")[-1] == {
        "list": "a", "what": confirmed.waits, "known": 41, "hashes": confirmed.hashes or 0,
    }  # fmt: skip
    assert images.READY in later(screened)
    assert screened.state(image_id) == images.READY
    assert not [one for one in screened.screening.report() if one.waits]


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


def test_what_is_published_is_held_against_a_list_that_grows_and_taken_back(screened, folder, profile_id):
    folder.write("a", filler(3))
    listed_id = upload(screened, profile_id, LISTED)
    assert images.READY in deliver(screened)
    other = f"{profile_id}-other"
    screened.declare.declare(other, Declaration("adult", "verified", "eu", "everyone"), follow_band=False, actor="t")
    other_id = upload(screened, other, OTHER)
    deliver(screened)
    shown = screened.shown()
    with screened.catalogue.reading() as tx:
        names = {name for name, _ in tx.images.rendition_names(listed_id)}
    folder.write("a", [*filler(3), hex_of(LISTED)])
    screened.screening.look()
    with screened.catalogue.reading() as tx:
        assert tx.jobs.open(kinds.RESCREEN.name) == 1
    screened.relay.run_once()
    sent, screened.sent[:] = list(screened.sent), []
    (job_id,) = [job_id for task, job_id in sent if task == "nightlight.rescreen"]
    assert screened.rescreen.run(job_id, redelivered=False) == "rescreened"
    with screened.catalogue.reading() as tx:  # at once, before any other job is done: names are refused everywhere
        assert tx.profiles.get(profile_id).current_image_id is None
        assert names <= tx.revocations.names()
        image = tx.images.get(listed_id)
    assert (image.state, image.reason) == (images.QUARANTINED, "listed")
    assert screened.state(other_id) == images.READY
    deliver(screened)
    left = set(screened.shown())
    assert len(shown) - len(left) == len(names)
    assert not [key for key in left if any(name in key for name in names)]
    with screened.catalogue.reading() as tx:
        assert tx.images.renditions(listed_id) == []
    assert [entry.list for entry in Verdicts(screened.catalogue, screened.clock).report(verdict="open")
            if entry.image_id == listed_id] == ["a"]  # fmt: skip
    Verdicts(screened.catalogue, screened.clock).clear(listed_id, actor="cli:ann")
    assert images.READY in deliver(screened)
    folder.write("a", [*filler(4), hex_of(LISTED)])  # what was cleared is not found again
    screened.screening.look()
    deliver(screened)
    assert screened.state(listed_id) == images.READY


def test_images_from_before_there_were_lists_are_decoded_for_it_once(screened, folder, profile_id):
    object.__setattr__(screened.render, "screening", None)
    image_id = upload(screened, profile_id, LISTED)
    assert images.READY in deliver(screened)
    object.__setattr__(screened.render, "screening", screened.screening)
    folder.write("a", [hex_of(LISTED)])
    screened.screening.look()
    deliver(screened)
    assert screened.state(image_id) == images.QUARANTINED
    with screened.catalogue.reading() as tx:
        assert tx.screenings.unhashed((images.READY, images.SUPERSEDED), limit=10) == []


def test_a_list_that_changes_while_a_picture_is_rendered_is_not_missed(screened, folder, profile_id, monkeypatch):
    folder.write("a", filler(3))
    screened.screening.look()
    deliver(screened)
    image_id = upload(screened, profile_id, LISTED)
    real = screened.screening.screen

    def then_it_changes(hashes):
        found = real(hashes)
        folder.write("a", [*filler(3), hex_of(LISTED)])
        Screening(screened.catalogue, screened.lists, screened.clock).look()
        return found

    monkeypatch.setattr(Screening, "screen", lambda _, hashes: then_it_changes(hashes))
    screened.relay.run_once()
    sent, screened.sent[:] = list(screened.sent), []
    assert screened.render.run(sent[0][1], redelivered=False) == "later"
    monkeypatch.undo()
    monkeypatch.setattr(list_index, "_LOOK_AGAIN_S", 0.0)
    assert images.QUARANTINED in later(screened)
    assert screened.state(image_id) == images.QUARANTINED


def test_a_list_that_is_written_while_it_is_read_is_read_again(folder, tmp_path, monkeypatch):
    folder.write("a", filler(3))
    real = list_index.read_list

    def written_meanwhile(path, name):
        found = real(path, name)
        folder.write("a", filler(9))
        return found

    monkeypatch.setattr(list_index, "read_list", written_meanwhile)
    lists = Lists(folder.path, tmp_path / "index")
    with pytest.raises(ListsUnavailable, match="written while it was read"):
        lists.state()
    monkeypatch.undo()
    assert [one.hashes for one in lists.state()] == [9]


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
    elsewhere = Screening(screened.catalogue, Lists(older.path, tmp_path / "older-index"), screened.clock)
    before = screened.screening.revision()
    assert before > 0
    with pytest.raises(ListsUnavailable, match="older"):
        elsewhere.look()
    assert screened.screening.revision() == before
    object.__setattr__(screened.render, "screening", elsewhere)
    image_id = upload(screened, profile_id, PLAIN)
    assert "later" in deliver(screened)
    assert screened.state(image_id) == images.PENDING
    # It may be the right one, of which nobody kept the time: people say so.
    assert [one.waits for one in elsewhere.confirm("a", actor="t")] == ["older"]
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
        for table in (screenings, list_matches, revocations):
            assert tx.connection.execute(table.select().where(table.c.image_id == image_id)).all() == []


@pytest.mark.parametrize(
    "canvas", [(300, 480), (300, 599), (301, 600), (480, 300), (300, 900), (1000, 300), (640, 3900)]
)
@pytest.mark.parametrize("where", ["start", "middle", "end", "crop"])
def test_a_listed_square_is_found_wherever_it_lies_in_a_longer_picture(cage, canvas, where):
    width, height = canvas
    side, spare = min(canvas), max(canvas) - min(canvas)
    shown = min(max(canvas), 2 * side)  # what is longer is cut to this first, at the same share
    cut = (max(canvas) - shown) * (0.5 if width > height else 0.4)
    crop = cut + (shown - side) * (0.5 if width > height else 0.4)
    at = {"start": 0, "middle": spare // 2, "end": spare, "crop": round(crop)}[where]
    made = Image.effect_noise(canvas, 60).convert("RGB")
    made.paste(pictures.opened(pictures.photograph()).convert("RGB").resize((side, side)),
               (at, 0) if width > height else (0, at))  # fmt: skip
    data = pictures.encoded(made, "PNG")
    header = probe(data, Caps(formats=frozenset(Format)), edge=512)
    found = np.frombuffer(hashes_of(views(whole(cage, data, header)) + views(cage.frame(data, header, edge=512))),
                          np.uint8).reshape(-1, 32)  # fmt: skip
    wanted = np.frombuffer(bytes.fromhex(hex_of(LISTED)), np.uint8)
    assert int(distance(found, wanted).min()) <= 31
