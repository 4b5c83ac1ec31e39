"""docs/policy/guide.md says what happens: its edits fit the default pack, and its commands print what it shows.

The chapters that need a running service are tried in tests/e2e/test_guide.py. After a change of the pack or of a
message, `python -m tests.support.guide --write` writes the outputs anew.
"""

import re
import runpy

import pytest

from nightlight.policy.compile import compile_folder
from tests.conftest import ROOT
from tests.support.guide import PATH, Command, Edit, Session, read_steps, split_at_service

TEXT = PATH.read_text("utf-8")
STEPS = split_at_service(read_steps(TEXT))[0]
COMMANDS = [step for step in STEPS if isinstance(step, Command)]


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """The guide played up to the service, once."""
    session = Session(tmp_path_factory.mktemp("guide"))
    session.play(STEPS)
    return session


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command.line}-{command.text[:60]}")
def test_a_command_prints_what_the_guide_shows(session, command):
    printed = session.printed[command]
    assert not command.differs(printed), f"{PATH.name}:{command.line}: $ {command.text}\n{printed}"


def test_the_guide_ends_with_what_it_set_out_to_do(session):
    """Both packs that it leaves behind are right, and mean what its chapters say."""
    given = {
        "assurance": "verified",
        "relation": "stranger",
        "region": "jp",
        "viewer": "peer",
        "context": "profile",
        "report_flag": "clear",
    }
    japan, split = compile_folder(session.folder / "policies"), compile_folder(session.folder / "split")
    assert japan.table.decide({**given, "subject_age": "age_13_15", "choice": "everyone"}).rule == "japan"
    lists = {**given, "relation": "connection", "context": "list", "choice": "connections"}
    tiers = {age: split.table.decide({**lists, "subject_age": age}).tier for age in ("age_16", "age_17", "age_16_17")}
    assert tiers == {"age_16": "low", "age_17": "medium", "age_16_17": "low"}


def test_every_piece_of_yaml_in_the_guide_is_in_the_default_pack():
    pieces = re.findall(r"^```yaml\n(.*?)^```$", TEXT, flags=re.DOTALL | re.MULTILINE)
    files = [path.read_text("utf-8") for path in (ROOT / "policies").rglob("*.yaml")]
    assert pieces
    assert all(any(piece in file for file in files) for piece in pieces)


def test_the_pictures_are_those_of_the_default_pack(compiled):
    """After a change of the pack, `python docs/policy/pictures.py` draws them again."""
    drawings = runpy.run_path(str(ROOT / "docs/policy/pictures.py"))["DRAWINGS"]
    stored = {path.stem: path.read_text("utf-8") for path in (ROOT / "docs/policy/images").glob("*.svg")}
    assert stored == {name: draw(compiled) for name, draw in drawings.items()}


@pytest.mark.parametrize(
    ("hunk", "result"),
    [
        (("-b: 1", "+b: 3"), "a: 1\nb: 3\nc: {d: 1, e: 2}\nb: 2"),
        ((" a: 1", "-b: 1"), "a: 1\nc: {d: 1, e: 2}\nb: 2"),
        (("-c: {d: 1, ...", "+c: {d: 9, ..."), "a: 1\nb: 1\nc: {d: 9, e: 2}\nb: 2"),
        (("+z: 0", " c: {d..."), "a: 1\nb: 1\nz: 0\nc: {d: 1, e: 2}\nb: 2"),
    ],
)
def test_an_edit_changes_the_lines_that_it_shows(tmp_path, hunk, result):
    (tmp_path / "x").write_text("a: 1\nb: 1\nc: {d: 1, e: 2}\nb: 2")
    Edit(1, "x", (hunk,)).make(tmp_path)
    assert (tmp_path / "x").read_text() == result


@pytest.mark.parametrize("line", ["-b: 2", "-b: ...", "-c"])
def test_an_edit_of_lines_that_are_not_there_once_is_refused(tmp_path, line):
    (tmp_path / "x").write_text("a: 1\nb: 1\nb: 3")
    with pytest.raises(AssertionError, match="times in x"):
        Edit(1, "x", ((line,),)).make(tmp_path)


@pytest.mark.parametrize(
    ("output", "differs"),
    [
        (("a", "b", "c"), False),
        (("a", "[...]", "c"), False),
        (("[...]", "c"), False),
        (("a", "b"), True),
        (("b", "[...]", "c"), True),
    ],
)
def test_lines_that_the_guide_leaves_out_are_not_compared_and_all_others_are(output, differs):
    assert Command(1, "x", output).differs("a\nb\nc\n") is differs
