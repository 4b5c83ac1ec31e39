"""The feed of changes over real databases: every change is told, whoever makes it and in whatever order it ends."""

import threading

import pytest
from sqlalchemy import delete, insert, select, update

from nightlight.catalogue.feed import KEPT_S, NAME, PROFILE
from nightlight.catalogue.image_states import DELETE, StateChange, change
from nightlight.catalogue.schema import canaries, changes, images, profiles, renditions
from nightlight_core.errors import InvalidInput
from tests.support.databases import catalogue_at, postgres_database
from tests.support.flow_container import START
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


def look(catalogue, cursor=None):
    with catalogue.reading() as tx:
        return tx.feed.since(cursor)


def quiet(catalogue, cursor=None):
    """The cursor from which nothing is told any more.

    A look that meets more running transactions than a cursor holds goes back to the oldest one of the whole server,
    another database's too.
    """
    at = [cursor or look(catalogue).cursor]

    def nothing():
        changes = look(catalogue, at[0])
        at[0] = changes.cursor
        return not changes.changed and not changes.reset

    eventually(nothing)
    return at[0]


def begun(catalogue, profile_id="p"):
    """A profile with an image and a rendition, written by hand."""
    with catalogue.transaction() as tx:
        tx.connection.execute(insert(profiles).values(
            profile_id=profile_id, state="live", band="adult", asserted_band="adult", assurance="verified", region="eu", choice="connections",
            report_flag="clear", asserted_at=START, generation=0, uploads=0, created_at=START))  # fmt: skip
        tx.connection.execute(insert(images).values(
            image_id=profile_id * 32, profile_id=profile_id, sequence=1, state="ready", original_key=profile_id,
            original_bytes=1, format="jpeg", width=1, height=1, band="adult", ceiling_band="adult", created_at=START))  # fmt: skip
        tx.connection.execute(insert(renditions).values(
            name=profile_id * 32, image_id=profile_id * 32, tier="tiny", generation=0, recipe="r", format="webp", bytes=1,
            width=1, height=1, sha256="0" * 64, variant=0, created_at=START))  # fmt: skip


