"""``nightlight render``, as a privacy team runs it."""

import json
import re
import shutil

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.support import pictures
from tests.support.command import run_command

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    """The default policy is the folder `policies` of where one is."""
    monkeypatch.chdir(ROOT)


def nightlight(*arguments):
    return run_command(["render", *arguments], {"COLUMNS": "200"})


@pytest.fixture(scope="module")
def portrait(tmp_path_factory):
    path = tmp_path_factory.mktemp("portrait") / "portrait.png"
    path.write_bytes(pictures.photograph())
    return path


def test_it_writes_each_tier_a_sheet_and_a_report(portrait, tmp_path):
    done = nightlight(portrait, "--policy", "policies", "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "out/report.json").read_text())
    assert [tier["tier"] for tier in report["tiers"]] == ["full", "medium", "low", "tiny"]
    for tier in report["tiers"]:
        data = (tmp_path / "out" / tier["file"]).read_bytes()
        assert len(data) == tier["bytes"]
        assert pictures.opened(data).size == (tier["edge"], tier["edge"])
    tiny = report["tiers"][-1]
    assert (tiny["face_px"], tiny["no_face_px"], tiny["no_face"]) == (5, 16, False)
    assert 4 < tiny["face_px_made"] <= 5
    assert tiny["blurhash"]
    (face,) = [found_face for found_face in report["faces"] if found_face["confidence"] > 0.5]
    assert 150 < face["left"] < 220
    assert set(report["stages_ms"]) >= {"decode", "sandbox", "face", "resize", "visible_watermark", "encode"}
    assert report["sandbox"] == "seccomp"
    assert pictures.opened((tmp_path / "out/sheet.png").read_bytes()).width > 1200


def test_a_person_gets_a_table(portrait, tmp_path):
    done = nightlight(portrait, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "1 face; the widest takes" in done.stdout
    assert "CPU ms: probe" in done.stdout


def test_patterns_stand_side_by_side_on_a_sheet_of_their_own(portrait, tmp_path):
    done = nightlight(portrait, "--out", tmp_path / "out", "--patterns")
    assert done.returncode == 0, done.stderr
    sheet = pictures.opened((tmp_path / "out/patterns.png").read_bytes()).convert("RGB")
    columns = [sheet.crop((140 + number * 330, 64, 460 + number * 330, 384)) for number in range(4)]
    shares = [
        (np.abs(np.asarray(columns[0], int) - np.asarray(column, int)).max(axis=2) > 8).mean() for column in columns
    ]
    assert shares[0] == 0
    assert 0.005 < shares[3] < shares[1] / 2  # sparse, and tiles side by side


def test_a_policy_without_a_visible_watermark_has_no_patterns(portrait, tmp_path):
    pack = tmp_path / "pack"
    shutil.copytree(ROOT / "policies", pack)
    for name, pattern in (
        ("tiers.yaml", r"visible_watermark: (faint|clear|soft)"),
        ("checks.yaml", r" visible_watermark: at_least \w+,"),
    ):
        path = pack / name
        path.write_text(re.sub(pattern, "visible_watermark: none" if name == "tiers.yaml" else "", path.read_text()))
    done = nightlight(portrait, "--policy", pack, "--out", tmp_path / "out", "--patterns")
    assert done.returncode == 1
    assert "no tier of this policy has a visible watermark" in done.stderr


def test_a_name_that_looks_like_markup_is_a_name(portrait, tmp_path):
    path = tmp_path / "[red]me[0].png"
    path.write_bytes(portrait.read_bytes())
    done = nightlight(path, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "[red]me[0].png" in done.stdout


def test_the_owners_crop_is_honoured(portrait, tmp_path):
    done = nightlight(portrait, "--out", tmp_path / "out", "--crop", "150,40,160,160", "--json")
    report = json.loads(done.stdout)
    assert report["frame"] == [160, 160]
    assert report["face_share"] > 0.5


@pytest.mark.parametrize(
    ("name", "words"),
    [("coffee.png", "no face;"), ("moon.png", "no sure face: the whole picture counts as one")],
)
def test_a_picture_without_a_face_says_so(tmp_path, name, words):
    path = tmp_path / name
    path.write_bytes(pictures.photograph(name))
    done = nightlight(path, "--out", tmp_path / "out")
    assert words in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.jpg"], "absent.jpg: No such file or directory"),
        (["README.md"], "not a picture of a kind that can be used here"),
        (["PORTRAIT", "--crop", "1,2,3"], "--crop: a crop is four whole numbers"),
        (["PORTRAIT", "--policy", "tests"], "vocabulary.yaml"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_1(portrait, tmp_path, arguments, message):
    given = [str(portrait) if argument == "PORTRAIT" else argument for argument in arguments]
    done = nightlight(*given, "--out", tmp_path / "out")
    assert done.returncode == 1, done.stdout
    assert message in done.stderr
    assert "Traceback" not in done.stderr
