"""An upload that is on a hash list: kept from everybody, reported, and rendered once somebody has cleared it."""

import csv
import json
import os
import platform
import stat
import time
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from nightlight.catalogue.schema import jobs
from nightlight.imaging.match_squares import square_luma
from nightlight.matching.list_index import _RECHECK_S
from nightlight.matching.pdq import pdq
from tests.support import pictures
from tests.support.command import run_command
from tests.support.stacks import Embedded
from tests.support.waiting import HANG_S, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


def hash_of(name):
    picture = pictures.opened(pictures.photograph(name)).convert("RGB")
    return bytes(pdq(square_luma(picture, 512)).hashes[0]).hex()


@pytest.fixture(scope="module")
def lists_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    (folder / "members.csv").write_text(f"hash,reference\n{hash_of('astronaut.png')},=case-17\n")
    return folder


@pytest.fixture(scope="module")
def stack(tmp_path_factory, lists_dir):
    with Embedded(tmp_path_factory.mktemp("listed"), NIGHTLIGHT_MATCHING_LISTS_DIR=str(lists_dir)) as started:
        yield started


@pytest.fixture(scope="module")
def client(stack):
    with stack.client() as connected:
        yield connected


def nightlight(stack, *arguments):
    return run_command(["lists", *arguments], {**stack.as_role("operator"), "COLUMNS": "250"})


def uploaded(client, profile_id, data, **how):
    client.declare(profile_id, band="adult", assurance="verified", region="eu", choice="everyone")
    return client.wait(client.upload(profile_id, data, **how).image_id)


def test_a_listed_upload_is_kept_from_everybody_until_it_is_cleared(stack, client, tmp_path):
    other = uploaded(client, "unlisted", pictures.photograph("coffee.png"))
    assert other.state == "ready"
    again = pictures.encoded(pictures.opened(pictures.photograph()).convert("RGB").resize((300, 300)), "JPEG")
    image = uploaded(client, "listed", again)
    assert (image.state, image.reason) == ("quarantined", "listed")
    (own_decision, nobody) = client.decide("peer", "profile", [("listed", "self"), ("no-such-profile", "self")])
    assert httpx.get(own_decision.url).content == httpx.get(nobody.url).content

    (row,) = json.loads(nightlight(stack, "report", "--json").stdout)
    assert (row["image_id"], row["profile_id"], row["list"], row["reference"]) == (
        image.image_id, "listed", "members", "=case-17"
    )  # fmt: skip
    assert row["distance"] <= 31
    path = tmp_path / "matches.csv"
    report = nightlight(stack, "report", "--csv", path)
    assert "members" in report.stdout
    with path.open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert line["reference"] == "'=case-17"

    assert nightlight(stack, "clear", image.image_id).returncode == 0
    assert client.wait(image.image_id).state == "ready"
    eventually(
        lambda: (
            client.decide("peer", "profile", [("listed", "self")])[0].url.split("?")[0]
            != own_decision.url.split("?")[0]
            or None
        )
    )
    assert nightlight(stack, "report").stdout.strip() == "no matches"
    (row,) = json.loads(nightlight(stack, "report", "--all", "--json").stdout)
    assert row["verdict"] == "cleared"
    assert row["decided_by"].startswith("cli:")
    twice = nightlight(stack, "clear", image.image_id)
    assert twice.returncode == 1
    assert "not in quarantine" in twice.stderr


def test_nothing_that_is_written_is_anybody_elses(stack, client):
    uploaded(client, "private", pictures.photograph("coffee.png"))
    data = Path(stack.environment["NIGHTLIGHT_DATA_DIR"])
    public = {"chain.pem", "root.pem"}  # in a folder that is not
    every = [path for path in (data, *data.rglob("*")) if not path.is_symlink() and path.name not in public]
    assert any(path.name == "catalogue.sqlite3" for path in every)
    assert [str(path) for path in every if stat.S_IMODE(path.lstat().st_mode) & 0o077] == []