CHANGES = {
    "a declaration": lambda tx: tx.connection.execute(update(profiles).values(band="unknown")),
    "a report": lambda tx: tx.profiles.set_report_flag("p", "reported"),
    "a generation": lambda tx: tx.profiles.raise_generation("p"),
    "a deletion": lambda tx: tx.profiles.delete("p"),
    "another picture": lambda tx: tx.profiles.set_current("p", "p" * 32),
    "a release": lambda tx: tx.images.release("p", "adult"),
    "a lower ceiling": lambda tx: tx.images.lower_ceiling("p", "age_13_15", looser=("age_16_17", "adult")),
    "a state": lambda tx: change(tx, DELETE, "p" * 32, START, StateChange("t")),
    "another name": lambda tx: tx.images.rename("p" * 32, "q" * 32, 1),
    "no renditions": lambda tx: tx.connection.execute(delete(renditions)),
    "a block": lambda tx: tx.blocks.add("p", "v", START),
    "a canary": lambda tx: tx.abuse_signals.plant("p", START),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_told_and_only_once_it_counts(fresh, name):
    begun(fresh)
    assert look(fresh).reset
    cursor = quiet(fresh)
    with pytest.raises(RuntimeError), fresh.transaction() as tx:
        CHANGES[name](tx)
        raise RuntimeError
    again = look(fresh, cursor)
    assert (again.changed, again.reset) == ([], False)
    with fresh.transaction() as tx:
        CHANGES[name](tx)
    changes = look(fresh, again.cursor)
    assert (PROFILE, "p") in changes.changed
    assert not changes.reset
    quiet(fresh, changes.cursor)


def test_blocks_and_canaries_that_end_are_told_too(fresh):
    begun(fresh)
    with fresh.transaction() as tx:
        tx.blocks.add("p", "v", START)
        tx.abuse_signals.plant("p", START)
    cursor = quiet(fresh)
    with fresh.transaction() as tx:
        tx.blocks.remove("p", "v")
    changes = look(fresh, cursor)
    assert changes.changed == [(PROFILE, "p")]
    cursor = quiet(fresh, changes.cursor)
    with fresh.transaction() as tx:
        tx.connection.execute(delete(canaries))
    assert look(fresh, cursor).changed == [(PROFILE, "p")]


def test_revoked_names_are_told(fresh):
    begun(fresh)
    cursor = quiet(fresh)
    with fresh.transaction() as tx:
        tx.revocations.add("p", START)
    changes = look(fresh, cursor)
    assert changes.changed == [(NAME, "p" * 32)]
    cursor = quiet(fresh, changes.cursor)
    with fresh.transaction() as tx:
        tx.revocations.drop("p" * 32, ["p" * 32])
    assert look(fresh, cursor).changed == []


def test_a_change_that_began_first_and_ends_last_is_not_missed():
    """PostgreSQL gives numbers when rows are written and shows them when their transactions end."""
    with postgres_database() as url, catalogue_at(url) as catalogue:
        begun(catalogue, "a")
        begun(catalogue, "b")
        cursor = quiet(catalogue)
        with catalogue.transaction() as slow:
            slow.profiles.raise_generation("a")
            with catalogue.transaction() as quick:
                quick.profiles.raise_generation("b")
            first = look(catalogue, cursor)
            assert first.changed == [(PROFILE, "b")]
            still = look(catalogue, first.cursor)
            assert still.changed == []
        last = look(catalogue, still.cursor)
        assert last.changed == [(PROFILE, "a")]
        assert look(catalogue, last.cursor).changed == []


def test_changes_behind_a_transaction_that_stays_open_are_read_once():
    """However long it is open, whatever it is, a poll reads what is new."""
    with postgres_database() as url, catalogue_at(url) as catalogue:
        for profile_id in "ab":
            begun(catalogue, profile_id)
        with catalogue.transaction() as idle:
            idle.profiles.raise_generation("a")
            cursor = look(catalogue).cursor
            for _ in range(5):
                for _ in range(20):
                    with catalogue.transaction() as tx:
                        tx.profiles.raise_generation("b")
                page = look(catalogue, cursor)
                assert page.changed == [(PROFILE, "b")]
                cursor = page.cursor
                assert look(catalogue, cursor).changed == []
        assert look(catalogue, cursor).changed == [(PROFILE, "a")]


def test_a_cursor_of_fewer_transactions_still_counts_when_there_are_more_than_one_holds(monkeypatch):
    with postgres_database() as url, catalogue_at(url) as catalogue:
        for profile_id in "abc":
            begun(catalogue, profile_id)
        with catalogue.transaction() as first:
            first.profiles.raise_generation("a")
            cursor = look(catalogue).cursor
            with catalogue.transaction() as other:
                other.profiles.raise_generation("c")
            monkeypatch.setattr("nightlight.catalogue.feed.MOST_OPEN", 0)
            page = look(catalogue, cursor)
            assert (page.reset, page.changed) == (False, [(PROFILE, "c")])
        assert (PROFILE, "a") in look(catalogue, page.cursor).changed


def test_more_running_transactions_than_a_cursor_holds_lose_no_change(monkeypatch):
    monkeypatch.setattr("nightlight.catalogue.feed.MOST_OPEN", 1)
    with postgres_database() as url, catalogue_at(url) as catalogue:
        for profile_id in "abc":
            begun(catalogue, profile_id)
        with catalogue.transaction() as first:
            first.profiles.raise_generation("a")
            with catalogue.transaction() as second:
                second.profiles.raise_generation("b")
                with catalogue.transaction() as ended:  # whoever began before one that has ended is in the snapshot
                    ended.profiles.raise_generation("c")
                cursor = look(catalogue).cursor
                assert cursor.count(".") == 1
        assert {(PROFILE, "a"), (PROFILE, "b")} <= set(look(catalogue, cursor).changed)


def reread(catalogue, cursor, known):
    """Read again what is told, and nothing else."""
    changes = look(catalogue, cursor)
    with catalogue.reading() as tx:
        for kind, key in changes.changed:
            if kind == PROFILE:
                known[key] = tx.profiles.get(key).generation
    return changes.cursor


def test_under_many_writers_no_change_is_missed(fresh):
    people = "abcdefgh"
    for profile_id in people:
        begun(fresh, profile_id)
    cursor = look(fresh).cursor
    known = dict.fromkeys(people, 0)

    def write(profile_id):
        for _ in range(25):
            with fresh.transaction() as tx:
                tx.profiles.raise_generation(profile_id)

    writers = [threading.Thread(target=write, args=(profile_id,)) for profile_id in people]
    for thread in writers:
        thread.start()
    while any(thread.is_alive() for thread in writers):
        cursor = reread(fresh, cursor, known)
    reread(fresh, cursor, known)
    assert known == dict.fromkeys(people, 25)


def test_who_was_away_for_long_or_comes_from_elsewhere_starts_again(fresh):
    begun(fresh)
    begin, at = look(fresh).cursor.split(".")[:2]
    assert look(fresh, f"{begin}.{int(at) - KEPT_S}").reset
    assert look(fresh, f"{int(begin) + 10**9}.{at}").reset
    for wrong in (
        "", "1", "x.1", "1.x", "-1.1", "1.1.1", "9.1.0", "9.1.9", "9.1.", "9.1.1-", "9.1.1.1", "9.1" + ".1" * 2,
        "999.1." + "-".join(["1"] * 101), "9" * 30 + ".1", "1.1\n", "9.1.1\n",
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            look(fresh, wrong)


def test_old_changes_are_forgotten_and_numbers_go_on(fresh):
    begun(fresh)
    with fresh.transaction() as tx:
        tx.connection.execute(update(changes).values(at=changes.c.at - KEPT_S - 1))
        tx.feed.forget()
        assert tx.connection.execute(select(changes)).all() == []
    cursor = look(fresh).cursor
    with fresh.transaction() as tx:
        tx.profiles.raise_generation("p")
    assert look(fresh, cursor).changed == [(PROFILE, "p")]
