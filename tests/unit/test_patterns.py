"""No pattern of ids, names, cursors, keys or moments takes a line's end: Python's and PCRE's "$" match before one."""

import ast
import importlib
import pkgutil
import re
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

import nightlight
import service
from nightlight.catalogue.feed import CURSOR_PATTERN, _parsed
from nightlight.delivery.object_names import NAME_PATTERN
from nightlight.store.interface import check_key
from nightlight_core import ids
from nightlight_core.errors import NightlightError
from nightlight_core.keyring import KeyRing
from tests.conftest import ROOT

ENDS = ("\n", "\r", "\r\n", "\u2028", "\x00", "\n\n", " ")
SOURCES = [
    path for room in ("nightlight", "service", "workers", "infra") for path in sorted((ROOT / room).rglob("*.py"))
]
# Looks for something within a text, and so is no check of one: (file, pattern or name).
SEARCHES = {("nightlight/provenance/manifest.py", "_LABEL"), ("nightlight/imaging/jpeg_header.py", "_MARK")}


def calls():
    """(file, called, first argument) of everything that a regular expression is made or used with."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield path.relative_to(ROOT).as_posix(), node


def text_of(node):
    """The text of a pattern, as far as it is written out."""
    if isinstance(node, ast.Constant):
        return node.value.decode() if isinstance(node.value, bytes) else str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return ""


def test_checks_are_of_the_whole_text():
    count = 0
    for where, node in calls():
        of_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
        if of_re and node.args:
            count += 1
            assert not re.search(r"(?<!\\)\$$", text_of(node.args[0])), (where, text_of(node.args[0]))
            assert node.func.attr in {"compile", "fullmatch", "split", "escape", "sub"}, (where, node.lineno)
        elif node.func.attr in {"match", "search"} and isinstance(node.func.value, ast.Name | ast.Attribute):
            named = ast.unparse(node.func.value)
            compiled = named.isupper() or named.endswith("pattern")
            assert not compiled or (where, named) in SEARCHES, f"{where}:{node.lineno}: use fullmatch on {named}"
    assert count > 15


def patterns():
    """Every pattern that is a constant of a module, by its name."""
    by_place = {}
    for package in (nightlight, service):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.rsplit(".", 1)[-1] in {"__main__", "env"} or ".migrations." in module.name:
                continue
            held = vars(importlib.import_module(module.name))
            by_place |= {
                name: value for name, value in held.items() if name.endswith("_PATTERN") and isinstance(value, str)
            }
    return by_place


PATTERNS = patterns()


@pytest.mark.parametrize("name", sorted(PATTERNS))
@given(data=st.data())
def test_a_pattern_takes_no_line_end_in_python_nor_in_pydantic(name, data):
    pattern = PATTERNS[name]
    good = data.draw(
        st.from_regex(pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern, fullmatch=True)
    )
    adapter = TypeAdapter(Annotated[str, Field(pattern=f"^{pattern.strip('^$')}$")])
    assert adapter.validate_python(good) == good
    assert re.fullmatch(pattern, good)
    for end in ENDS:
        if end == " " and name == "PROFILE_ID_PATTERN":  # nothing of a platform's id is trimmed
            continue
        assert re.fullmatch(pattern, good + end) is None
        with pytest.raises(ValidationError):
            adapter.validate_python(good + end)


def models(kind=BaseModel):
    for subclass in kind.__subclasses__():
        yield subclass
        yield from models(subclass)


def test_every_pattern_of_a_model_refuses_a_line_end():
    """Pydantic's own engine, unless somebody chose Python's."""
    for model in models():
        assert model.model_config.get("regex_engine", "rust-regex") == "rust-regex", model


@pytest.mark.parametrize("end", ENDS)
def test_what_reads_ids_refuses_a_line_end(end):
    for read, good in (
        (ids.parse_profile_id, "u-1"), (ids.parse_image_id, "a" * 32), (ids.parse_trace_id, "b" * 32), (_parsed, "12.34"),
        (check_key, "a/" + "b" * 32 + ".webp"), (lambda text: KeyRing.parse(text + ":" + "A" * 43 + "=", "x"), "k1"),
    ):  # fmt: skip
        read(good)
        if end == " " and read is ids.parse_profile_id:
            continue
        with pytest.raises((NightlightError, ValueError)):
            read(good + end)
    assert ids.is_profile_id(f"u-1{end}") == (end == " ")
    assert CURSOR_PATTERN and NAME_PATTERN  # noqa: PT018 - both stand among the patterns above


@pytest.mark.parametrize(
    "path", sorted((ROOT / "infra/edge").rglob("*.js")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_no_edge_ends_a_pattern_with_a_dollar_where_that_is_pcre(path):
    written = re.findall(r"= (/\^.*/);", path.read_text("utf-8"))
    if path.name == "worker.js":  # V8: "$" is the very end there
        assert all(pattern.endswith("$/") for pattern in written)
        return
    assert written
    assert all(pattern.endswith(r"(?![\s\S])/") for pattern in written)
