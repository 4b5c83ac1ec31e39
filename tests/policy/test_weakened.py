"""No weakening passes unseen: each edit of ``weakened/`` is refused, or named and sent to the safety team.

Each file says what somebody did to the default pack, or, with ``before``, what made it of an earlier one. ``refused`` are words of what `policy check` says, problems and
failing checks; ``named`` are words of the difference, and ``safety`` says whether the safety team must approve it.
"""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from nightlight.policy.cases import try_cases
from nightlight.policy.checks import failed_checks
from nightlight.policy.compile import compile_pack
from nightlight.policy.diagnostics import InvalidPolicy
from nightlight.policy.diff import diff
from nightlight.policy.load import load
from tests.conftest import ROOT

EDITS = sorted((Path(__file__).parent / "weakened").glob("*.yaml"))


def edited(changes, folder):
    shutil.copytree(ROOT / "policies", folder)
    for change in changes:
        path = folder / change["file"]
        path.parent.mkdir(exist_ok=True)
        text = path.read_text() if path.exists() else ""
        assert change["old"] in text, "the default pack has changed; mend this file"
        path.write_text(text.replace(change["old"], change["new"], 1))
    return folder


def refusals(folder):
    """Return what `policy check` says against a pack, one text."""
    try:
        compiled = compile_pack(load(folder))
    except InvalidPolicy as refused:
        return str(refused)
    cases = [message for *_, message in try_cases(compiled.pack.cases, compiled)]
    return "\n".join([*cases, *map(str, failed_checks(compiled))])


def test_there_are_edits():
    assert len(EDITS) >= 25


@pytest.mark.parametrize("path", EDITS, ids=lambda path: path.stem)
def test_a_weakening_is_refused_or_named(path, tmp_path, compiled):
    edit = YAML(typ="safe").load(path)
    folder = edited(edit["changes"], tmp_path / "p")
    before = compile_pack(load(edited(edit["before"], tmp_path / "before"))) if "before" in edit else compiled
    if "refused" in edit:
        sentence = refusals(folder)
        assert all(words in sentence for words in edit["refused"]), sentence
    if "named" in edit:
        difference = diff(before, compile_pack(load(folder)))
        sentence = "\n".join([*map(str, difference.changes), *difference.checks, *difference.cases])
        assert all(words in sentence for words in edit["named"]), sentence
        assert difference.opens is edit["safety"], sentence


def test_what_the_default_pack_opened_is_in_its_history(tmp_path, compiled):
    """Each opening of a recipe since the pack of before has a row that says why, and that safety agreed."""
    edit = YAML(typ="safe").load(Path(__file__).parent / "weakened/45-the-default-pack-of-before.yaml")
    before = compile_pack(load(edited(edit["before"], tmp_path / "before")))
    rows = (ROOT / "docs/policy/pack.md").read_text().split("## What it opened")[1].splitlines()
    opened = [change for change in diff(before, compiled).recipes if change.safety]
    assert len(opened) == 3
    for change in opened:
        tier, field = change.where.split(", ")
        words = f"{tier}, `{field}`: {change.before.lower()} -> {change.after}"
        (row,) = [row for row in rows if words in row]
        assert "safety" in row.rsplit("|", 2)[1]
