"""README and the tutorial, followed from an empty folder by their blocks alone, with the wheels of this tree."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from tests.colour import browser
from tests.conftest import ROOT
from tests.support import follow, tutorial_pictures

pytestmark = pytest.mark.integration
needs_wheels = pytest.mark.skipif(
    not os.environ.get("NIGHTLIGHT_TEST_WHEELS"), reason="makes whole environments: `make test-wheels` runs it"
)
README = ROOT / "README.md"
PICTURES = [sys.executable, "-m", "tests.support.page_pictures"]
# The side of a picture of each tier at most, in pixels (policies/tiers.yaml).
TINY, MEDIUM = 96, 320
# Mean difference, of 255, between two pictures of one page: watermarks lie elsewhere, and fonts differ a little.
SAME_PAGE = 8


@pytest.fixture
def reader(server, wheels, tmp_path):
    """The variables of a reader's terminal, in which Nightlight is not installed yet.

    Everything that it needs is there, as the lock names it, and pip asks no index: it has the wheels of this tree alone.
    """
    pip = [sys.executable, "-m", "pip", "--python", str(server.python)]
    subprocess.run([*pip, "uninstall", "--quiet", "--yes", "nightlight"], check=True)
    links, programs = tmp_path / "links", tmp_path / "programs"
    for folder in (links, programs):
        folder.mkdir()
    for wheel in wheels:
        (links / wheel.name).symlink_to(wheel)
    (programs / "pip").write_text(f'#!/bin/sh\nexec {shlex.join(pip)} "$@"\n')
    (programs / "pip").chmod(0o755)
    yield {
        "PATH": f"{programs}:{server.python.parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(links),
        "PIP_NO_DEPS": "1",
    }
    server.install("--no-index", *map(str, wheels))  # also where the page did not come so far


def followed(page, folder, environment, command):
    """Follow a page in a folder, and return what a command prints while what the page started runs."""
    steps = [sys.executable, "-m", "tests.support.follow", str(page), str(folder), "--", *command]
    done = subprocess.run(
        [*follow.alone(), *steps], cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def side(picture):
    return max(picture["width"], picture["height"])


def assert_each_sees_less(own, connection, stranger):
    """A connection's picture differs by its watermark at least; a stranger's is small."""
    assert len({picture["sha256"] for picture in (own, connection, stranger)}) == 3
    assert TINY < side(connection) <= min(MEDIUM, side(own))
    assert side(stranger) <= TINY


@needs_wheels
def test_readme_leads_from_an_empty_folder_to_a_page_with_pictures(reader, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    page = str(folder / "shop/page.html")
    own, connection, stranger = json.loads(followed(README, folder, reader, [*PICTURES, page]))[page]
    assert not any(picture["placeholder"] for picture in (own, connection, stranger))
    assert_each_sees_less(own, connection, stranger)


@needs_wheels
def test_the_tutorial_leads_from_an_empty_folder_to_a_feed_that_hides_minors(reader, tmp_path):
    folder, taken = tmp_path / "empty", tmp_path / "taken"
    folder.mkdir()
    taken.mkdir()
    feeds = {who: tutorial_pictures.FEED + viewer for who, viewer in tutorial_pictures.VIEWERS.items()}
    looks = shlex.join([*PICTURES, *feeds.values()])
    if browser.program():
        looks += " && " + shlex.join([sys.executable, "-m", "tests.support.tutorial_pictures", str(taken)])
    answers = json.loads(followed(tutorial_pictures.PAGE, folder, reader, ["bash", "-c", looks]))
    seen = {who: {picture["id"]: picture for picture in answers[feed]} for who, feed in feeds.items()}
    ben = {who: feed["ben"] for who, feed in seen.items()}
    assert_each_sees_less(ben["self"], ben["friend"], ben["stranger"])
    assert ben["blocked"]["placeholder"]
    assert sum(picture["placeholder"] for feed in seen.values() for picture in feed.values()) == 1
    # A stranger sees the same of an adult as of minors, whatever these chose; and more of a public adult alone.
    assert {side(seen["stranger"][person]) for person in ("ben", "cleo", "eli", "gus")} == {side(ben["stranger"])}
    assert side(seen["blocked"]["dan"]) > TINY
    for path in taken.iterdir():
        assert difference(path, tutorial_pictures.IMAGES / path.name) < SAME_PAGE, path.name
    assert len(list(taken.iterdir())) in {0, len(feeds)}


def test_the_pictures_of_the_tutorial_are_small():
    for who in tutorial_pictures.VIEWERS:
        path = tutorial_pictures.IMAGES / tutorial_pictures.name_of(who)
        assert path.stat().st_size < 150_000
        with Image.open(path) as picture:
            assert picture.size == (tutorial_pictures.WIDTH, tutorial_pictures.HEIGHT)


def test_every_block_of_readme_runs_or_is_of_the_pack():
    """The blocks that are not followed are verbs of make, which CI runs, and a rule, which the pack has as it stands."""
    text = README.read_text("utf-8")
    kinds = re.findall(r"^```(\w*)\n.*?^```$", text, flags=re.DOTALL | re.MULTILINE)
    assert set(kinds) == {"sh", "python", "console", "yaml"}
    assert all(block.file or block.kind == "sh" for block in follow.blocks(text))
    for block in re.findall(r"^```console\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
        assert all(line.startswith("$ make ") for line in block.splitlines())
    pack = YAML(typ="safe").load(ROOT / "policies/rules.yaml")["rules"]
    for block in re.findall(r"^```yaml\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
        assert all(rule in pack for rule in YAML(typ="safe").load(block))


def test_the_toy_network_is_small():
    programs = [block.text for block in follow.blocks(tutorial_pictures.PAGE.read_text("utf-8")) if block.file]
    assert sum(program.count("\n") for program in programs) < 120


def difference(path, other):
    """Mean difference between two pictures of one size, of 255, where a letter's edge counts little."""
    return float(np.abs(smoothed(path) - smoothed(other)).mean())


def smoothed(path):
    with Image.open(Path(path)) as picture:
        reduced = picture.convert("RGB").reduce(4)
    return np.asarray(reduced, np.float32)