def test_a_list_that_is_emptied_releases_nothing_and_what_is_published_is_held_against_one_that_grows(
    stack, client, lists_dir
):  # fmt: skip
    shown = uploaded(client, "grown", pictures.photograph("coffee.png"))
    assert shown.state == "ready"
    path = lists_dir / "members.csv"
    text = path.read_text()
    path.write_text("")
    time.sleep(_RECHECK_S)
    client.declare("emptied", band="adult", assurance="verified", region="eu")
    image = client.upload("emptied", pictures.photograph())

    def held():
        with stack.catalogue.reading() as tx:
            query = select(jobs.c.reason).where(jobs.c.image_id == image.image_id)
            return tx.connection.execute(query).scalar_one() == "lists_unavailable" or None

    eventually(held)
    report = nightlight(stack, "status", "--json")
    assert (report.returncode, json.loads(report.stdout)[0]["waits"]) == (2, "empty")
    # It comes back, and holds a picture that is published: the one is found, the other taken back.
    path.write_text(f"{text}{hash_of('coffee.png')},late\n")
    assert client.wait(image.image_id, timeout_s=HANG_S).state == "quarantined"
    eventually(lambda: client.image(shown.image_id).state == "quarantined" or None)
    assert nightlight(stack, "status").returncode == 0
    lost = nightlight(stack, "confirm-change", "members")
    assert lost.returncode == 1
    assert "waits to be confirmed" in lost.stderr
    path.write_text(text)
    assert nightlight(stack, "confirm-change", "members").returncode == 0


def test_one_that_is_confirmed_stays_where_it_is(stack, client):
    image = uploaded(client, "confirmed", pictures.photograph())
    assert image.state == "quarantined"
    assert nightlight(stack, "confirm", image.image_id).returncode == 0
    assert client.image(image.image_id).state == "quarantined"
    assert nightlight(stack, "clear", image.image_id).returncode == 1


def test_a_crop_of_the_owners_own_does_not_hide_the_rest(client):
    image = uploaded(client, "cropped", pictures.photograph(), crop=(0, 0, 120, 120))
    assert image.state == "quarantined"


def test_while_a_list_cannot_be_read_uploads_wait_and_go_on_once_it_can(stack, client, lists_dir):
    bad = lists_dir / "broken.csv"
    bad.write_text("hash\nnot a hash\n")
    client.declare("waiting", band="adult", assurance="verified", region="eu")
    time.sleep(_RECHECK_S)
    image = client.upload("waiting", pictures.photograph("rocket.jpg"))

    def held():
        with stack.catalogue.reading() as tx:
            query = select(jobs.c.reason).where(jobs.c.image_id == image.image_id)
            return tx.connection.execute(query).scalar_one() == "lists_unavailable" or None

    eventually(held)
    assert client.image(image.image_id).state == "pending"
    report = nightlight(stack, "build")
    assert report.returncode == 1
    assert "broken.csv:2: a hash is 64 hexadecimal digits" in report.stderr
    bad.unlink()
    assert client.wait(image.image_id).state == "ready"
    assert "members: 1 hashes" in nightlight(stack, "build").stdout


def test_status_says_that_this_hosts_copy_of_a_list_is_older_and_whose_is_newer(stack, lists_dir):
    path = lists_dir / "members.csv"
    text = path.read_text()
    eventually(
        lambda: [row["known"] for row in json.loads(nightlight(stack, "status", "--json").stdout)] == [1] or None
    )
    past = path.stat().st_mtime_ns - 10**12
    path.write_text(f"{text}{hash_of('rocket.jpg')},earlier\n")
    os.utime(path, ns=(past, past))
    report = nightlight(stack, "status", "--json")
    (row,) = json.loads(report.stdout)
    assert (report.returncode, row["waits"], row["host"], row["file"]) == (2, "older", platform.node(), str(path))
    assert row["file_at"] < row["known_file_at"]
    assert row["known_by"].partition(":")[0] in {"worker", "cli"}
    read = nightlight(stack, "status")
    assert read.returncode == 2
    assert f"{platform.node()}: {path} is of {row['file_at']}, and no newer than" in read.stdout
    path.write_text(text)
    assert nightlight(stack, "status").returncode == 0
