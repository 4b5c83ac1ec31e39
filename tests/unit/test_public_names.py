"""The check of names: what it refuses, wherever the name is bound."""

import ast
import runpy
from pathlib import Path

import pytest

CHECK = runpy.run_path(str(Path(__file__).parents[2] / "infra/dev/public_names.py"))


def refused(code: str) -> list[tuple[str, str]]:
    return [(entry.kind, entry.name) for entry in CHECK["empty_names"](ast.parse(code), "module.py")]


@pytest.mark.parametrize(
    ("code", "kind", "name"),
    [
        ("found = read()", "variable", "found"),
        ("def count(values):\n    for one in values: print(one)", "variable", "one"),
        ("total = sum(one.size for one in files)", "variable", "one"),
        ("order = sorted(files, key=lambda one: one.size)", "parameter", "one"),
        ("def count(*, mine): ...", "parameter", "mine"),
        ("class Client:\n    def __init__(self): self._made = None", "attribute", "_made"),
        ("def _told(): ...", "function", "_told"),
        ("class Told: ...", "class", "Told"),
        ("if (there := read()): ...", "variable", "there"),
        ("with open(path) as house: ...", "variable", "house"),
        ("try: read()\nexcept OSError as said: ...", "variable", "said"),
        ("match answer:\n    case {'kind': of}: ...", "variable", "of"),
        ("match answer:\n    case [first, *found]: ...", "variable", "found"),
        ("match answer:\n    case {'kind': kind, **found}: ...", "variable", "found"),
        ("import answers as found", "import", "found"),
    ],
)
def test_a_name_that_says_nothing_is_refused_whatever_binds_it(code, kind, name):
    assert refused(code) == [(kind, name)]


@pytest.mark.parametrize(
    "code", ["rendition = read()['found']", "answer = regex.one()", "not_found = 404", "row = result.one_or_none()"]
)
def test_uses_keys_and_longer_names_are_not_refused(code):
    assert refused(code) == []
